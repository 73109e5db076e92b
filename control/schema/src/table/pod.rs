//! Pods. The STATUS column is not the phase: it is what a person needs to know first.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::read::{flag, is_true, list, name, number, or, text};
use super::{AGE, Column, Kind, NAME, age};

pub(super) const POD: Kind = Kind {
    columns: &[
        NAME,
        Column::new("Ready", "How many of the pod's containers are ready."),
        Column::new("Status", "What the pod and its containers are doing."),
        Column::new(
            "Restarts",
            "How often containers restarted, and how long ago the last one did.",
        ),
        AGE,
        Column::new("IP", "The pod's address.").wide(),
        Column::new("Node", "The node that the pod is bound to.").wide(),
        Column::new(
            "Nominated Node",
            "The node that is being made free for the pod.",
        )
        .wide(),
        Column::new(
            "Readiness Gates",
            "How many of the pod's readiness gates are passed.",
        )
        .wide(),
    ],
    cells,
    conditions,
};

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(pod);
    let restarts = match state.last_restart {
        Some(at) => format!("{} ({} ago)", state.restarts, age::since(Some(at), now)),
        None => state.restarts.to_string(),
    };
    let ip = list(pod, "/status/podIPs")
        .first()
        .map_or_else(|| text(pod, "/status/podIP"), |ip| text(ip, "/ip"));
    vec![
        name(pod),
        format!("{}/{}", state.ready, state.total).into(),
        state.reason.into(),
        restarts.into(),
        age::of(pod, now),
        or(ip, "<none>").into(),
        or(text(pod, "/spec/nodeName"), "<none>").into(),
        or(text(pod, "/status/nominatedNodeName"), "<none>").into(),
        gates(pod).into(),
    ]
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let passed = gates
        .iter()
        .filter(|gate| is_true(pod, text(gate, "/conditionType")))
        .count();
    format!("{passed}/{}", gates.len())
}

fn conditions(pod: &Value) -> Option<Value> {
    let (reason, message) = match text(pod, "/status/phase") {
        phase @ "Succeeded" => (phase, "The pod has completed successfully."),
        phase @ "Failed" => (phase, "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

#[derive(Default)]
struct State {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl State {
    fn of(pod: &Value) -> Self {
        let phase = text(pod, "/status/phase");
        let mut reason = or(text(pod, "/status/reason"), phase).to_owned();
        let gated = |c: &&Value| {
            text(c, "/type") == "PodScheduled" && text(c, "/reason") == "SchedulingGated"
        };
        if list(pod, "/status/conditions").iter().any(|c| gated(&c)) {
            "SchedulingGated".clone_into(&mut reason);
        }
        let init_containers = list(pod, "/spec/initContainers");
        let sidecars = || {
            init_containers
                .iter()
                .filter(|c| text(c, "/restartPolicy") == "Always")
        };
        let is_sidecar = |name: &str| sidecars().any(|c| text(c, "/name") == name);
        let mut state = Self {
            total: list(pod, "/spec/containers").len() + sidecars().count(),
            reason,
            ..Self::default()
        };

        // Restarts of sidecars go on counting when those of other init containers no longer matter.
        let mut of_sidecars = Self::default();
        let mut initializing = false;
        for (index, status) in list(pod, "/status/initContainerStatuses")
            .iter()
            .enumerate()
        {
            state.count_restarts(status);
            let sidecar = is_sidecar(text(status, "/name"));
            if sidecar {
                of_sidecars.count_restarts(status);
            }
            if terminated(status).is_some_and(|end| number(end, "/exitCode") == 0) {
                continue;
            }
            if sidecar && flag(status, "/started") {
                state.ready += usize::from(flag(status, "/ready"));
                continue;
            }
            state.reason = match terminated(status) {
                Some(end) => format!("Init:{}", end_reason(end)),
                None => match text(status, "/state/waiting/reason") {
                    "" | "PodInitializing" => format!("Init:{index}/{}", init_containers.len()),
                    waiting => format!("Init:{waiting}"),
                },
            };
            initializing = true;
            break;
        }
        if !initializing || is_true(pod, "Initialized") {
            state.restarts = of_sidecars.restarts;
            state.last_restart = of_sidecars.last_restart;
            state.containers(pod);
        }
        if !text(pod, "/metadata/deletionTimestamp").is_empty() {
            if text(pod, "/status/reason") == "NodeLost" {
                "Unknown".clone_into(&mut state.reason);
            } else if !matches!(phase, "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut state.reason);
            }
        }
        state
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += number(status, "/restartCount");
        let ended = age::moment(status.pointer("/lastState/terminated/finishedAt"));
        self.last_restart = self.last_restart.max(ended);
    }

    /// The ordinary containers: the first of them that has something to say says it.
    fn containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.count_restarts(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(end) = terminated(status) {
                self.reason = end_reason(end);
            } else if flag(status, "/ready") && status.pointer("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if is_true(pod, "Ready") {
                "Running"
            } else {
                "NotReady"
            }
            .to_owned();
        }
    }
}

fn terminated(status: &Value) -> Option<&Value> {
    status
        .pointer("/state/terminated")
        .filter(|end| !end.is_null())
}

fn end_reason(end: &Value) -> String {
    match (text(end, "/reason"), number(end, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(end, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
