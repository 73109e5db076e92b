//! API groups that the Kubernetes API serves without holding their objects: it checks who asks and passes requests on to a part.
//!
//! Kubernetes has APIService objects for this; here the groups are fixed when the server starts, so there is nothing that an
//! object could redirect.

/// A group of the Kubernetes API that a part answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionGroup {
    /// The name, e.g. `metrics.k8s.io`.
    pub name: &'static str,
    /// Its versions, the preferred one first.
    pub versions: Vec<ExtensionVersion>,
}

/// A version of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionVersion {
    /// The name, e.g. `v1beta1`.
    pub name: &'static str,
    /// What discovery lists. Where there is nothing, the part is asked for the list.
    pub resources: &'static [ExtensionResource],
}

/// A resource as discovery lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionResource {
    /// Plural name.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// What may be asked for; all else gets 405.
    pub verbs: &'static [&'static str],
}

/// The path below which a part answers the requests for `group`; it is the same at the Kubernetes API.
pub fn path(group: &str) -> String {
    format!("/apis/{group}")
}

/// The permission that passing on a request for a group needs at the part: only the Kubernetes API has it, which has asked
/// already whether the caller may do what it wants to.
pub const PERMISSION: crate::part::Permission = crate::part::Permission {
    verb: "proxy",
    group: "minicloud.io",
    resource: "extensions",
    subresource: "",
    namespace: None,
    name: None,
};
