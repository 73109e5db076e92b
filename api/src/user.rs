//! Who is asking: the principal that every API of Minicloud shares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A Kubernetes user: what a client certificate, a service-account token or a TokenReview names.
/// Field names on the wire are those of `authentication.k8s.io/v1.UserInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserInfo {
    /// The name, e.g. `system:node:edge-1` or `system:serviceaccount:default:default`.
    pub username: String,
    /// The id that tells two users of one name apart over time; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups that the user is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What the authenticator knows beyond that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The group whose members may do anything.
pub const GROUP_MASTERS: &str = "system:masters";
/// The group of everyone who proved who they are.
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who did not.
pub const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of someone who did not prove who they are.
pub const USER_ANONYMOUS: &str = "system:anonymous";
/// The group of node agents.
pub const GROUP_NODES: &str = "system:nodes";
/// The prefix of a node agent's user name.
pub const NODE_USER_PREFIX: &str = "system:node:";

impl UserInfo {
    /// A user of this name in these groups.
    pub fn new(
        username: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            username: username.into(),
            groups: groups.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Someone who did not say who they are.
    pub fn anonymous() -> Self {
        Self::new(USER_ANONYMOUS, [GROUP_UNAUTHENTICATED])
    }

    /// True for [`UserInfo::anonymous`].
    pub fn is_anonymous(&self) -> bool {
        self.username == USER_ANONYMOUS
    }

    /// True when the user is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node's name, for a node agent.
    pub fn node_name(&self) -> Option<&str> {
        self.username
            .strip_prefix(NODE_USER_PREFIX)
            .filter(|_| self.in_group(GROUP_NODES))
    }

    /// `(namespace, name)` of a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.username
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')
    }
}
