//! The pure part of access: who needs no credentials, what a certificate or a review says, and the words of a refusal.

use http::StatusCode;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use minicloud_api::part::Need;
use minicloud_api::problem::Problem;
use minicloud_api::user::{GROUP_AUTHENTICATED, UserInfo};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Health is for everyone; nothing else is.
pub(crate) fn is_anonymous(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz")
}

/// The user that a client certificate names (CN; each O is a group), when it is within its dates. The TLS layer has
/// verified the chain.
pub(crate) fn certificate_user(der: &[u8], now_seconds: i64) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    if now_seconds < validity.not_before.timestamp() || now_seconds > validity.not_after.timestamp()
    {
        return None;
    }
    let subject = certificate.subject();
    let name = subject
        .iter_common_name()
        .next()?
        .as_str()
        .ok()
        .filter(|name| !name.is_empty())?;
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok());
    Some(UserInfo::new(name, groups.chain([GROUP_AUTHENTICATED])))
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' '))
        .then_some(token)
}

/// The user in a TokenReview's answer, if the token was good.
pub(crate) fn reviewed_user(status: Option<&TokenReviewStatus>) -> Option<UserInfo> {
    let status = status.filter(|s| s.authenticated == Some(true))?;
    let user = status.user.as_ref()?;
    Some(UserInfo {
        username: user.username.clone().filter(|name| !name.is_empty())?,
        uid: user.uid.clone().unwrap_or_default(),
        groups: user.groups.clone().unwrap_or_default(),
        extra: user.extra.clone().unwrap_or_default().into_iter().collect(),
    })
}

pub(crate) fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).hint(
        "send a client certificate of the cluster's CA, or a Kubernetes token as \"Authorization: Bearer TOKEN\" \
         (`kubectl create token NAME` makes one)",
    )
}

/// Kubernetes' sentence, and how to find out more.
pub(crate) fn forbidden(user: &UserInfo, need: &Need, reason: &str) -> Problem {
    let name = &user.username;
    let (mut detail, question) = match need {
        Need::Nothing | Need::Credentials => {
            (format!("User {name:?} is not let in"), "--list".to_owned())
        }
        Need::Path { verb, path } => (
            format!("User {name:?} cannot {verb} path {path:?}"),
            format!("{verb} {path}"),
        ),
        Need::Resource(p) => {
            let resource = if p.subresource.is_empty() {
                p.resource.to_owned()
            } else {
                format!("{}/{}", p.resource, p.subresource)
            };
            let place = p
                .namespace
                .as_ref()
                .map_or("at the cluster scope".to_owned(), |namespace| {
                    format!("in the namespace {namespace:?}")
                });
            let qualified = if p.group.is_empty() {
                resource.clone()
            } else {
                format!("{resource}.{}", p.group)
            };
            let scope = p
                .namespace
                .as_ref()
                .map_or(String::new(), |namespace| format!(" -n {namespace}"));
            (
                format!(
                    "User {name:?} cannot {} resource {resource:?} in API group {:?} {place}",
                    p.verb, p.group
                ),
                format!("{} {qualified}{scope}", p.verb),
            )
        }
    };
    if !reason.is_empty() {
        detail.push_str(": ");
        detail.push_str(reason);
    }
    Problem::new(StatusCode::FORBIDDEN, detail)
        .hint(format!("ask an administrator for a role that allows it; `kubectl auth can-i {question}` tells whether you have one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use minicloud_api::part::Permission;

    #[test]
    fn only_health_is_anonymous() {
        for (path, expected) in [
            ("/livez", true),
            ("/readyz", true),
            ("/livez/", false),
            ("/readyz/../metrics", false),
            ("/metrics", false),
            ("/openapi.json", false),
            ("/", false),
        ] {
            assert_eq!(is_anonymous(path), expected, "{path}");
        }
    }

    #[test]
    fn bearer_tokens() {
        for (header, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("Bearer a b", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), expected, "{header:?}");
        }
    }

    #[test]
    fn refusals_name_what_is_missing() {
        let check = |need: Need, reason: &str, expected: Expect| {
            expected
                .assert_eq(&forbidden(&UserInfo::new("ann", ["dev"]), &need, reason).to_string());
        };
        let mut permission = Permission::cluster("list", "", "nodes");
        check(
            Need::Resource(permission.clone()),
            "",
            expect![[
                r#"Forbidden: User "ann" cannot list resource "nodes" in API group "" at the cluster scope (ask an administrator for a role that allows it; `kubectl auth can-i list nodes` tells whether you have one)"#
            ]],
        );
        permission = Permission {
            group: "apps",
            resource: "deployments",
            subresource: "scale",
            namespace: Some("web".into()),
            ..permission
        };
        check(
            Need::Resource(permission),
            "no role",
            expect![[
                r#"Forbidden: User "ann" cannot list resource "deployments/scale" in API group "apps" in the namespace "web": no role (ask an administrator for a role that allows it; `kubectl auth can-i list deployments/scale.apps -n web` tells whether you have one)"#
            ]],
        );
        check(
            Need::path("/metrics"),
            "",
            expect![[
                r#"Forbidden: User "ann" cannot get path "/metrics" (ask an administrator for a role that allows it; `kubectl auth can-i get /metrics` tells whether you have one)"#
            ]],
        );
    }

    #[test]
    fn certificates_that_are_none() {
        assert_eq!(certificate_user(b"", 0), None);
        assert_eq!(certificate_user(b"0\x82", 0), None);
    }
}
