//! Verifying service-account tokens: signature, times, audience, and that what the token is bound to still exists.
//!
//! A good signature is remembered (by the hash of the token, a bounded number of them), because checking it costs a
//! hundred times more than all the rest; everything that can change with time is checked at every use.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use minicloud_api::user::UserInfo;
use sha2::{Digest, Sha256};

use super::claims::{Claims, ObjectRef};
use super::keys::Keys;
use super::{BoundKind, BoundObjects};

/// Clocks of two machines may differ by this much; Kubernetes allows the same.
const LEEWAY_SECONDS: i64 = 60;
/// No token of ours comes near; refuse larger ones before any work.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// One for each pod of a large machine, several times over; about half a megabyte at most.
const MAX_CACHED: usize = 1024;

/// Why a token was refused. None passes by retrying with the same token. The text never holds any of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a JWT, another issuer's, or the signature is wrong.
    #[error("{0}")]
    Invalid(&'static str),
    /// Its time has passed.
    #[error("service account token has expired")]
    Expired,
    /// Its time has not come.
    #[error("service account token is not valid yet; check the clocks")]
    NotYetValid,
    /// It is for someone else.
    #[error("token audiences {actual:?} is invalid for the target audiences {wanted:?}")]
    Audience {
        /// The token's audiences.
        actual: Vec<String>,
        /// Who asked.
        wanted: Vec<String>,
    },
    /// What it is bound to is gone.
    #[error("service account token has been invalidated: {0}")]
    Gone(String),
}

/// A token that is good now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The service account as a user, with its groups (without `system:authenticated`, which the authenticator adds).
    pub user: UserInfo,
    /// The audiences asked for that the token has.
    pub audiences: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

type TokenHash = [u8; 32];

/// Tokens whose signature was good.
#[derive(Default)]
pub(crate) struct Cache(HashMap<TokenHash, Arc<Claims>>);

impl Cache {
    fn put(&mut self, hash: TokenHash, claims: Arc<Claims>) {
        if self.0.len() >= MAX_CACHED {
            // Those still in use come back at the price of one signature check each.
            self.0.clear();
        }
        self.0.insert(hash, claims);
    }
}

/// The claims of a token that one of our keys signed.
pub(crate) fn signed_claims(
    keys: &Keys,
    issuer: &str,
    cache: &Mutex<Cache>,
    token: &str,
) -> Result<Arc<Claims>, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(VerifyError::Invalid(
            "the token is too large for a service account token",
        ));
    }
    let hash: TokenHash = Sha256::digest(token).into();
    if let Some(claims) = cache
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .0
        .get(&hash)
    {
        return Ok(claims.clone());
    }
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| VerifyError::Invalid("the token is not a JWT"))?;
    // Times and audience are checked against the caller's clock and wishes, below.
    let mut only_signature = Validation::new(Algorithm::ES256);
    only_signature.required_spec_claims.clear();
    only_signature.validate_exp = false;
    only_signature.validate_nbf = false;
    only_signature.validate_aud = false;
    let claims = keys
        .candidates(header.kid.as_deref())
        .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &only_signature).ok())
        .map(|data| Arc::new(data.claims))
        .ok_or(VerifyError::Invalid(
            "no key of this cluster signed the token",
        ))?;
    if claims.iss != issuer {
        return Err(VerifyError::Invalid("the token is of another issuer"));
    }
    cache
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(hash, claims.clone());
    Ok(claims)
}

/// Everything about signed claims that may differ from one use to the next.
pub(crate) fn check(
    claims: &Claims,
    audiences: &[String],
    objects: &dyn BoundObjects,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let at = now.as_second();
    if at > claims.exp.saturating_add(LEEWAY_SECONDS) {
        return Err(VerifyError::Expired);
    }
    if at < claims.nbf.saturating_sub(LEEWAY_SECONDS) {
        return Err(VerifyError::NotYetValid);
    }
    let shared: Vec<String> = audiences
        .iter()
        .filter(|a| claims.aud.contains(a))
        .cloned()
        .collect();
    if shared.is_empty() {
        return Err(VerifyError::Audience {
            actual: claims.aud.clone(),
            wanted: audiences.to_vec(),
        });
    }
    let private = &claims.private;
    let (namespace, account) = (&private.namespace, &private.serviceaccount);
    let username = format!("system:serviceaccount:{namespace}:{}", account.name);
    if claims.sub != username {
        return Err(VerifyError::Invalid(
            "the token's subject is not its service account",
        ));
    }
    let exists =
        |kind, namespace: &str, object: &ObjectRef| exists(objects, kind, namespace, object, at);
    exists(BoundKind::ServiceAccount, namespace, account)?;
    if let Some(secret) = &private.secret {
        exists(BoundKind::Secret, namespace, secret)?;
    }
    if let Some(pod) = &private.pod {
        exists(BoundKind::Pod, namespace, pod)?;
    } else if let Some(node) = &private.node {
        // With a pod, the node only tells where the pod runs; alone, it is what the token is bound to.
        exists(BoundKind::Node, "", node)?;
    }
    let mut extra = BTreeMap::new();
    let mut note = |key: &str, value: &str| {
        if !value.is_empty() {
            extra.insert(
                format!("authentication.kubernetes.io/{key}"),
                vec![value.to_owned()],
            );
        }
    };
    if !claims.jti.is_empty() {
        note("credential-id", &format!("JTI={}", claims.jti));
    }
    for (kind, object) in [("pod", &private.pod), ("node", &private.node)] {
        if let Some(object) = object {
            note(&format!("{kind}-name"), &object.name);
            note(&format!("{kind}-uid"), &object.uid);
        }
    }
    let groups = vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
    ];
    Ok(Verified {
        user: UserInfo {
            username,
            uid: account.uid.clone(),
            groups,
            extra,
        },
        audiences: shared,
        expires_at: Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX),
    })
}

fn exists(
    objects: &dyn BoundObjects,
    kind: BoundKind,
    namespace: &str,
    object: &ObjectRef,
    at: i64,
) -> Result<(), VerifyError> {
    let gone = |what: &str| Err(VerifyError::Gone(format!("its {kind:?} {what}")));
    match objects.find(kind, namespace, &object.name) {
        None => gone("no longer exists"),
        Some(found) if found.uid != object.uid => {
            gone("was replaced by another one of the same name")
        }
        Some(found)
            if found
                .deleted_at
                .is_some_and(|t| t.as_second() < at - LEEWAY_SECONDS) =>
        {
            gone("was deleted")
        }
        Some(_) => Ok(()),
    }
}
