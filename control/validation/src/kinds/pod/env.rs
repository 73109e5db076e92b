//! Environment variables and the downward API.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use minicloud_api::quantity::Quantity;
use serde_json::Value;

use super::super::text::required;
use crate::at::At;
use crate::json::Get;

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// Fields that the downward API can convert at all, whether or not where they are used.
const CONVERTIBLE: [&str; 13] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTES_DIVISORS: [&str; 13] = [
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

pub(super) fn check(container: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let list = at.child("env");
    for (i, env) in container.items("env").iter().enumerate() {
        let at = list.index(i);
        let name = env.text("name");
        if name.is_empty() {
            at.child("name").required(errors, "");
        } else {
            at.child("name")
                .complain(errors, name, names::env_name(name));
        }
        if env.has("valueFrom") {
            value_from(env, &at.child("valueFrom"), errors);
        }
    }
    env_from(container, &at.child("envFrom"), errors);
}

fn value_from(env: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let from = env.at("valueFrom");
    let mut sources = 0;
    if from.has("fieldRef") {
        sources += 1;
        field(
            from.at("fieldRef"),
            &ENV_FIELDS,
            &at.child("fieldRef"),
            errors,
        );
    }
    if from.has("resourceFieldRef") {
        sources += 1;
        resource(
            from.at("resourceFieldRef"),
            false,
            &at.child("resourceFieldRef"),
            errors,
        );
    }
    for source in ["configMapKeyRef", "secretKeyRef"] {
        if from.has(source) {
            sources += 1;
            let (reference, at) = (from.at(source), at.child(source));
            let name = reference.text("name");
            at.child("name")
                .complain(errors, name, names::dns1123_subdomain(name));
            let key = reference.text("key");
            if key.is_empty() {
                at.child("key").required(errors, "");
            } else {
                at.child("key")
                    .complain(errors, key, names::config_key(key));
            }
        }
    }
    if from.has("fileKeyRef") {
        sources += 1;
        let (reference, at) = (from.at("fileKeyRef"), at.child("fileKeyRef"));
        for field in ["key", "path", "volumeName"] {
            required(reference, field, &at, errors);
        }
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        at.invalid(errors, "", detail);
    } else if !env.text("value").is_empty() {
        at.invalid(errors, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        at.invalid(
            errors,
            "",
            "may not have more than one field specified at a time",
        );
    }
}

fn env_from(container: &Value, list: &At<'_>, errors: &mut ErrorList) {
    for (i, source) in container.items("envFrom").iter().enumerate() {
        let at = list.index(i);
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            at.child("prefix")
                .complain(errors, prefix, names::env_name(prefix));
        }
        let mut sources = 0;
        for reference in ["configMapRef", "secretRef"] {
            if source.has(reference) {
                sources += 1;
                let name = source.at(reference).text("name");
                let at = at.child(reference);
                if name.is_empty() {
                    at.child("name").required(errors, "");
                } else {
                    at.child("name")
                        .complain(errors, name, names::dns1123_subdomain(name));
                }
            }
        }
        // Kubernetes reports both at the list, not at the item.
        if sources == 0 {
            list.invalid(
                errors,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            );
        } else if sources > 1 {
            list.invalid(
                errors,
                "",
                "may not have more than one field specified at a time",
            );
        }
    }
}

/// A `fieldRef` of a volume's file.
pub(super) fn volume_field(reference: &Value, at: &At<'_>, errors: &mut ErrorList) {
    field(reference, &VOLUME_FIELDS, at, errors);
}

fn field(reference: &Value, supported: &[&str], at: &At<'_>, errors: &mut ErrorList) {
    let (version, path) = (reference.text("apiVersion"), reference.text("fieldPath"));
    if version.is_empty() {
        return at.child("apiVersion").required(errors, "");
    }
    if path.is_empty() {
        return at.child("fieldPath").required(errors, "");
    }
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return at.child("fieldPath").invalid(errors, path, &detail);
    }
    if let Some((base, key)) = path
        .strip_suffix("']")
        .and_then(|rest| rest.split_once("['"))
    {
        match base {
            "metadata.annotations" => at.complain(
                errors,
                key,
                names::qualified_name(&key.to_ascii_lowercase()),
            ),
            "metadata.labels" => at.complain(errors, key, names::qualified_name(key)),
            _ => {
                let detail = format!(
                    "error converting fieldPath: field label does not support subscript: {base}"
                );
                at.child("fieldPath").invalid(errors, path, &detail);
            }
        }
    } else if !CONVERTIBLE.contains(&path) && !supported.contains(&path) {
        let detail = format!("error converting fieldPath: field label not supported: {path}");
        at.child("fieldPath").invalid(errors, path, &detail);
    } else if !supported.contains(&path) {
        at.child("fieldPath").unsupported(errors, path, supported);
    }
}

/// A `resourceFieldRef`; in a volume it must name the container.
pub(super) fn resource(reference: &Value, volume: bool, at: &At<'_>, errors: &mut ErrorList) {
    let name = reference.text("resource");
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if volume && reference.text("containerName").is_empty() {
        at.child("containerName").required(errors, "");
    } else if name.is_empty() {
        at.child("resource").required(errors, "");
    } else if !RESOURCES.contains(&name) && !huge {
        at.child("resource").unsupported(errors, name, &RESOURCES);
    }
    let divisor = reference.text("divisor");
    if divisor.is_empty() || divisor.parse::<Quantity>().is_ok_and(|d| d.is_zero()) {
        return;
    }
    let kind = name.split_once('.').map_or("", |(_, kind)| kind);
    let at = at.child("divisor");
    let bytes = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the";
    match kind {
        "cpu" if !["1m", "1"].contains(&divisor) => {
            at.invalid(
                errors,
                name,
                "only divisor's values 1m and 1 are supported with the cpu resource",
            );
        }
        "cpu" => {}
        _ if BYTES_DIVISORS.contains(&divisor) => {}
        "memory" => at.invalid(errors, name, &format!("{bytes} memory resource")),
        "ephemeral-storage" => at.invalid(
            errors,
            name,
            &format!("{bytes} local ephemeral storage resource"),
        ),
        _ if huge => at.invalid(errors, name, &format!("{bytes} hugepages resource")),
        _ => {}
    }
}
