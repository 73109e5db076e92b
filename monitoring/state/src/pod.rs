//! Pods: where they are, what they wait for, how their containers fare. Containers are in [`container`].

mod container;

use std::net::IpAddr;

use serde_json::Value;

use crate::common::{controller, owners};
use crate::families::{Families, Family, Object, flag, gauge};
use crate::json::{list, seconds, text, truth, word};

const INFO: Family = gauge("kube_pod_info", "Information about pod.");
const IPS: Family = gauge("kube_pod_ips", "Pod IP addresses");
const CREATED: Family = gauge("kube_pod_created", "Unix creation timestamp");
const DELETED: Family = gauge("kube_pod_deletion_timestamp", "Unix deletion timestamp");
const STARTED: Family = gauge(
    "kube_pod_start_time",
    "Start time in unix timestamp for a pod.",
);
const COMPLETED: Family = gauge(
    "kube_pod_completion_time",
    "Completion time in unix timestamp for a pod.",
);
const OWNER: Family = gauge("kube_pod_owner", "Information about the Pod's owner.");
const RESTART_POLICY: Family = gauge(
    "kube_pod_restart_policy",
    "Describes the restart policy in use by this pod.",
);
const SERVICE_ACCOUNT: Family = gauge("kube_pod_service_account", "The service account for a pod.");
const CLAIMS: Family = gauge(
    "kube_pod_spec_volumes_persistentvolumeclaims_info",
    "Information about persistentvolumeclaim volumes in a pod.",
);
const CLAIMS_READ_ONLY: Family = gauge(
    "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
    "Describes whether a persistentvolumeclaim is mounted read only.",
);
const PHASE: Family = gauge("kube_pod_status_phase", "The pods current phase.");
const QOS: Family = gauge("kube_pod_status_qos_class", "The pods current qosClass.");
const REASON: Family = gauge("kube_pod_status_reason", "The pod status reasons");
const READY: Family = gauge(
    "kube_pod_status_ready",
    "Describes whether the pod is ready to serve requests.",
);
const SCHEDULED: Family = gauge(
    "kube_pod_status_scheduled",
    "Describes the status of the scheduling process for the pod.",
);
const UNSCHEDULABLE: Family = gauge(
    "kube_pod_status_unschedulable",
    "Describes the unschedulable status for the pod.",
);
/// When a condition came to a status.
const TIMES: [(&str, &str, Family); 5] = [
    (
        "PodScheduled",
        "True",
        gauge(
            "kube_pod_status_scheduled_time",
            "Unix timestamp when pod moved into scheduled status",
        ),
    ),
    (
        "PodScheduled",
        "False",
        gauge(
            "kube_pod_status_unscheduled_time",
            "Unix timestamp when pod moved into unscheduled status",
        ),
    ),
    (
        "Initialized",
        "True",
        gauge(
            "kube_pod_status_initialized_time",
            "Initialized time in unix timestamp for a pod.",
        ),
    ),
    (
        "Ready",
        "True",
        gauge(
            "kube_pod_status_ready_time",
            "Readiness achieved time in unix timestamp for a pod.",
        ),
    ),
    (
        "ContainersReady",
        "True",
        gauge(
            "kube_pod_status_container_ready_time",
            "Readiness achieved time in unix timestamp for a pod containers.",
        ),
    ),
];

const PHASES: [&str; 5] = ["Pending", "Succeeded", "Failed", "Unknown", "Running"];
const QOS_CLASSES: [&str; 3] = ["BestEffort", "Burstable", "Guaranteed"];
/// Reasons of the pod itself, of a condition or of a container's end that say that something else stopped or holds the pod.
const REASONS: [&str; 8] = [
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "SchedulingGated",
    "Shutdown",
    "TerminationByKubelet",
    "UnexpectedAdmissionError",
];

