//! How many replicas one metric asks for: the algorithm of Kubernetes' replica calculator. Pure.
//!
//! The one thing to know: pods that say nothing about the load do not speed scaling up. What is not ready, or was not measured, counts
//! as idle when the others ask for more and as fully used when they ask for fewer; and where that turns the decision round, nothing
//! is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::plumbing::objects::{is_deleting, is_ready, phase, pod_condition};

/// How long after a pod's start its CPU may be that of its start.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// A pod that was never ready changed its condition no later than this after its start.
const INITIAL_READINESS: SignedDuration = SignedDuration::from_secs(30);

/// Within this share of the target nothing is done.
const TOLERANCE: f64 = 0.1;

const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// Within which ratios of measured to wished nothing is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerance {
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            up: TOLERANCE,
            down: TOLERANCE,
        }
    }
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What one pod was measured at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// In thousandths.
    pub(super) millis: i64,
    pub(super) at: Timestamp,
    /// Over which time it was measured, up to `at`.
    pub(super) window: SignedDuration,
}

/// Measured values by the names of pods.
pub(super) type ByPod = BTreeMap<String, Measured>;

/// What is scaled, as it is now.
pub(super) struct Target<'a> {
    /// The replicas that are wished.
    pub(super) wished: i32,
    /// The replicas that there are.
    pub(super) there: i32,
    /// All pods that the target's selector selects.
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) tolerance: Tolerance,
    pub(super) now: Timestamp,
}

/// What is wished of a metric of pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wish<'a> {
    /// Percent of what the containers, or the one of this name, request of the resource.
    Utilization {
        percent: i32,
        resource: &'a str,
        container: Option<&'a str>,
    },
    /// Thousandths on average. True for CPU, which is high while a pod starts.
    Average { millis: i64, cpu: bool },
}

/// What a metric asks for, and what it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Proposal {
    pub(super) replicas: i32,
    /// Thousandths: the average of the pods that count, or the value.
    pub(super) millis: i64,
    pub(super) percent: Option<i32>,
}

/// Pods by what their measurements are worth.
#[derive(Debug, Default, PartialEq)]
struct Groups<'a> {
    ready: usize,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
}

/// Sorts the pods, and leaves only the values that count.
fn group<'a>(
    target: &Target<'a>,
    measured: &ByPod,
    cpu: bool,
) -> (Groups<'a>, BTreeMap<&'a str, i64>) {
    let mut groups = Groups::default();
    let mut values = BTreeMap::new();
    for pod in target.pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if is_deleting(&pod.metadata) || phase(pod) == "Failed" {
            continue;
        }
        if phase(pod) == "Pending" {
            groups.unready.insert(name);
            continue;
        }
        match measured.get(name) {
            None => {
                groups.missing.insert(name);
            }
            Some(measured) if cpu && is_starting(pod, measured, target.now) => {
                groups.unready.insert(name);
            }
            Some(measured) => {
                groups.ready += 1;
                values.insert(name, measured.millis);
            }
        }
    }
    (groups, values)
}

/// True when the CPU that was measured is not that of a pod at work.
fn is_starting(pod: &Pod, measured: &Measured, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref());
    let ready = pod_condition(pod, "Ready");
    let (Some(started), Some(ready)) = (started, ready) else {
        return true;
    };
    let changed = ready
        .last_transition_time
        .as_ref()
        .map_or(started.0, |t| t.0);
    let is_ready = ready.status != "False";
    if now.duration_since(started.0) < CPU_INITIALIZATION {
        // A whole window must lie behind the moment at which it became ready.
        return !is_ready || measured.at.duration_since(changed) < measured.window;
    }
    !is_ready && changed.duration_since(started.0) < INITIAL_READINESS
}

/// What the counted values are in relation to what is wished.
struct Usage {
    ratio: f64,
    millis: i64,
    percent: Option<i32>,
}

