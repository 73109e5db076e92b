//! Nodes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read::{flag, list, name, or, text};
use super::{AGE, Column, Kind, NAME, age};

pub(super) const NODE: Kind = Kind::new(
    &[
        NAME,
        Column::new("Status", "Whether the node is ready, and takes new pods."),
        Column::new("Roles", "The roles that its labels give it."),
        AGE,
        Column::new("Version", "The version of its agent."),
        Column::new("Internal-IP", "Its address in its own network.").wide(),
        Column::new("External-IP", "Its address from outside.").wide(),
        Column::new("OS-Image", "Its operating system.").wide(),
        Column::new("Kernel-Version", "Its kernel.").wide(),
        Column::new("Container-Runtime", "What runs its containers.").wide(),
    ],
    |node, now| {
        let ready = list(node, "/status/conditions")
            .iter()
            .find(|c| text(c, "/type") == "Ready");
        let mut status = match ready.map(|c| text(c, "/status")) {
            Some("True") => "Ready",
            Some(_) => "NotReady",
            None => "Unknown",
        }
        .to_owned();
        if flag(node, "/spec/unschedulable") {
            status.push_str(",SchedulingDisabled");
        }
        let info = |field: &str| {
            or(
                text(node, &format!("/status/nodeInfo/{field}")),
                "<unknown>",
            )
            .to_owned()
        };
        vec![
            name(node),
            status.into(),
            roles(node).into(),
            age::of(node, now),
            text(node, "/status/nodeInfo/kubeletVersion").into(),
            address(node, "InternalIP").into(),
            address(node, "ExternalIP").into(),
            info("osImage").into(),
            info("kernelVersion").into(),
            info("containerRuntimeVersion").into(),
        ]
    },
);

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = list(node, "/status/addresses")
        .iter()
        .find(|address| text(address, "/type") == kind);
    found.map_or("<none>", |address| text(address, "/address"))
}

/// From `node-role.kubernetes.io/ROLE` and `kubernetes.io/role=ROLE`.
fn roles(node: &Value) -> String {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let role = |(key, value): (&'_ String, &'_ Value)| match key
        .strip_prefix("node-role.kubernetes.io/")
    {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> = labels
        .into_iter()
        .flatten()
        .filter_map(role)
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.into_iter().collect::<Vec<_>>().join(",")
    }
}
