//! Which pages may show the console in a frame, and the other headers that keep the console to itself.

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// Where a page comes from: scheme, host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that names no origin. Report and stop: a wrong one would open or close a door silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: give scheme, host and perhaps a port, such as https://portal.example.org:8443"
)]
pub struct BadOrigin(String);

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| ["http", "https"].contains(scheme));
        let authority = uri.authority().map(|a| a.as_str());
        match (scheme, authority) {
            (Some(scheme), Some(authority))
                // What a header's source list could take for something else is no part of a host.
                if authority.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c))
                    && matches!(uri.path(), "" | "/")
                    && uri.query().is_none() =>
            {
                Ok(Self(format!("{scheme}://{authority}").to_ascii_lowercase()))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The headers of every answer below `/console/`.
///
/// There is no Strict-Transport-Security: it would bind the whole host, and an application on a NodePort may speak plain HTTP.
pub(crate) fn policy(embedders: &[Origin]) -> HeaderMap {
    let ancestors = if embedders.is_empty() {
        "'none'".to_owned()
    } else {
        let names: Vec<String> = embedders.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    let content = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; \
         frame-ancestors {ancestors}"
    );
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        // Origins hold nothing that a header cannot.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_SECURITY_POLICY, &content);
    set(header::REFERRER_POLICY, "no-referrer");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if embedders.is_empty() {
        // For whom does not know frame-ancestors.
        set(header::X_FRAME_OPTIONS, "DENY");
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (text, expected) in [
            (
                "https://Portal.example.org",
                Some("https://portal.example.org"),
            ),
            ("http://10.0.0.1:8080/", Some("http://10.0.0.1:8080")),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("https://*.example.org", None),
            ("*", None),
            ("portal.example.org", None),
            ("ftp://portal.example.org", None),
            ("https://user@portal.example.org", None),
            ("https://portal.example.org/page", None),
            ("https://portal.example.org/?a", None),
            ("https://a;script-src", None),
            ("", None),
        ] {
            let origin = Origin::from_str(text).map(|o| o.to_string());
            assert_eq!(origin.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn frames_are_for_those_who_were_named() {
        let text = |headers: &HeaderMap| {
            let value = headers.get(header::CONTENT_SECURITY_POLICY).expect("set");
            value.to_str().expect("text").to_owned()
        };
        let closed = policy(&[]);
        assert!(text(&closed).ends_with("frame-ancestors 'none'"));
        assert_eq!(closed[header::X_FRAME_OPTIONS], "DENY");
        let origins =
            ["https://a.example", "http://b.example:81"].map(|o| o.parse().expect("origin"));
        let open = policy(&origins);
        assert!(text(&open).ends_with("frame-ancestors https://a.example http://b.example:81"));
        assert!(!open.contains_key(header::X_FRAME_OPTIONS));
        assert!(!text(&open).contains("unsafe"));
    }
}
