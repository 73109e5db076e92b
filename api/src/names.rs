//! What names, labels and keys may look like, with Kubernetes' sentences about what is wrong with one that does not.
//!
//! Every function returns the complaints; an empty list means the value is good. The sentences are those of
//! Kubernetes' `util/validation`.

/// The longest DNS label (RFC 1123), in bytes.
pub const LABEL_MAX_BYTES: usize = 63;
/// The longest DNS subdomain (RFC 1123), in bytes.
pub const SUBDOMAIN_MAX_BYTES: usize = 253;

const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_1123: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const NOT_QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const PORT_NAME_CHARS: &str =
    "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(name: &str) -> bool {
    let b = name.as_bytes();
    !b.is_empty()
        && is_lower_alnum(b[0])
        && is_lower_alnum(b[b.len() - 1])
        && b.iter().all(|&c| is_lower_alnum(c) || c == b'-')
}

fn is_qualified_part(name: &str) -> bool {
    let b = name.as_bytes();
    !b.is_empty()
        && b[0].is_ascii_alphanumeric()
        && b[b.len() - 1].is_ascii_alphanumeric()
        && b.iter()
            .all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// A DNS label by RFC 1123: pod ports' hosts, namespaces, container names.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX_BYTES {
        errors.push(too_long(LABEL_MAX_BYTES));
    }
    if !is_label(name) {
        errors.push(LABEL_1123.to_owned());
    }
    errors
}

/// A DNS subdomain by RFC 1123: most object names.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(too_long(SUBDOMAIN_MAX_BYTES));
    }
    if !name.split('.').all(is_label) {
        errors.push(SUBDOMAIN_1123.to_owned());
    }
    errors
}

/// A DNS label by RFC 1035: Service names.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX_BYTES {
        errors.push(too_long(LABEL_MAX_BYTES));
    }
    if !is_label(name) || !name.as_bytes()[0].is_ascii_lowercase() {
        errors.push(LABEL_1035.to_owned());
    }
    errors
}

/// A name that is one segment of a URL path: RBAC objects.
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|c| name.contains(**c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// `[prefix/]name`: label and annotation keys, resource names, finalizers.
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(
                    dns1123_subdomain(prefix)
                        .into_iter()
                        .map(|e| format!("prefix part {e}")),
                );
            }
            name
        }
        Some(_) => return vec![NOT_QUALIFIED.to_owned()],
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX_BYTES {
        errors.push(format!("name part {}", too_long(LABEL_MAX_BYTES)));
    }
    if !is_qualified_part(name) {
        errors.push(QUALIFIED.to_owned());
    }
    errors
}

/// A label's value.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_BYTES {
        errors.push(too_long(LABEL_MAX_BYTES));
    }
    if !value.is_empty() && !is_qualified_part(value) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

/// A key of a ConfigMap or Secret.
pub fn config_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(too_long(SUBDOMAIN_MAX_BYTES));
    }
    if key.is_empty()
        || !key
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
    {
        errors.push(CONFIG_KEY.to_owned());
    } else if key == "." {
        errors.push("must not be '.'".to_owned());
    } else if key == ".." {
        errors.push("must not be '..'".to_owned());
    } else if key.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

/// The name of an environment variable (relaxed form, the default since Kubernetes 1.32).
pub fn env_name(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if name.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=') {
        Vec::new()
    } else {
        vec![ENV_NAME.to_owned()]
    }
}

/// The name of a port (IANA service name).
pub fn port_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 15 {
        errors.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|c| is_lower_alnum(c) || c == b'-') {
        errors.push(PORT_NAME_CHARS.to_owned());
    }
    if !name.bytes().any(|c| c.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A port number.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_names() {
        type Rule = fn(&str) -> Vec<String>;
        let check = |rule: Rule, good: &[&str], bad: &[&str]| {
            for name in good {
                assert_eq!(rule(name), Vec::<String>::new(), "{name:?}");
            }
            for name in bad {
                assert!(!rule(name).is_empty(), "{name:?}");
            }
        };
        let long = "a".repeat(64);
        check(
            dns1123_label,
            &["a", "0-a", "my-name"],
            &["", "-a", "a-", "A", "a.b", "a_b", "é", &long],
        );
        check(
            dns1123_subdomain,
            &["a.b", &long],
            &["", "a..b", ".a", "a.", "A.b", &"a".repeat(254)],
        );
        check(dns1035_label, &["a-1"], &["1a", "", "A"]);
        check(
            qualified_name,
            &["a", "A_b.c", "x.io/a"],
            &["", "/a", "a/", "a/b/c", "-a", "X.io/a", &long],
        );
        check(label_value, &["", "A_b"], &["-a", "a/b", &long]);
        check(
            config_key,
            &["a", ".a", "a..b", "A_1"],
            &["", ".", "..", "..a", "a/b"],
        );
        check(env_name, &["A", "a.b", "1"], &["", "a=b", "a\n"]);
        check(
            port_name,
            &["http", "a-1"],
            &["", "1", "-a", "a--b", "HTTP", "a234567890123456"],
        );
        check(
            path_segment,
            &["system:node", "a"],
            &[".", "..", "a/b", "a%"],
        );
    }
}
