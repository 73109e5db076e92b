//! What may change in a pod, and in its status.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Value, json};

use super::super::text::ip;
use super::{SPEC, containers};
use crate::at::At;
use crate::json::{Get, Set, same};
use crate::seen::Seen;

const STATUS: At<'static> = At::root("status");
const MAY_CHANGE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn check(new: &Value, old: &Value, errors: &mut ErrorList) {
    annotations(
        new.at("metadata").at("annotations"),
        old.at("metadata").at("annotations"),
        errors,
    );
    let (spec, before) = (new.at("spec"), old.at("spec"));
    if same(spec, before) {
        return;
    }
    for list in ["containers", "initContainers"] {
        if !containers::check_update(
            spec.items(list),
            before.items(list),
            &SPEC.child(list),
            errors,
        ) {
            return;
        }
    }
    if !deadline(spec, before, errors) {
        return;
    }
    tolerations(spec, before, errors);
    let gates = SPEC.child("schedulingGates");
    let had = before.items("schedulingGates").iter();
    let had: Seen<&str> = had.map(|gate| gate.text("name")).collect();
    for (i, gate) in spec.items("schedulingGates").iter().enumerate() {
        let name = gate.text("name");
        if !had.contains(&name) {
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            gates.index(i).child("name").forbidden(errors, &detail);
        }
    }
    let munged = munged(spec, before, errors);
    if !same(&munged, before) {
        let mut detail = format!("pod updates may not change fields other than {MAY_CHANGE}\n");
        differences(&munged, before, &mut "spec".to_owned(), &mut detail);
        SPEC.forbidden(errors, &detail);
    }
}

fn annotations(new: &Value, old: &Value, errors: &mut ErrorList) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let at = At::root("metadata");
    let at = at.child("annotations");
    match (new.has(MIRROR), old.has(MIRROR)) {
        (true, false) => at
            .key(MIRROR)
            .forbidden(errors, "may not add mirror pod annotation"),
        (_, true) if new.text(MIRROR) != old.text(MIRROR) || !new.has(MIRROR) => {
            at.key(MIRROR)
                .forbidden(errors, "may not remove or update mirror pod annotation");
        }
        _ => {}
    }
}

/// A deadline may appear and may shorten. False if it is so wrong that nothing else is worth saying.
fn deadline(spec: &Value, before: &Value, errors: &mut ErrorList) -> bool {
    let at = SPEC.child("activeDeadlineSeconds");
    match (
        spec.int("activeDeadlineSeconds"),
        before.int("activeDeadlineSeconds"),
    ) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            at.invalid(errors, new, "must be between 0 and 2147483647, inclusive");
            false
        }
        (Some(new), Some(old)) if old < new => {
            at.invalid(errors, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            at.invalid(
                errors,
                Value::Null,
                "must not update from a positive integer to nil value",
            );
            true
        }
        _ => true,
    }
}

fn tolerations(spec: &Value, before: &Value, errors: &mut ErrorList) {
    fn essence(toleration: &Value) -> [&str; 4] {
        ["key", "operator", "value", "effect"].map(|field| toleration.text(field))
    }
    let now: Seen<_> = spec.items("tolerations").iter().map(essence).collect();
    if !before
        .items("tolerations")
        .iter()
        .all(|old| now.contains(&essence(old)))
    {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        SPEC.child("tolerations").forbidden(errors, detail);
    }
}

