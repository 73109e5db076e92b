//! Service-account tokens (JWTs, ES256) and join tokens.
//!
//! [`ServiceAccountTokens`] signs and verifies; whether the objects that a token is bound to still exist is asked of the
//! caller through [`BoundObjects`], at every use, because deleting a pod or an account must end its tokens at once.

mod claims;
mod join;
mod keys;
mod request;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::pki::PkiError;
use keys::Keys;

pub use claims::{ObjectRef, TokenSpec};
pub use join::{JoinToken, JoinTokenError};
pub use request::GetObject;
pub use verify::{Verified, VerifyError};

/// The issuer for a cluster domain: `https://kubernetes.default.svc.cluster.local`.
pub fn default_issuer(cluster_domain: &str) -> String {
    format!("https://kubernetes.default.svc.{cluster_domain}")
}

/// The kinds that a service-account token can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoundKind {
    /// The account itself: always.
    ServiceAccount,
    /// A Pod.
    Pod,
    /// A Secret.
    Secret,
    /// A Node (no namespace).
    Node,
}

/// What the verifier needs to know about an object that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its uid.
    pub uid: String,
    /// `metadata.deletionTimestamp`, while it is being deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Where the verifier looks up what a token is bound to: the API server's store, from memory.
pub trait BoundObjects: Send + Sync {
    /// The object, or `None` when it does not exist. `namespace` is empty for a Node.
    fn find(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<Found>;
}

/// A token that was signed.
#[derive(Clone)]
pub struct IssuedToken {
    /// The JWT. A secret.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Signs and verifies service-account tokens.
pub struct ServiceAccountTokens {
    keys: Keys,
    issuer: String,
    audiences: Vec<String>,
    cache: Mutex<verify::Cache>,
}

impl std::fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountTokens")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl ServiceAccountTokens {
    /// Opens the keys in `dir`, making the first one at the first start. `audiences` are what the API server accepts and
    /// what a request without audiences gets; empty stands for the issuer.
    pub fn open(
        dir: &Path,
        issuer: impl Into<String>,
        audiences: &[String],
    ) -> Result<Self, PkiError> {
        let issuer = issuer.into();
        let audiences = if audiences.is_empty() {
            vec![issuer.clone()]
        } else {
            audiences.to_vec()
        };
        Ok(Self {
            keys: Keys::open(dir)?,
            issuer,
            audiences,
            cache: Mutex::default(),
        })
    }

    /// The API server's own audiences.
    pub fn api_audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The issuer, `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs a token.
    pub fn issue(&self, spec: &TokenSpec, now: Timestamp) -> Result<IssuedToken, PkiError> {
        let claims = claims::Claims::new(&self.issuer, spec, now);
        let expires_at = Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX);
        Ok(IssuedToken {
            token: self.keys.sign(&claims)?,
            expires_at,
        })
    }

    /// Verifies a token for one of `audiences` (empty: the API server's own), and that what it is bound to still exists.
    pub fn verify(
        &self,
        token: &str,
        audiences: &[String],
        objects: &dyn BoundObjects,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let claims = verify::signed_claims(&self.keys, &self.issuer, &self.cache, token)?;
        let audiences = if audiences.is_empty() {
            &self.audiences
        } else {
            audiences
        };
        verify::check(&claims, audiences, objects, now)
    }

    /// `/.well-known/openid-configuration`; `server_url` is how clients outside reach the API server.
    pub fn openid_configuration(&self, server_url: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{}/openid/v1/jwks", server_url.trim_end_matches('/')),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`: the public keys that verify tokens.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys.public_jwks() })
    }
}
