//! Who a request is from, and as whom it acts.
//!
//! The rules are `minicloud-auth`'s; here they meet headers, the connection's certificate and the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use jiff::Timestamp;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::{GROUP_AUTHENTICATED, GROUP_UNAUTHENTICATED, USER_ANONYMOUS, UserInfo};
use minicloud_auth::authn::{AuthnError, Peer as VerifiedPeer};
use minicloud_auth::authz::Attributes;
use minicloud_auth::token::{BoundKind, BoundObjects, Found};
use minicloud_store::Store;
use rustls::pki_types::CertificateDer;

use crate::api::Api;
use crate::codec;
use crate::http::body::Sends;

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    verified: Result<Option<VerifiedPeer>, AuthnError>,
    h2: bool,
    known: AtomicBool,
    /// What it has been sent and not taken.
    pub sends: Arc<Sends>,
}

impl Peer {
    /// Verifies the certificates of a connection, once.
    pub fn new(api: &Api, chain: &[CertificateDer<'_>], h2: bool) -> Self {
        let verified = api.authenticator.peer(chain, Timestamp::now());
        Self {
            known: matches!(verified, Ok(Some(_))).into(),
            verified,
            h2,
            sends: Arc::default(),
        }
    }

    /// True when HTTP/2 was agreed on.
    pub fn speaks_h2(&self) -> bool {
        self.h2
    }

    /// True when it has proven to be someone, by its certificate or with a request.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}

/// The user behind a request; 401 for bad credentials, and for none where the path is not open to everyone. A token that came as
/// the name of a WebSocket protocol is taken out of the headers, which may be passed on.
pub(crate) fn authenticate(
    api: &Api,
    headers: &mut HeaderMap,
    peer: &Peer,
) -> Result<UserInfo, ApiStatus> {
    let refused = |error: &AuthnError| {
        tracing::debug!(%error, "credentials were refused");
        ApiStatus::unauthorized()
    };
    let browsers = take_protocol_token(headers);
    let authorization = match headers.get(AUTHORIZATION) {
        None => browsers.as_deref(),
        Some(value) => Some(value.to_str().map_err(|_| ApiStatus::unauthorized())?),
    };
    let certificate = match &peer.verified {
        Ok(certificate) => certificate.as_ref(),
        // A kubeconfig may have a token beside a certificate that has expired.
        Err(_) if authorization.is_some() => None,
        Err(error) => return Err(refused(error)),
    };
    let user = api
        .authenticator
        .authenticate(certificate, authorization, Timestamp::now())
        .map_err(|e| refused(&e))?;
    if user.is_anonymous() {
        Err(ApiStatus::unauthorized())
    } else {
        peer.known.store(true, Ordering::Relaxed);
        Ok(user)
    }
}

/// What stands before a token in the name of a WebSocket protocol: browsers can set no other header.
const PROTOCOL_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// Takes such names out of the headers; the first token as an `Authorization` header would have it.
fn take_protocol_token(headers: &mut HeaderMap) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let protocols = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    if !protocols.contains(PROTOCOL_TOKEN) {
        return None;
    }
    let (tokens, others): (Vec<&str>, Vec<&str>) = protocols
        .split(',')
        .map(str::trim)
        .partition(|name| name.starts_with(PROTOCOL_TOKEN));
    let token = tokens
        .first()
        .and_then(|name| URL_SAFE_NO_PAD.decode(&name[PROTOCOL_TOKEN.len()..]).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|token| format!("Bearer {token}"));
    let others = others.join(", ");
    match others.parse() {
        Ok(value) if !others.is_empty() => headers.insert(SEC_WEBSOCKET_PROTOCOL, value),
        _ => headers.remove(SEC_WEBSOCKET_PROTOCOL),
    };
    token
}

/// Applies `Impersonate-*` headers, each of which the real user must be allowed to use.
pub(crate) fn impersonate(
    api: &Api,
    headers: &HeaderMap,
    user: UserInfo,
) -> Result<UserInfo, ApiStatus> {
    if !headers
        .keys()
        .any(|k| k.as_str().starts_with("impersonate-"))
    {
        return Ok(user);
    }
    let values = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let username = values("impersonate-user")
        .into_iter()
        .next()
        .unwrap_or_default();
    let mut groups = values("impersonate-group");
    let uid = values("impersonate-uid")
        .into_iter()
        .next()
        .unwrap_or_default();
    if username.is_empty() {
        return Err(ApiStatus::bad_request(
            "requested impersonation of groups, uid or extra without impersonating a user",
        ));
    }
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        api.authorizer.require(
            &Attributes::resource(&user, "impersonate", group, resource)
                .subresource(subresource)
                .in_namespace(namespace)
                .named(name),
        )
    };
    match username
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((namespace, name)) => {
            may("", "serviceaccounts", "", namespace, name)?;
            if groups.is_empty() {
                groups = vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{namespace}"),
                ];
            } else {
                for group in &groups {
                    may("", "groups", "", "", group)?;
                }
            }
        }
        None => {
            may("", "users", "", "", &username)?;
            for group in &groups {
                may("", "groups", "", "", group)?;
            }
        }
    }
    let mut acting = UserInfo::new(username, groups);
    if !uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &uid)?;
        acting.uid = uid;
    }
    for name in headers
        .keys()
        .filter_map(|k| k.as_str().strip_prefix("impersonate-extra-"))
    {
        let key = percent_encoding::percent_decode_str(name)
            .decode_utf8_lossy()
            .into_owned();
        for value in values(&format!("impersonate-extra-{name}")) {
            may("authentication.k8s.io", "userextras", &key, "", &value)?;
            acting.extra.entry(key.clone()).or_default().push(value);
        }
    }
    let everyone = if acting.username == USER_ANONYMOUS {
        GROUP_UNAUTHENTICATED
    } else {
        GROUP_AUTHENTICATED
    };
    if !acting.in_group(GROUP_AUTHENTICATED) && !acting.in_group(GROUP_UNAUTHENTICATED) {
        acting.groups.push(everyone.to_owned());
    }
    Ok(acting)
}

/// The objects that tokens are bound to, read from the store.
pub(crate) struct StoredObjects(pub(crate) Store);

impl BoundObjects for StoredObjects {
    fn find(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<Found> {
        let key = match kind {
            BoundKind::ServiceAccount => format!("/registry/serviceaccounts/{namespace}/{name}"),
            BoundKind::Pod => format!("/registry/pods/{namespace}/{name}"),
            BoundKind::Secret => format!("/registry/secrets/{namespace}/{name}"),
            BoundKind::Node => format!("/registry/nodes/{name}"),
        };
        let entry = self.0.get(&key)?;
        let metadata = codec::metadata(&entry.value, entry.mod_revision);
        let text = |field: &str| metadata.get(field).and_then(|v| v.as_str());
        Some(Found {
            uid: text("uid").unwrap_or_default().to_owned(),
            deleted_at: text("deletionTimestamp").and_then(|t| t.parse().ok()),
        })
    }
}

/// The authenticator of a server.
pub(crate) fn authenticator(
    config: &crate::Config,
    store: &Store,
) -> Result<minicloud_auth::authn::Authenticator, minicloud_auth::pki::PkiError> {
    minicloud_auth::authn::Authenticator::new(
        &config.client_ca_pem,
        Arc::clone(&config.tokens),
        Arc::new(StoredObjects(store.clone())),
    )
}