/// By a metric that each pod has.
///
/// # Errors
/// Why it says nothing, in Kubernetes' words.
pub(super) fn by_pods(
    target: &Target<'_>,
    measured: &ByPod,
    wish: Wish<'_>,
) -> Result<Proposal, String> {
    if target.pods.is_empty() {
        return Err(NO_PODS.to_owned());
    }
    let cpu = matches!(
        wish,
        Wish::Utilization {
            resource: "cpu",
            ..
        } | Wish::Average { cpu: true, .. }
    );
    let (groups, mut values) = group(target, measured, cpu);
    if values.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let requests = match wish {
        Wish::Utilization {
            resource,
            container,
            ..
        } => requests(target.pods, resource, container)?,
        Wish::Average { .. } => BTreeMap::new(),
    };
    let first = usage(&values, &requests, wish)?;
    let proposal = |replicas| Proposal {
        replicas,
        millis: first.millis,
        percent: first.percent,
    };
    let rises = first.ratio > 1.0;
    let unready_count = rises && !groups.unready.is_empty();
    if !unready_count && groups.missing.is_empty() {
        return Ok(proposal(match target.tolerance.covers(first.ratio) {
            true => target.wished,
            false => ceil(first.ratio * groups.ready as f64),
        }));
    }
    for &name in &groups.missing {
        let value = match wish {
            _ if rises => 0,
            Wish::Average { millis, .. } => millis,
            // All of its request, or what is wished where that is more.
            Wish::Utilization { percent, .. } => {
                let request = requests.get(name).copied().unwrap_or_default();
                request.saturating_mul(i64::from(percent.max(100))) / 100
            }
        };
        // Exactly on target nothing is assumed.
        if first.ratio != 1.0 {
            values.insert(name, value);
        }
    }
    if unready_count {
        values.extend(groups.unready.iter().map(|&name| (name, 0)));
    }
    let second = usage(&values, &requests, wish)?.ratio;
    let turned = (first.ratio < 1.0 && second > 1.0) || (first.ratio > 1.0 && second < 1.0);
    if turned || target.tolerance.covers(second) {
        return Ok(proposal(target.wished));
    }
    let replicas = ceil(second * values.len() as f64);
    let wrong_way =
        (second < 1.0 && replicas > target.wished) || (second > 1.0 && replicas < target.wished);
    Ok(proposal(if wrong_way { target.wished } else { replicas }))
}

fn usage(
    values: &BTreeMap<&str, i64>,
    requests: &BTreeMap<&str, i64>,
    wish: Wish<'_>,
) -> Result<Usage, String> {
    let sum = |values: &mut dyn Iterator<Item = i64>| values.fold(0_i64, i64::saturating_add);
    match wish {
        Wish::Average { millis, .. } => {
            let average = sum(&mut values.values().copied()) / len(values.len());
            Ok(Usage {
                ratio: average as f64 / millis as f64,
                millis: average,
                percent: None,
            })
        }
        Wish::Utilization { percent, .. } => {
            let known = || {
                values
                    .iter()
                    .filter_map(|(name, value)| Some((*value, *requests.get(name)?)))
            };
            let used = sum(&mut known().map(|(value, _)| value));
            let requested = sum(&mut known().map(|(_, request)| request));
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let now = i32::try_from(used.saturating_mul(100) / requested).unwrap_or(i32::MAX);
            Ok(Usage {
                ratio: f64::from(now) / f64::from(percent),
                millis: used / len(known().count()),
                percent: Some(now),
            })
        }
    }
}

fn len(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).max(1)
}

/// What each pod requests, in thousandths.
fn requests<'a>(
    pods: &'a [Arc<Pod>],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<&'a str, i64>, String> {
    let mut all = BTreeMap::new();
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let spec = pod.spec.iter();
        // Those among the initial ones that go on running.
        let sidecars = spec
            .clone()
            .flat_map(|s| s.init_containers.iter().flatten());
        let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let mut sum = 0_i64;
        for each in spec.flat_map(|s| &s.containers).chain(sidecars) {
            if container.is_none_or(|wanted| wanted == each.name) {
                let request = request(each, resource).ok_or_else(|| {
                    format!(
                        "missing request for {resource} in container {} of Pod {name}",
                        each.name
                    )
                })?;
                sum = sum.saturating_add(request);
            }
        }
        all.insert(name, sum);
    }
    Ok(all)
}

fn request(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    let amount = requests
        .get(resource)?
        .0
        .parse::<minicloud_api::quantity::Quantity>();
    Some(amount.ok()?.millis())
}

/// By one value for the whole target, `wish` thousandths of which are right.
///
/// # Errors
/// Why it says nothing, in Kubernetes' words.
pub(super) fn by_value(target: &Target<'_>, millis: i64, wish: i64) -> Result<Proposal, String> {
    let ratio = millis as f64 / wish as f64;
    let replicas = match target.wished {
        0 => ceil(ratio),
        wished if target.tolerance.covers(ratio) => wished,
        _ if target.pods.is_empty() => return Err(NO_PODS.to_owned()),
        _ => {
            let pods = target.pods.iter();
            let ready = pods.filter(|pod| phase(pod) == "Running" && is_ready(pod));
            ceil(ratio * ready.count() as f64)
        }
    };
    Ok(Proposal {
        replicas,
        millis,
        percent: None,
    })
}

/// By one value that the replicas share, `wish` thousandths for each.
pub(super) fn by_share(target: &Target<'_>, millis: i64, wish: i64) -> Proposal {
    let there = f64::from(target.there);
    let ratio = millis as f64 / (wish as f64 * there);
    // Without replicas the ratio is no number, or beyond all.
    let replicas = match target.tolerance.covers(ratio) {
        true => target.there,
        false => ceil(millis as f64 / wish as f64),
    };
    let share = (millis as f64 / there).ceil();
    Proposal {
        replicas,
        millis: if share.is_finite() { share as i64 } else { 0 },
        percent: None,
    }
}

/// Rounded up; no number is zero, and what is beyond all measure is the greatest.
fn ceil(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

#[cfg(test)]
mod tests;
