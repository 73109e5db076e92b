//! Containers of a pod, ordinary and init: the same families under two names.

use serde_json::Value;

use crate::common::resources;
use crate::families::{Family, Object, counter, flag, gauge};
use crate::json::{list, number, seconds, text, truth};

/// Where the containers of a sort are in a pod, and the families about them.
pub(crate) struct Sort {
    specs: &'static str,
    statuses: &'static str,
    info: Family,
    ready: Family,
    restarts: Family,
    running: Family,
    waiting: Family,
    waiting_reason: Family,
    terminated: Family,
    terminated_reason: Family,
    last_terminated_reason: Family,
    limits: Family,
    requests: Family,
}

/// Ordinary containers.
pub(crate) const ORDINARY: Sort = Sort {
    specs: "/spec/containers",
    statuses: "/status/containerStatuses",
    info: gauge(
        "kube_pod_container_info",
        "Information about a container in a pod.",
    ),
    ready: gauge(
        "kube_pod_container_status_ready",
        "Describes whether the containers readiness check succeeded.",
    ),
    restarts: counter(
        "kube_pod_container_status_restarts_total",
        "The number of container restarts per container.",
    ),
    running: gauge(
        "kube_pod_container_status_running",
        "Describes whether the container is currently in running state.",
    ),
    waiting: gauge(
        "kube_pod_container_status_waiting",
        "Describes whether the container is currently in waiting state.",
    ),
    waiting_reason: gauge(
        "kube_pod_container_status_waiting_reason",
        "Describes the reason the container is currently in waiting state.",
    ),
    terminated: gauge(
        "kube_pod_container_status_terminated",
        "Describes whether the container is currently in terminated state.",
    ),
    terminated_reason: gauge(
        "kube_pod_container_status_terminated_reason",
        "Describes the reason the container is currently in terminated state.",
    ),
    last_terminated_reason: gauge(
        "kube_pod_container_status_last_terminated_reason",
        "Describes the last reason the container was in terminated state.",
    ),
    limits: gauge(
        "kube_pod_container_resource_limits",
        "The number of requested limit resource by a container. It is recommended to use the kube_pod_resource_limits metric \
         exposed by kube-scheduler instead, as it is more precise.",
    ),
    requests: gauge(
        "kube_pod_container_resource_requests",
        "The number of requested request resource by a container. It is recommended to use the kube_pod_resource_requests metric \
         exposed by kube-scheduler instead, as it is more precise.",
    ),
};

/// Init containers, sidecars among them.
pub(crate) const INIT: Sort = Sort {
    specs: "/spec/initContainers",
    statuses: "/status/initContainerStatuses",
    info: gauge(
        "kube_pod_init_container_info",
        "Information about an init container in a pod.",
    ),
    ready: gauge(
        "kube_pod_init_container_status_ready",
        "Describes whether the init containers readiness check succeeded.",
    ),
    restarts: counter(
        "kube_pod_init_container_status_restarts_total",
        "The number of restarts for the init container.",
    ),
    running: gauge(
        "kube_pod_init_container_status_running",
        "Describes whether the init container is currently in running state.",
    ),
    waiting: gauge(
        "kube_pod_init_container_status_waiting",
        "Describes whether the init container is currently in waiting state.",
    ),
    waiting_reason: gauge(
        "kube_pod_init_container_status_waiting_reason",
        "Describes the reason the init container is currently in waiting state.",
    ),
    terminated: gauge(
        "kube_pod_init_container_status_terminated",
        "Describes whether the init container is currently in terminated state.",
    ),
    terminated_reason: gauge(
        "kube_pod_init_container_status_terminated_reason",
        "Describes the reason the init container is currently in terminated state.",
    ),
    last_terminated_reason: gauge(
        "kube_pod_init_container_status_last_terminated_reason",
        "Describes the last reason the init container was in terminated state.",
    ),
    limits: gauge(
        "kube_pod_init_container_resource_limits",
        "The number of requested limit resource by an init container.",
    ),
    requests: gauge(
        "kube_pod_init_container_resource_requests",
        "The number of requested request resource by an init container.",
    ),
};

// These three are about ordinary containers only.
const STATE_STARTED: Family = gauge(
    "kube_pod_container_state_started",
    "Start time in unix timestamp for a pod container.",
);
const LAST_EXIT_CODE: Family = gauge(
    "kube_pod_container_status_last_terminated_exitcode",
    "Describes the exit code for the last container in terminated state.",
);
const LAST_TIMESTAMP: Family = gauge(
    "kube_pod_container_status_last_terminated_timestamp",
    "Last terminated time for a pod container in unix timestamp.",
);

/// Adds the samples of a pod's containers of one sort.
pub(crate) fn write(out: &mut Object, pod: &Value, sort: &Sort) {
    let specs = list(pod, sort.specs);
    let node = text(pod, "/spec/nodeName");
    for spec in specs {
        let labels = [("container", text(spec, "/name")), ("node", node)];
        resources(out, sort.limits, &labels, spec, "/resources/limits");
        resources(out, sort.requests, &labels, spec, "/resources/requests");
    }
    let init = sort.specs == INIT.specs;
    for status in list(pod, sort.statuses) {
        let name = text(status, "/name");
        let spec = specs.iter().find(|spec| text(spec, "/name") == name);
        let mut labels = vec![
            ("container", name),
            ("image_spec", spec.map_or("", |spec| text(spec, "/image"))),
            ("image", text(status, "/image")),
            ("image_id", text(status, "/imageID")),
            ("container_id", text(status, "/containerID")),
        ];
        if init {
            let policy = spec.map_or("", |spec| text(spec, "/restartPolicy"));
            labels.push(("restart_policy", policy));
        }
        out.info(sort.info, &labels);
        state(out, sort, name, status);
        if !init {
            history(out, name, status);
        }
    }
}

/// What every container has: ready or not, restarts, and one of three states.
fn state(out: &mut Object, sort: &Sort, name: &str, status: &Value) {
    let container = [("container", name)];
    let ready = truth(status, "/ready") == Some(true);
    out.put(sort.ready, &container, flag(ready));
    let restarts = number(status, "/restartCount").unwrap_or(0.0);
    out.put(sort.restarts, &container, restarts);
    let is = |state| status.pointer(state).is_some_and(Value::is_object);
    out.put(sort.running, &container, flag(is("/state/running")));
    let reasons = [
        ("/state/waiting", Some(sort.waiting), sort.waiting_reason),
        (
            "/state/terminated",
            Some(sort.terminated),
            sort.terminated_reason,
        ),
        ("/lastState/terminated", None, sort.last_terminated_reason),
    ];
    for (state, family, reason_family) in reasons {
        if let Some(family) = family {
            out.put(family, &container, flag(is(state)));
        }
        if is(state) {
            let reason = text(status, &format!("{state}/reason"));
            out.info(reason_family, &[("container", name), ("reason", reason)]);
        }
    }
}

/// Since when the container is in its state, and how it ended before.
fn history(out: &mut Object, name: &str, status: &Value) {
    let values = [
        (
            STATE_STARTED,
            seconds(status, "/state/running/startedAt")
                .or_else(|| seconds(status, "/state/terminated/startedAt")),
        ),
        (
            LAST_EXIT_CODE,
            number(status, "/lastState/terminated/exitCode"),
        ),
        (
            LAST_TIMESTAMP,
            seconds(status, "/lastState/terminated/finishedAt"),
        ),
    ];
    for (family, value) in values {
        if let Some(value) = value {
            out.put(family, &[("container", name)], value);
        }
    }
}
