//! Annotations of ours that several parts go by.

use std::collections::BTreeMap;

/// Of a Node: the port on which its metrics are, where it is not the site's.
pub const METRICS_PORT: &str = "minicloud.io/metrics-port";

/// The port that a Node's annotations give for its metrics; `None` where they give none that can be.
pub fn metrics_port(annotations: Option<&BTreeMap<String, String>>) -> Option<u16> {
    let port = annotations?.get(METRICS_PORT)?.trim().parse().ok()?;
    (port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for (text, expected) in [
            ("9101", Some(9101)),
            (" 9101\n", Some(9101)),
            ("0", None),
            ("65536", None),
            ("http", None),
        ] {
            let annotations = [(METRICS_PORT.to_owned(), text.to_owned())].into();
            assert_eq!(metrics_port(Some(&annotations)), expected, "{text:?}");
        }
        assert_eq!(metrics_port(Some(&BTreeMap::new())), None);
        assert_eq!(metrics_port(None), None);
    }
}
