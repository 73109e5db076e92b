//! From a request's credentials to a user: X.509 client certificates and service-account tokens.
//!
//! A connection's certificate is verified once ([`Authenticator::peer`]) and its dates at every request, because a
//! connection may outlive the certificate. A request without credentials is `system:anonymous`, whom RBAC allows health and
//! version only; a request with bad credentials is refused, never anonymous.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minicloud_api::user::{GROUP_AUTHENTICATED, GROUP_UNAUTHENTICATED, UserInfo};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pki::{PkiError, provider, roots, tls};
use crate::token::{BoundObjects, ServiceAccountTokens, Verified, VerifyError};

/// Why credentials were refused. The client gets a bare 401; this is for the log, and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthnError {
    /// The certificate is not of the cluster's CA, not for clients, or not valid now.
    #[error("client certificate: {0}")]
    Certificate(String),
    /// The `Authorization` header is not `Bearer TOKEN`.
    #[error("the Authorization header is not of the form \"Bearer TOKEN\"")]
    Header,
    /// The token is not good.
    #[error("bearer token: {0}")]
    Token(#[from] VerifyError),
}

/// The verified certificate of a connection's other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    user: UserInfo,
    not_before: i64,
    not_after: i64,
}

impl Peer {
    /// Who the certificate says it is.
    pub fn user(&self) -> &UserInfo {
        &self.user
    }
}

/// Turns credentials into users. Shared by all connections.
pub struct Authenticator {
    verifier: Arc<dyn ClientCertVerifier>,
    tokens: Arc<ServiceAccountTokens>,
    objects: Arc<dyn BoundObjects>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Certificates of `client_ca_pem`, tokens of `tokens` bound to `objects`.
    pub fn new(
        client_ca_pem: &str,
        tokens: Arc<ServiceAccountTokens>,
        objects: Arc<dyn BoundObjects>,
    ) -> Result<Self, PkiError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots(client_ca_pem)?, provider())
                .build()
                .map_err(tls)?;
        Ok(Self {
            verifier,
            tokens,
            objects,
        })
    }

    /// Verifies a connection's certificate chain, once per connection. An empty chain is no peer.
    pub fn peer(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Option<Peer>, AuthnError> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Ok(None);
        };
        let at =
            UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().max(0).unsigned_abs()));
        self.verifier
            .verify_client_cert(leaf, intermediates, at)
            .map_err(|e| AuthnError::Certificate(e.to_string()))?;
        peer(leaf).map(Some)
    }

    /// The user behind a request: the certificate if there is one that is valid, else the bearer token, else `system:anonymous`.
    /// `authorization` is the header's value.
    pub fn authenticate(
        &self,
        peer: Option<&Peer>,
        authorization: Option<&str>,
        now: Timestamp,
    ) -> Result<UserInfo, AuthnError> {
        let at = now.as_second();
        match peer {
            Some(peer) if (peer.not_before..=peer.not_after).contains(&at) => {
                return Ok(peer.user.clone());
            }
            Some(_) if authorization.is_none() => {
                return Err(AuthnError::Certificate(
                    "it is not valid at this time; check the clocks".to_owned(),
                ));
            }
            _ => {}
        }
        let Some(header) = authorization else {
            return Ok(UserInfo::anonymous());
        };
        let verified = self.verify(bearer(header).ok_or(AuthnError::Header)?, &[], now)?;
        Ok(authenticated(verified.user))
    }

    /// Verifies a token for `audiences` (empty: the API server's own): what a TokenReview asks. The user has the group
    /// `system:authenticated`.
    pub fn review(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let verified = self.verify(token, audiences, now)?;
        Ok(Verified {
            user: authenticated(verified.user),
            ..verified
        })
    }

    fn verify(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        self.tokens.verify(token, audiences, &*self.objects, now)
    }
}

/// The token in an `Authorization` header of the form `Bearer TOKEN`.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' '))
        .then_some(token)
}

/// Adds the group of everyone who proved who they are, unless the user is in it or in its opposite.
pub fn authenticated(mut user: UserInfo) -> UserInfo {
    if !user.in_group(GROUP_AUTHENTICATED) && !user.in_group(GROUP_UNAUTHENTICATED) {
        user.groups.push(GROUP_AUTHENTICATED.to_owned());
    }
    user
}

/// CN is the user, each O a group, as Kubernetes reads a client certificate.
fn peer(leaf: &CertificateDer<'_>) -> Result<Peer, AuthnError> {
    let wrong = |what: &str| AuthnError::Certificate(what.to_owned());
    let (_, certificate) =
        X509Certificate::from_der(leaf).map_err(|_| wrong("it cannot be read"))?;
    let subject = certificate.subject();
    let name = subject
        .iter_common_name()
        .next()
        .and_then(|cn| cn.as_str().ok())
        .unwrap_or_default();
    if name.is_empty() {
        return Err(wrong("it names no user (its CN is empty)"));
    }
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok());
    let mut user = UserInfo::new(name, groups);
    let fingerprint: String = Sha256::digest(leaf.as_ref())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    user.extra.insert(
        "authentication.kubernetes.io/credential-id".into(),
        vec![format!("X509SHA256={fingerprint}")],
    );
    let validity = certificate.validity();
    Ok(Peer {
        user: authenticated(user),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}
