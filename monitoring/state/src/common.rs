//! What several kinds have alike: owners, conditions, resource lists, resource versions.

use serde_json::Value;

use crate::families::{Family, Object};
use crate::json::{amount, list, map, text, truth, word};

/// One sample for each owner; without any, one with empty labels.
pub(crate) fn owners(out: &mut Object, family: Family, object: &Value) {
    let owners = list(object, "/metadata/ownerReferences");
    if owners.is_empty() {
        let none = [
            ("owner_kind", ""),
            ("owner_name", ""),
            ("owner_is_controller", ""),
        ];
        out.info(family, &none);
    }
    for owner in owners {
        let controller = word(truth(owner, "/controller").unwrap_or(false));
        let labels = [
            ("owner_kind", text(owner, "/kind")),
            ("owner_name", text(owner, "/name")),
            ("owner_is_controller", controller),
        ];
        out.info(family, &labels);
    }
}

/// The owner that controls this object: kind and name, empty without one.
pub(crate) fn controller(object: &Value) -> (&str, &str) {
    let owner = list(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| truth(owner, "/controller") == Some(true));
    owner.map_or(("", ""), |owner| {
        (text(owner, "/kind"), text(owner, "/name"))
    })
}

/// Three samples for each condition in the status, by `condition` and `status`.
pub(crate) fn conditions(out: &mut Object, family: Family, object: &Value) {
    for condition in list(object, "/status/conditions") {
        let labels = [("condition", text(condition, "/type"))];
        out.condition(family, &labels, "status", text(condition, "/status"));
    }
}

/// One sample for each resource in the list at a JSON pointer, with `resource` and `unit` after the labels given.
pub(crate) fn resources(
    out: &mut Object,
    family: Family,
    labels: &[(&str, &str)],
    object: &Value,
    pointer: &str,
) {
    for (name, value) in map(object, pointer) {
        let (Some(unit), Some(amount)) = (unit(name), amount(value)) else {
            continue;
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let more = [("resource", name.as_str()), ("unit", unit)];
        let labels: Vec<_> = labels.iter().copied().chain(more).collect();
        out.put(family, &labels, amount);
    }
}

/// The unit of a resource: Kubernetes' own have theirs, what a device plugin adds is counted. Other names are no resources.
fn unit(resource: &str) -> Option<&'static str> {
    match resource {
        "cpu" => Some("core"),
        "memory" | "storage" | "ephemeral-storage" => Some("byte"),
        "pods" => Some("integer"),
        name if name.starts_with("hugepages-") || name.starts_with("attachable-volumes-") => {
            Some("byte")
        }
        name if name.contains('/')
            && !name.contains("kubernetes.io/")
            && !name.starts_with("requests.") =>
        {
            Some("integer")
        }
        _ => None,
    }
}

/// The resource version as a number; nothing where it is none, as on some servers.
pub(crate) fn resource_version(object: &Value) -> Option<f64> {
    let version: u64 = text(object, "/metadata/resourceVersion").parse().ok()?;
    Some(version as f64)
}
