//! Nodes: what they are, what they have to give, how they are.

use serde_json::Value;

use crate::common::{conditions, resources};
use crate::families::{Families, Family, flag, gauge};
use crate::json::{list, map, seconds, text, truth};

const INFO: Family = gauge("kube_node_info", "Information about a cluster node.");
const CREATED: Family = gauge("kube_node_created", "Unix creation timestamp");
const DELETED: Family = gauge("kube_node_deletion_timestamp", "Unix deletion timestamp");
const ROLE: Family = gauge("kube_node_role", "The role of a cluster node.");
const TAINT: Family = gauge("kube_node_spec_taint", "The taint of a cluster node.");
const UNSCHEDULABLE: Family = gauge(
    "kube_node_spec_unschedulable",
    "Whether a node can schedule new pods.",
);
const ADDRESSES: Family = gauge("kube_node_status_addresses", "Node address information.");
const ALLOCATABLE: Family = gauge(
    "kube_node_status_allocatable",
    "The allocatable for different resources of a node that are available for scheduling.",
);
const CAPACITY: Family = gauge(
    "kube_node_status_capacity",
    "The capacity for different resources of a node.",
);
const CONDITION: Family = gauge(
    "kube_node_status_condition",
    "The condition of a cluster node.",
);

const ROLE_LABEL: &str = "node-role.kubernetes.io/";

/// Adds the samples of one Node.
pub(crate) fn write(node: &Value, out: &mut Families) {
    let mut out = out.object(&[("node", text(node, "/metadata/name"))]);
    let addresses = list(node, "/status/addresses");
    let internal = addresses
        .iter()
        .rfind(|address| text(address, "/type") == "InternalIP");
    let labels = [
        (
            "kernel_version",
            text(node, "/status/nodeInfo/kernelVersion"),
        ),
        ("os_image", text(node, "/status/nodeInfo/osImage")),
        (
            "container_runtime_version",
            text(node, "/status/nodeInfo/containerRuntimeVersion"),
        ),
        (
            "kubelet_version",
            text(node, "/status/nodeInfo/kubeletVersion"),
        ),
        (
            "kubeproxy_version",
            text(node, "/status/nodeInfo/kubeProxyVersion"),
        ),
        ("provider_id", text(node, "/spec/providerID")),
        ("pod_cidr", text(node, "/spec/podCIDR")),
        ("system_uuid", text(node, "/status/nodeInfo/systemUUID")),
        (
            "internal_ip",
            internal.map_or("", |address| text(address, "/address")),
        ),
    ];
    out.info(INFO, &labels);
    out.value(CREATED, seconds(node, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(node, "/metadata/deletionTimestamp"));
    for (label, _) in map(node, "/metadata/labels") {
        if let Some(role) = label.strip_prefix(ROLE_LABEL) {
            out.info(ROLE, &[("role", role)]);
        }
    }
    for taint in list(node, "/spec/taints") {
        let labels = [
            ("key", text(taint, "/key")),
            ("value", text(taint, "/value")),
            ("effect", text(taint, "/effect")),
        ];
        out.info(TAINT, &labels);
    }
    let unschedulable = truth(node, "/spec/unschedulable") == Some(true);
    out.put(UNSCHEDULABLE, &[], flag(unschedulable));
    for address in addresses {
        let labels = [
            ("type", text(address, "/type")),
            ("address", text(address, "/address")),
        ];
        out.info(ADDRESSES, &labels);
    }
    resources(&mut out, ALLOCATABLE, &[], node, "/status/allocatable");
    resources(&mut out, CAPACITY, &[], node, "/status/capacity");
    conditions(&mut out, CONDITION, node);
}