/// Adds the samples of one Pod.
pub(crate) fn write(pod: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(pod, "/metadata/namespace")),
        ("pod", text(pod, "/metadata/name")),
        ("uid", text(pod, "/metadata/uid")),
    ]);
    identity(&mut out, pod);
    volumes(&mut out, pod);
    status(&mut out, pod);
    container::write(&mut out, pod, &container::ORDINARY);
    container::write(&mut out, pod, &container::INIT);
}

fn identity(out: &mut Object, pod: &Value) {
    let (kind, name) = controller(pod);
    let host_network = truth(pod, "/spec/hostNetwork") == Some(true);
    let labels = [
        ("host_ip", text(pod, "/status/hostIP")),
        ("pod_ip", text(pod, "/status/podIP")),
        ("node", text(pod, "/spec/nodeName")),
        ("created_by_kind", kind),
        ("created_by_name", name),
        ("priority_class", text(pod, "/spec/priorityClassName")),
        ("host_network", word(host_network)),
    ];
    out.info(INFO, &labels);
    for ip in list(pod, "/status/podIPs") {
        let ip = text(ip, "/ip");
        let family = match ip.parse() {
            Ok(IpAddr::V4(_)) => "4",
            Ok(IpAddr::V6(_)) => "6",
            Err(_) => continue,
        };
        out.info(IPS, &[("ip", ip), ("ip_family", family)]);
    }
    out.value(CREATED, seconds(pod, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(pod, "/metadata/deletionTimestamp"));
    owners(out, OWNER, pod);
    out.info(
        RESTART_POLICY,
        &[("type", text(pod, "/spec/restartPolicy"))],
    );
    let account = text(pod, "/spec/serviceAccountName");
    out.info(SERVICE_ACCOUNT, &[("service_account", account)]);
}

/// Volumes on a claim: one that is named, or that of an ephemeral volume, which has the names of pod and volume.
fn volumes(out: &mut Object, pod: &Value) {
    for volume in list(pod, "/spec/volumes") {
        let name = text(volume, "/name");
        let claim = if volume.pointer("/ephemeral").is_some() {
            format!("{}-{name}", text(pod, "/metadata/name"))
        } else {
            text(volume, "/persistentVolumeClaim/claimName").to_owned()
        };
        if !claim.is_empty() {
            let labels = [("volume", name), ("persistentvolumeclaim", &claim)];
            out.info(CLAIMS, &labels);
            let read_only = truth(volume, "/persistentVolumeClaim/readOnly") == Some(true);
            out.put(CLAIMS_READ_ONLY, &labels, flag(read_only));
        }
    }
}

fn status(out: &mut Object, pod: &Value) {
    out.value(STARTED, seconds(pod, "/status/startTime"));
    let containers = list(pod, "/status/containerStatuses");
    let ends = containers
        .iter()
        .filter_map(|status| seconds(status, "/state/terminated/finishedAt"));
    out.value(COMPLETED, ends.reduce(f64::max));
    out.one_of(PHASE, "phase", &PHASES, text(pod, "/status/phase"));
    out.one_of(
        QOS,
        "qos_class",
        &QOS_CLASSES,
        text(pod, "/status/qosClass"),
    );

    let conditions = list(pod, "/status/conditions");
    for reason in REASONS {
        let holds = text(pod, "/status/reason") == reason
            || conditions
                .iter()
                .any(|condition| text(condition, "/reason") == reason)
            || containers
                .iter()
                .any(|status| text(status, "/state/terminated/reason") == reason);
        out.put(REASON, &[("reason", reason)], flag(holds));
    }
    for condition in conditions {
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        match kind {
            "Ready" => out.condition(READY, &[], "condition", status),
            "PodScheduled" => out.condition(SCHEDULED, &[], "condition", status),
            _ => {}
        }
        if (kind, status) == ("PodScheduled", "False") {
            out.info(UNSCHEDULABLE, &[]);
        }
        for (of, at, family) in TIMES {
            if (kind, status) == (of, at) {
                out.value(family, seconds(condition, "/lastTransitionTime"));
            }
        }
    }
}
