//! Checks of texts that many kinds share: labels, annotations, addresses, paths, ports, enumerations.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use crate::at::At;
use crate::json::Get;

const ANNOTATIONS_MAX_BYTES: usize = 256 << 10;

pub(super) fn label_name(name: &str, at: &At<'_>, errors: &mut ErrorList) {
    at.complain(errors, name, names::qualified_name(name));
}

/// A map of labels at `field`.
pub(super) fn labels(object: &Value, field: &str, at: &At<'_>, errors: &mut ErrorList) {
    for (key, value) in object.entries(field) {
        let at = at.child(field);
        label_name(key, &at, errors);
        let value = value.as_str().unwrap_or_default();
        at.complain(errors, value, names::label_value(value));
    }
}

/// `annotations` of metadata: keys without regard to case, and their total size.
pub(super) fn annotations(metadata: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let mut bytes = 0;
    for (key, value) in metadata.entries("annotations") {
        let complaints = if key.bytes().any(|b| b.is_ascii_uppercase()) {
            names::qualified_name(&key.to_ascii_lowercase())
        } else {
            names::qualified_name(key)
        };
        at.child("annotations").complain(errors, key, complaints);
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        at.child("annotations")
            .too_long(errors, ANNOTATIONS_MAX_BYTES);
    }
}

/// The text of `field` must be one of `supported` (sorted, as Kubernetes lists them); a missing one is required.
pub(super) fn one_of(
    object: &Value,
    field: &str,
    supported: &[&str],
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    match object.text(field) {
        "" => at.child(field).required(errors, ""),
        _ => one_of_if_set(object, field, supported, at, errors),
    }
}

/// The same for a field that may be missing.
pub(super) fn one_of_if_set(
    object: &Value,
    field: &str,
    supported: &[&str],
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    if object.has(field) && !supported.contains(&object.text(field)) {
        at.child(field)
            .unsupported(errors, object.text(field), supported);
    }
}

/// An error if the text of `field` is empty.
pub(super) fn required(object: &Value, field: &str, at: &At<'_>, errors: &mut ErrorList) {
    if object.text(field).is_empty() {
        at.child(field).required(errors, "");
    }
}

/// Applies a rule of names to the text of `field` if it is not empty.
pub(super) fn name_if_set(
    object: &Value,
    field: &str,
    rule: fn(&str) -> Vec<String>,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    let name = object.text(field);
    if !name.is_empty() {
        at.child(field).complain(errors, name, rule(name));
    }
}

pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(super) fn ip(text: &str, at: &At<'_>, errors: &mut ErrorList) -> bool {
    let good = parse_ip(text).is_some();
    if !good {
        at.invalid(
            errors,
            text,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
    good
}

pub(super) fn cidr(text: &str, at: &At<'_>, errors: &mut ErrorList) {
    if text.parse::<IpNet>().is_err() {
        at.invalid(
            errors,
            text,
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
    }
}

/// Addresses at which no Service or endpoint may be: unspecified, loopback, link-local.
pub(super) fn not_special_ip(text: &str, at: &At<'_>, errors: &mut ErrorList) {
    let Some(ip) = parse_ip(text) else {
        return at.invalid(errors, text, "must be a valid IP address");
    };
    let (unicast, multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (
            v6.is_unicast_link_local(),
            Ipv6Addr::segments(&v6)[0] == 0xff02,
        ),
    };
    if ip.is_unspecified() {
        at.invalid(errors, text, &format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        at.invalid(
            errors,
            text,
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        );
    }
    if unicast {
        at.invalid(
            errors,
            text,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        );
    }
    if multicast {
        at.invalid(
            errors,
            text,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        );
    }
}

/// A list of at most one address of each family.
pub(super) fn one_per_family(ips: &[&str]) -> bool {
    let v6 = ips.iter().filter(|ip| ip.contains(':')).count();
    ips.len() <= 1 || (ips.len() == 2 && v6 == 1)
}

/// A port by number or by name.
pub(super) fn port_or_name(port: &Value, at: &At<'_>, errors: &mut ErrorList) {
    match port {
        Value::String(name) => at.complain(errors, name.as_str(), names::port_name(name)),
        other => {
            let number = other.as_i64().unwrap_or(0);
            at.complain(errors, number, names::port_number(number));
        }
    }
}

pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// No `..` anywhere in a path.
pub(super) fn no_backsteps(path: &str, at: &At<'_>, errors: &mut ErrorList) {
    if path.split('/').any(|part| part == "..") {
        at.invalid(errors, path, "must not contain '..'");
    }
}

/// A relative path that stays below where it starts.
pub(super) fn descending_path(path: &str, at: &At<'_>, errors: &mut ErrorList) {
    if path.starts_with('/') {
        at.invalid(errors, path, "must be a relative path");
    }
    no_backsteps(path, at, errors);
}

/// The same, and not one of the names that atomic updates of volumes use.
pub(super) fn local_path(path: &str, at: &At<'_>, errors: &mut ErrorList) {
    descending_path(path, at, errors);
    if path.starts_with("..") && !path.starts_with("../") {
        at.invalid(errors, path, "must not start with '..'");
    }
}

/// A file mode of nine bits.
pub(super) fn mode(object: &Value, field: &str, at: &At<'_>, errors: &mut ErrorList) {
    if let Some(mode) = object.int(field).filter(|mode| !(0..=0o777).contains(mode)) {
        at.child(field).invalid(
            errors,
            mode,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}
