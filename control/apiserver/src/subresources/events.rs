//! events.k8s.io/v1 Events are stored as core Events: the same facts under other names. Pure.

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::Value;

use crate::registry::Resource;
use crate::strategy;

/// Core name, events.k8s.io name. What is not here is called the same in both.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// From events.k8s.io/v1 to core v1.
pub(crate) fn to_core(event: &mut Value) {
    rename(event, "v1", |(core, other)| (other, core));
}

/// From core v1 to events.k8s.io/v1.
pub(crate) fn from_core(event: &mut Value) {
    rename(event, "events.k8s.io/v1", |names| names);
}

/// What Kubernetes asks of new events in this group and not of core's: who says it, when, and about what.
pub(crate) fn check_create(
    resource: &Resource,
    event: &Value,
    namespace: &str,
) -> Result<(), ApiStatus> {
    let Some(rules) = minicloud_validation::rules(&resource.group, &resource.version, "Event")
    else {
        return Ok(());
    };
    let mut event = strategy::decode_by(rules, resource, event.clone())?.value;
    let name = meta::name(&event).to_owned();
    // As it will be stored: what is wrong with the name is found out there.
    let metadata = meta::metadata_mut(&mut event);
    metadata.insert("namespace".into(), namespace.into());
    metadata.insert("name".into(), "event".into());
    let errors = rules.validate(&event);
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiStatus::invalid(
        &resource.group,
        &resource.kind,
        &name,
        &errors,
    ))
}

fn rename(
    event: &mut Value,
    api_version: &str,
    order: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let root = meta::root_mut(event);
    root.insert("apiVersion".into(), api_version.into());
    for names in NAMES {
        let (from, to) = order(names);
        if let Some(value) = root.remove(from) {
            root.insert(to.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m", "count": 2,
            "involvedObject": {"kind": "Pod"}, "reportingComponent": "x", "reason": "R", "eventTime": null});
        let mut event = core.clone();
        from_core(&mut event);
        assert_eq!(event["note"], "m");
        assert_eq!(event["regarding"]["kind"], "Pod");
        assert!(event.get("message").is_none());
        to_core(&mut event);
        assert_eq!(event, core);
    }
}
