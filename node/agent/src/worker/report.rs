//! Reports a pod's status to the API server. Know before changing: one report at a time, level-triggered: what counts is the newest
//! status, and a server that is away gets it when it is back.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Done, Worker};
use crate::backoff::Backoff;
use crate::pod;
use crate::shared::{ApiError, api};

/// What is known to have been reported.
pub(super) struct Report {
    /// The status as the API server has it.
    known: PodStatus,
    /// Its revision, for telling old news from new.
    revision: u64,
    /// What was sent last.
    sent: Option<Value>,
    busy: bool,
    retry: Backoff,
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata
        .resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

impl Report {
    pub(super) fn new(pod: &Pod) -> Self {
        Self {
            known: pod::status(pod).clone(),
            revision: revision(pod),
            sent: None,
            busy: false,
            retry: Backoff::default(),
        }
    }

    /// Takes news from the watch.
    pub(super) fn seen(&mut self, pod: &Pod) {
        let revision = revision(pod);
        if revision > self.revision || revision == 0 {
            self.known = pod::status(pod).clone();
            self.revision = revision;
            self.sent = None;
        }
    }

    /// A report is under way.
    pub(super) fn busy(&self) -> bool {
        self.busy
    }

    /// Forgets earlier failures.
    pub(super) fn try_now(&mut self) {
        self.retry = Backoff::default();
    }

    pub(super) fn broke_off(&mut self) {
        self.busy = false;
    }

    /// Whether the API server has this status.
    pub(super) fn has(&self, status: &PodStatus) -> bool {
        same(status, &self.known)
    }
}

/// Whether the API's status says what ours says; conditions of others do not count.
fn same(ours: &PodStatus, theirs: &PodStatus) -> bool {
    let conditions = ours
        .conditions
        .iter()
        .flatten()
        .all(|c| theirs.conditions.iter().flatten().any(|t| t == c));
    let own = |s: &PodStatus| PodStatus {
        phase: s.phase.clone(),
        reason: s.reason.clone(),
        message: s.message.clone(),
        host_ip: s.host_ip.clone(),
        host_ips: s.host_ips.clone(),
        pod_ip: s.pod_ip.clone(),
        pod_ips: s.pod_ips.clone(),
        start_time: s.start_time.clone(),
        qos_class: s.qos_class.clone(),
        container_statuses: s.container_statuses.clone(),
        init_container_statuses: s.init_container_statuses.clone(),
        observed_generation: s.observed_generation,
        ..PodStatus::default()
    };
    conditions && own(ours) == own(theirs)
}

/// A strategic merge patch that makes `known` say what `status` says.
pub(super) fn patch(uid: &str, status: &PodStatus, known: &PodStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    for field in ["reason", "message", "podIP"] {
        if value[field].is_null() {
            value[field] = Value::Null;
        }
    }
    for condition in value["conditions"].as_array_mut().into_iter().flatten() {
        for field in ["reason", "message"] {
            if condition[field].is_null() {
                condition[field] = Value::Null;
            }
        }
    }
    // Addresses merge by address: those that are no more must be said.
    let pod_ips = known.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
    let host_ips = known.host_ips.iter().flatten().map(|ip| ip.ip.clone());
    for (field, old) in [
        ("podIPs", pod_ips.collect::<Vec<_>>()),
        ("hostIPs", host_ips.collect()),
    ] {
        let stays = |ip: &String| {
            value[field]
                .as_array()
                .into_iter()
                .flatten()
                .any(|e| e["ip"] == **ip)
        };
        let gone: Vec<Value> = old
            .iter()
            .filter(|ip| !stays(ip))
            .map(|ip| json!({"$patch": "delete", "ip": ip}))
            .collect();
        if !gone.is_empty() {
            match value[field].as_array_mut() {
                Some(list) => list.extend(gone),
                None => value[field] = gone.into(),
            }
        }
    }
    json!({"metadata": {"uid": uid}, "status": value})
}

impl Worker {
    /// Sends the status if the API server has another; says when to try again.
    pub(super) fn send_report(&mut self, now: Timestamp) -> Option<Timestamp> {
        let status = self.memory.last_status.as_ref()?;
        if self.report.busy || self.memory.gone || self.report.has(status) {
            return None;
        }
        let value = patch(&self.uid, status, &self.report.known);
        if self.report.sent.as_ref() == Some(&value) {
            return None;
        }
        if let Some(at) = self.report.retry.retry_at(now) {
            return Some(at);
        }
        self.report.sent = Some(value.clone());
        self.report.busy = true;
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), pod::namespace(&self.pod));
        let name = pod::name(&self.pod).to_owned();
        self.begin(None, async move {
            Done::Reported(
                api(pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(value)))
                    .await
                    .map(Box::new),
            )
        });
        None
    }

    pub(super) fn reported(&mut self, result: Result<Box<Pod>, ApiError>) {
        self.report.busy = false;
        match result {
            Ok(pod) => {
                self.report.retry = Backoff::default();
                if pod::uid(&pod) == self.uid {
                    self.report.known = pod::status(&pod).clone();
                    self.report.revision = self.report.revision.max(revision(&pod));
                }
                self.pull_errors_to_backoff();
            }
            // Gone, or another pod of the name: the watch will say so.
            Err(error) if error.is(404) || error.is(409) => {
                tracing::debug!(pod = pod::key(&self.pod), %error, "a status has no object to go to");
                self.report.retry.fail(Timestamp::now());
            }
            Err(error) => {
                if matches!(error, ApiError::Refused { .. }) {
                    tracing::warn!(pod = pod::key(&self.pod), %error, "the API server refused a pod's status");
                }
                self.report.sent = None;
                self.report.retry.fail_soon(Timestamp::now());
            }
        }
    }

    /// A failed pull is seen once as what it was, then as waiting for the next.
    fn pull_errors_to_backoff(&mut self) {
        let mut told = Vec::new();
        for (name, memory) in &mut self.memory.containers {
            if let Some((reason, message)) = memory
                .error
                .as_mut()
                .filter(|(reason, _)| reason == "ErrImagePull")
            {
                let image = pod::container(&self.pod, name)
                    .and_then(|(_, c)| c.image.clone())
                    .unwrap_or_default();
                *message = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
                *reason = "ImagePullBackOff".into();
                told.push((name.clone(), image));
            }
        }
        for (name, image) in told {
            let (warning, normal) = (
                crate::events::Severity::Warning,
                crate::events::Severity::Normal,
            );
            self.event(
                Some(&name),
                normal,
                "BackOff",
                format!("Back-off pulling image \"{image}\""),
            );
            self.event(Some(&name), warning, "Failed", "Error: ImagePullBackOff");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).expect("a status")
    }

    #[test]
    fn patches_take_away_what_is_no_more() {
        let known =
            status(json!({"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "reason": "X"}));
        let ours = status(json!({
            "phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }));
        assert_eq!(
            patch("u", &ours, &known),
            json!({"metadata": {"uid": "u"}, "status": {
                "phase": "Running", "podIP": "10.0.0.2", "reason": null, "message": null,
                "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": null, "message": null}],
            }})
        );
    }

    #[test]
    fn other_peoples_conditions_do_not_count() {
        let ours = status(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
        );
        let mut theirs = json!({"phase": "Running", "conditions": [{"type": "gate", "status": "True"}, {"type": "Ready", "status": "True"}], "nominatedNodeName": "x"});
        assert!(same(&ours, &status(theirs.clone())));
        theirs["conditions"][1]["status"] = "False".into();
        assert!(!same(&ours, &status(theirs)));
    }
}
