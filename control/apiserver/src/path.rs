//! What a request's path, method and query ask for: the pure half of routing.
//!
//! The rules are those of Kubernetes' `RequestInfoFactory`; authorization, metrics and dispatch all use what comes out of
//! here, so none of them looks at the path again.

use std::fmt;

use http::Method;
use minicloud_api::status::ApiStatus;
use percent_encoding::percent_decode_str;

use crate::query::Query;

/// What is to be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection or an object.
    Watch,
    /// Make an object (or act on a subresource by POST).
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object.
    Patch,
    /// Remove an object.
    Delete,
    /// Remove a collection.
    DeleteCollection,
}

impl Verb {
    /// The word that RBAC rules and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// True for verbs that change something.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRequest {
    /// The verb.
    pub verb: Verb,
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, empty for none or all.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Object name, empty for a collection.
    pub name: String,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// What follows the subresource, without the slash in front.
    pub rest: String,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource below `/api/V` or `/apis/G/V`.
    Resource(Box<ResourceRequest>),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/G`.
    Group(String),
    /// `/api/V` or `/apis/G/V`: group (empty for core) and version.
    GroupVersion(String, String),
    /// Anything else, with the decoded path.
    Other(String),
}

/// The most segments that a path may have: nothing that is served has more than nine.
const SEGMENTS_MAX: usize = 16;

/// Decodes and splits a path. An error is a path that is not UTF-8 after decoding or is too deep.
pub fn parse(method: &Method, path: &str, query: &Query) -> Result<Target, ApiStatus> {
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| ApiStatus::bad_request("the path of the request is not valid UTF-8"))?;
    if decoded.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(ApiStatus::bad_request(
            "the path of the request has control characters",
        ));
    }
    let segments: Vec<&str> = decoded.split('/').filter(|s| !s.is_empty()).collect();
    if segments.len() > SEGMENTS_MAX {
        return Err(ApiStatus::no_such_path());
    }
    let (group, version, rest) = match segments.as_slice() {
        ["api"] => return Ok(Target::CoreVersions),
        ["apis"] => return Ok(Target::Groups),
        ["api", version] => return Ok(Target::GroupVersion(String::new(), (*version).to_owned())),
        ["apis", group] => return Ok(Target::Group((*group).to_owned())),
        ["apis", group, version] => {
            return Ok(Target::GroupVersion(
                (*group).to_owned(),
                (*version).to_owned(),
            ));
        }
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Ok(Target::Other(decoded.into_owned())),
    };
    let (watch_path, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    // `/namespaces/N` and its own subresources are about the namespace; deeper paths are about what is in it.
    let (namespace, rest) = match rest {
        ["namespaces", name, "status" | "finalize", ..] | ["namespaces", name] => (*name, rest),
        ["namespaces", name, inner @ ..] => (*name, inner),
        rest => ("", rest),
    };
    let at = |i: usize| rest.get(i).copied().unwrap_or_default().to_owned();
    let name = at(1);
    let verb = match *method {
        Method::GET | Method::HEAD => {
            if name.is_empty() {
                if watch_path || query.flag("watch") {
                    Verb::Watch
                } else {
                    Verb::List
                }
            } else if watch_path {
                Verb::Watch
            } else {
                Verb::Get
            }
        }
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if name.is_empty() => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        _ => return Err(ApiStatus::method_not_allowed()),
    };
    Ok(Target::Resource(Box::new(ResourceRequest {
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        resource: at(0),
        name,
        subresource: at(2),
        rest: rest.get(3..).unwrap_or_default().join("/"),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, uri: &str, expect: &str) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let shown = match parse(&method, path, &Query::parse(query)) {
            Ok(Target::Resource(r)) => {
                format!(
                    "{} g={} v={} ns={} r={} n={} s={} {}",
                    r.verb,
                    r.group,
                    r.version,
                    r.namespace,
                    r.resource,
                    r.name,
                    r.subresource,
                    r.rest
                )
            }
            Ok(other) => format!("{other:?}"),
            Err(status) => format!("{}", status.code),
        };
        assert_eq!(shown.trim_end(), expect, "{method} {uri}");
    }

    #[test]
    fn paths() {
        check(Method::GET, "/api", "CoreVersions");
        check(Method::GET, "/api/", "CoreVersions");
        check(Method::GET, "/apis", "Groups");
        check(Method::GET, "/apis/apps", "Group(\"apps\")");
        check(Method::GET, "/api/v1", "GroupVersion(\"\", \"v1\")");
        check(
            Method::GET,
            "/apis/apps/v1",
            "GroupVersion(\"apps\", \"v1\")",
        );
        check(Method::GET, "/version", "Other(\"/version\")");
        check(Method::GET, "/", "Other(\"/\")");
        check(Method::GET, "/api/v1/pods", "list g= v=v1 ns= r=pods n= s=");
        check(
            Method::GET,
            "/api/v1/pods?watch=1",
            "watch g= v=v1 ns= r=pods n= s=",
        );
        check(
            Method::GET,
            "/api/v1/watch/pods",
            "watch g= v=v1 ns= r=pods n= s=",
        );
        check(
            Method::GET,
            "/api/v1/namespaces/a/pods/p?watch=1",
            "get g= v=v1 ns=a r=pods n=p s=",
        );
        check(
            Method::GET,
            "/api/v1/watch/namespaces/a/pods/p",
            "watch g= v=v1 ns=a r=pods n=p s=",
        );
        check(
            Method::GET,
            "/api/v1/namespaces/a/pods?watch=false",
            "list g= v=v1 ns=a r=pods n= s=",
        );
        check(
            Method::GET,
            "/api/v1/namespaces",
            "list g= v=v1 ns= r=namespaces n= s=",
        );
        check(
            Method::GET,
            "/api/v1/namespaces/a",
            "get g= v=v1 ns=a r=namespaces n=a s=",
        );
        check(
            Method::PUT,
            "/api/v1/namespaces/a/finalize",
            "update g= v=v1 ns=a r=namespaces n=a s=finalize",
        );
        check(
            Method::PATCH,
            "/api/v1/namespaces/a/status",
            "patch g= v=v1 ns=a r=namespaces n=a s=status",
        );
        check(
            Method::DELETE,
            "/apis/apps/v1/namespaces/a/deployments",
            "deletecollection g=apps v=v1 ns=a r=deployments n= s=",
        );
        check(
            Method::DELETE,
            "/apis/apps/v1/namespaces/a/deployments/d",
            "delete g=apps v=v1 ns=a r=deployments n=d s=",
        );
        check(
            Method::POST,
            "/api/v1/namespaces/a/pods/p/exec?command=sh",
            "create g= v=v1 ns=a r=pods n=p s=exec",
        );
        check(
            Method::GET,
            "/api/v1/namespaces/a/services/p/proxy/x/y",
            "get g= v=v1 ns=a r=services n=p s=proxy x/y",
        );
        check(
            Method::GET,
            "/apis/g/v1/things/system%3Anode",
            "get g=g v=v1 ns= r=things n=system:node s=",
        );
        check(Method::GET, "/api/v1/namespaces/%ff/pods", "400");
        check(Method::GET, "/api/v1/namespaces/%00/pods", "400");
        check(Method::OPTIONS, "/api/v1/pods", "405");
        check(Method::GET, &"/a".repeat(50), "404");
    }
}
