//! The claims of a service-account token, as `k8s.io/kubernetes/pkg/serviceaccount` writes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name and uid of an object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Name.
    pub name: String,
    /// Uid.
    #[serde(default)]
    pub uid: String,
}

/// What to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// The account's namespace.
    pub namespace: String,
    /// The account.
    pub service_account: ObjectRef,
    /// The pod that the token ends with.
    pub pod: Option<ObjectRef>,
    /// The secret that the token ends with.
    pub secret: Option<ObjectRef>,
    /// The node: the one that the pod runs on, or the one that the token ends with.
    pub node: Option<ObjectRef>,
    /// For whom.
    pub audiences: Vec<String>,
    /// For how long.
    pub expiration_seconds: i64,
}

/// `kubernetes.io`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<ObjectRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<ObjectRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<ObjectRef>,
    pub(crate) serviceaccount: ObjectRef,
}

/// All claims. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    #[serde(default)]
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) private: Private,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
}

impl Claims {
    pub(crate) fn new(issuer: &str, spec: &TokenSpec, now: Timestamp) -> Self {
        let at = now.as_second();
        Self {
            aud: spec.audiences.clone(),
            exp: at.saturating_add(spec.expiration_seconds),
            iat: at,
            iss: issuer.to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            private: Private {
                namespace: spec.namespace.clone(),
                node: spec.node.clone(),
                pod: spec.pod.clone(),
                secret: spec.secret.clone(),
                serviceaccount: spec.service_account.clone(),
            },
            nbf: at,
            sub: format!(
                "system:serviceaccount:{}:{}",
                spec.namespace, spec.service_account.name
            ),
        }
    }
}