/// The new specification with everything that may change put back, so that what differs then is a mistake.
fn munged(spec: &Value, before: &Value, errors: &mut ErrorList) -> Value {
    let mut munged = spec.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in munged.items_mut(list).zip(before.items(list)) {
            container.copy_from(old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        munged.copy_from(before, field);
    }
    const GRACE: &str = "terminationGracePeriodSeconds";
    if before.int(GRACE).is_some_and(|s| s < 0) && spec.int(GRACE) == Some(1) {
        munged.copy_from(before, GRACE);
    }
    if !before.items("schedulingGates").is_empty() {
        let added = |old: &Value| {
            before
                .entries("nodeSelector")
                .all(|(key, value)| old.at("nodeSelector").at(key) == value)
        };
        if added(spec) {
            munged.copy_from(before, "nodeSelector");
        } else {
            let detail =
                "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            SPEC.child("nodeSelector")
                .invalid(errors, spec.at("nodeSelector").clone(), detail);
        }
    }
    munged
}

/// One line for every difference, as far as a person wants to read.
fn differences(new: &Value, old: &Value, path: &mut String, out: &mut String) {
    const OUT_MAX_BYTES: usize = 2048;
    if same(new, old) || out.len() > OUT_MAX_BYTES {
        return;
    }
    let length = path.len();
    match (new, old) {
        (Value::Object(x), Value::Object(y)) => {
            for key in x.keys().chain(y.keys().filter(|key| !x.contains_key(*key))) {
                path.push('.');
                path.push_str(key);
                differences(new.at(key), old.at(key), path, out);
                path.truncate(length);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (new, old)) in x.iter().zip(y).enumerate() {
                path.push_str(&format!("[{i}]"));
                differences(new, old, path, out);
                path.truncate(length);
            }
        }
        _ => {
            let shown = |v: &Value| {
                let text = v.to_string();
                if text.chars().count() > 120 {
                    text.chars().take(120).chain(['…']).collect()
                } else {
                    text
                }
            };
            out.push_str(&format!("  {path}: {} -> {}\n", shown(old), shown(new)));
        }
    }
}

pub(super) fn check_status(new: &Value, old: &Value, errors: &mut ErrorList) {
    annotations(
        new.at("metadata").at("annotations"),
        old.at("metadata").at("annotations"),
        errors,
    );
    let (status, before) = (new.at("status"), old.at("status"));
    conditions(status, errors);
    if new.at("spec").text("nodeName") != old.at("spec").text("nodeName") {
        STATUS
            .child("nodeName")
            .forbidden(errors, "may not be changed directly");
    }
    let nominated = status.text("nominatedNodeName");
    if !nominated.is_empty() && nominated != before.text("nominatedNodeName") {
        STATUS.child("nominatedNodeName").complain(
            errors,
            nominated,
            names::dns1123_subdomain(nominated),
        );
    }
    if status.text("qosClass") != before.text("qosClass") {
        STATUS
            .child("qosClass")
            .invalid(errors, status.text("qosClass"), "field is immutable");
    }
    let policy = old.at("spec").text("restartPolicy");
    let sidecars: Seen<&str> = old
        .at("spec")
        .items("initContainers")
        .iter()
        .filter(|c| c.text("restartPolicy") == "Always")
        .map(|c| c.text("name"))
        .collect();
    transitions(
        "containerStatuses",
        status,
        before,
        policy,
        &Seen::new(),
        errors,
    );
    transitions(
        "initContainerStatuses",
        status,
        before,
        policy,
        &sidecars,
        errors,
    );
    transitions(
        "ephemeralContainerStatuses",
        status,
        before,
        "Never",
        &Seen::new(),
        errors,
    );
    addresses(status, "podIPs", errors);
    if let Some(first) = status.items("hostIPs").first() {
        if first.text("ip") != status.text("hostIP") {
            STATUS.child("hostIPs").index(0).child("ip").invalid(
                errors,
                first.text("ip"),
                "must be equal to `hostIP`",
            );
        }
        addresses(status, "hostIPs", errors);
    }
}

/// Conditions of one's own are named as labels are.
fn conditions(status: &Value, errors: &mut ErrorList) {
    // Kubernetes looks at `metadata.conditions`, which is a slip that clients may know by now.
    let at = At::root("metadata");
    let list = at.child("conditions");
    for (i, condition) in status.items("conditions").iter().enumerate() {
        let name = condition.text("type");
        if !matches!(name, "PodScheduled" | "Ready" | "Initialized") {
            list.index(i)
                .child("Type")
                .complain(errors, name, names::qualified_name(name));
        }
    }
}

/// A container that ended for good does not come back to life.
fn transitions(
    list: &str,
    status: &Value,
    before: &Value,
    policy: &str,
    except: &Seen<&str>,
    errors: &mut ErrorList,
) {
    if policy == "Always" {
        return;
    }
    let alive = status
        .items(list)
        .iter()
        .filter(|new| !new.at("state").has("terminated"));
    let alive: Seen<&str> = alive.map(|new| new.text("name")).collect();
    for (i, old) in before.items(list).iter().enumerate() {
        let name = old.text("name");
        let ended = old.at("state").at("terminated");
        let restarts = policy == "OnFailure" && ended.int("exitCode").unwrap_or(0) != 0;
        if ended.is_null() || restarts || except.contains(&name) {
            continue;
        }
        if alive.contains(&name) {
            let detail = "may not be transitioned to non-terminated state";
            STATUS
                .child(list)
                .index(i)
                .child("state")
                .forbidden(errors, detail);
        }
    }
}

fn addresses(status: &Value, field: &str, errors: &mut ErrorList) {
    let list = STATUS.child(field);
    let ips: Vec<&str> = status
        .items(field)
        .iter()
        .map(|entry| entry.text("ip"))
        .collect();
    let mut seen = Seen::new();
    for (i, address) in ips.iter().enumerate() {
        ip(address, &list.index(i), errors);
        if !seen.insert(address) {
            list.index(i).duplicate(errors, json!({"ip": address}));
        }
    }
    if !super::super::text::one_per_family(&ips) {
        let detail = "may specify no more than one IP for each IP family";
        list.invalid(errors, status.at(field).clone(), detail);
    }
}
