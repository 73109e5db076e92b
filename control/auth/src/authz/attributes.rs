//! What is asked of the authorizer, what it answers, and Kubernetes' words for a refusal.

use std::sync::Arc;

use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use serde_json::json;

/// A request, as authorization sees it. Empty strings stand for "none", as in Kubernetes.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, …; for a non-resource path the
    /// HTTP method in lower case.
    pub verb: &'a str,
    /// False for a path outside the resources, such as `/healthz`.
    pub resource_request: bool,
    /// API group, empty for core.
    pub api_group: &'a str,
    /// API version.
    pub api_version: &'a str,
    /// Resource, plural.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Namespace, empty for the cluster scope and for all namespaces.
    pub namespace: &'a str,
    /// Object name. For a list or watch with the field selector `metadata.name=NAME` it is that name, as in Kubernetes.
    pub name: &'a str,
    /// The path of a non-resource request.
    pub path: &'a str,
    /// The equality terms of a list's or watch's field selector: the node authorizer looks at them.
    pub field_selector: &'a [(&'a str, &'a str)],
}

impl<'a> Attributes<'a> {
    /// A request for a resource; the rest of the fields start empty.
    pub fn resource(
        user: &'a UserInfo,
        verb: &'a str,
        api_group: &'a str,
        resource: &'a str,
    ) -> Self {
        Self {
            user,
            verb,
            resource_request: true,
            api_group,
            api_version: "",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            field_selector: &[],
        }
    }

    /// A request for a path outside the resources.
    pub fn path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Self {
        Self {
            resource_request: false,
            path,
            ..Self::resource(user, verb, "", "")
        }
    }

    /// The same request for a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: &'a str) -> Self {
        self.subresource = subresource;
        self
    }

    /// The same request in a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = namespace;
        self
    }

    /// The same request for one object.
    #[must_use]
    pub fn named(mut self, name: &'a str) -> Self {
        self.name = name;
        self
    }

    /// True for the verbs that change nothing.
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }
}

/// The authorizer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may; the reason says by which binding (for a SubjectAccessReview). Shared, as this is the hot path.
    Allow(Arc<str>),
    /// Nothing allows it; the reason may be empty.
    NoOpinion(String),
}

impl Decision {
    /// True for [`Decision::Allow`].
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason, perhaps empty.
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) => reason,
            Self::NoOpinion(reason) => reason,
        }
    }
}

/// Kubernetes' sentence for a refusal, without the leading `pods is forbidden: `.
pub fn denial(attributes: &Attributes<'_>, reason: &str) -> String {
    let user = &attributes.user.username;
    let verb = attributes.verb;
    let mut text = if attributes.resource_request {
        let resource = if attributes.subresource.is_empty() {
            attributes.resource.to_owned()
        } else {
            format!("{}/{}", attributes.resource, attributes.subresource)
        };
        let place = if attributes.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", attributes.namespace)
        };
        format!(
            "User {user:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
            attributes.api_group
        )
    } else {
        format!("User {user:?} cannot {verb} path {:?}", attributes.path)
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

/// The 403 that Kubernetes answers with.
pub fn forbidden(attributes: &Attributes<'_>, reason: &str) -> ApiStatus {
    let why = denial(attributes, reason);
    if attributes.resource_request {
        ApiStatus::forbidden(
            attributes.api_group,
            attributes.resource,
            attributes.name,
            &why,
        )
    } else {
        ApiStatus {
            details: Some(Box::new(json!({}))),
            ..ApiStatus::new(403, "Forbidden", format!("forbidden: {why}"))
        }
    }
}
