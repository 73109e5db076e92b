//! From what was measured to how many replicas there should be, and what the autoscaler says of it: conditions, events, status.
//! Pure.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricStatus, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus,
    MetricTarget, MetricValueStatus, ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use minicloud_api::quantity::Quantity;

use super::measure::{Answer, text};
use super::pace::{Bounds, History, pace};
use super::replicas::{Proposal, Target, Tolerance, Wish, by_pods, by_share, by_value};
use crate::plumbing::events::Kind;
use crate::plumbing::objects::seconds;

/// The conditions of an autoscaler.
pub(super) const ABLE: &str = "AbleToScale";
const ACTIVE: &str = "ScalingActive";
const LIMITED: &str = "ScalingLimited";

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) kind: Kind,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The status that is being written, and the events that go with it.
pub(super) struct Draft {
    pub(super) status: HorizontalPodAutoscalerStatus,
    pub(super) events: Vec<Note>,
    now: Timestamp,
}

impl Draft {
    /// From what the autoscaler says now.
    pub(super) fn of(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Self {
        let mut status = autoscaler.status.clone().unwrap_or_default();
        status.observed_generation = autoscaler.metadata.generation;
        Self {
            status,
            events: Vec::new(),
            now,
        }
    }

    /// Sets a condition; it changed when its status did.
    pub(super) fn condition(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        let status = if holds { "True" } else { "False" };
        let at = match conditions.iter().position(|c| c.type_ == kind) {
            Some(at) => at,
            None => {
                conditions.push(HorizontalPodAutoscalerCondition {
                    type_: kind.to_owned(),
                    ..Default::default()
                });
                conditions.len() - 1
            }
        };
        let condition = &mut conditions[at];
        if condition.status != status {
            condition.status = status.to_owned();
            condition.last_transition_time = Some(Time(seconds(self.now)));
        }
        condition.reason = Some(reason.to_owned());
        condition.message = Some(message.to_owned());
    }

    pub(super) fn note(&mut self, kind: Kind, reason: &'static str, message: String) {
        self.events.push(Note {
            kind,
            reason,
            message,
        });
    }

    /// That the target's scale cannot be had.
    pub(super) fn no_scale(&mut self, why: &str) {
        self.note(Kind::Warning, "FailedGetScale", why.to_owned());
        let message =
            format!("the HPA controller was unable to get the target's current scale: {why}");
        self.condition(ABLE, false, "FailedGetScale", &message);
    }

    /// That the target was scaled to nothing, which stops the autoscaler.
    pub(super) fn disabled(&mut self) {
        let message = "scaling is disabled since the replica count of the target is zero";
        self.condition(ACTIVE, false, "ScalingDisabled", message);
    }

    /// That the metrics cannot be interpreted, for a reason that has nothing to do with any of them.
    pub(super) fn inactive(&mut self, reason: &'static str, message: &str) {
        self.note(Kind::Warning, reason, message.to_owned());
        self.condition(ACTIVE, false, reason, message);
    }
}

/// What the numbers alone say.
#[derive(Debug, PartialEq)]
pub(super) enum Numbers {
    /// Somebody has scaled it to nothing: it is left alone.
    Disabled,
    /// It has to become this, whatever is measured.
    Outside(i32, &'static str),
    /// The metrics decide.
    Within,
}

/// The least and the greatest number of replicas.
pub(super) fn range(autoscaler: &HorizontalPodAutoscaler) -> (i32, i32) {
    let spec = &autoscaler.spec;
    (spec.min_replicas.unwrap_or(1), spec.max_replicas)
}

/// What is to be done about a target of `current` replicas before anything is measured.
pub(super) fn numbers(autoscaler: &HorizontalPodAutoscaler, current: i32) -> Numbers {
    let (min, max) = range(autoscaler);
    match current {
        0 if min != 0 => Numbers::Disabled,
        current if current > max => {
            Numbers::Outside(max, "Current number of replicas above Spec.MaxReplicas")
        }
        current if current < min => {
            Numbers::Outside(min, "Current number of replicas below Spec.MinReplicas")
        }
        _ => Numbers::Within,
    }
}

/// The tolerance that an autoscaler wishes.
pub(super) fn tolerance(autoscaler: &HorizontalPodAutoscaler) -> Tolerance {
    let behavior = autoscaler.spec.behavior.as_ref();
    let of = |rules: Option<&k8s_openapi::api::autoscaling::v2::HPAScalingRules>,
              otherwise: f64| {
        let wished = rules.and_then(|rules| rules.tolerance.as_ref());
        wished
            .and_then(|q| q.0.parse::<Quantity>().ok())
            .map_or(otherwise, |q| q.as_f64())
    };
    let usual = Tolerance::default();
    Tolerance {
        up: of(behavior.and_then(|b| b.scale_up.as_ref()), usual.up),
        down: of(behavior.and_then(|b| b.scale_down.as_ref()), usual.down),
    }
}

/// The metrics of an autoscaler.
pub(super) fn metrics(autoscaler: &HorizontalPodAutoscaler) -> &[MetricSpec] {
    autoscaler.spec.metrics.as_deref().unwrap_or_default()
}

/// Decides by what was measured: each of [`metrics`] has its answer, or why there is none. Gives the number of replicas and why it is
/// that; none when nothing can be decided.
pub(super) fn measured(
    draft: &mut Draft,
    autoscaler: &HorizontalPodAutoscaler,
    target: &Target<'_>,
    answers: Vec<Result<Answer, String>>,
    history: &mut History,
) -> Option<(i32, String)> {
    let all = metrics(autoscaler);
    let mut best: Option<(i32, String)> = None;
    let mut first_failure: Option<(&'static str, String)> = None;
    let mut failures = 0;
    let mut statuses = Vec::new();
    for (metric, answer) in all.iter().zip(answers) {
        let proposal = answer.and_then(|answer| propose(metric, target, &answer));
        statuses.push(status_of(metric, proposal.as_ref().ok()));
        match proposal {
            Ok(proposal) => {
                if best
                    .as_ref()
                    .is_none_or(|(most, _)| proposal.replicas > *most)
                {
                    best = Some((proposal.replicas, name(metric)));
                }
            }
            Err(why) => {
                failures += 1;
                let reason = failure_reason(metric);
                draft.note(Kind::Warning, reason, why.clone());
                first_failure.get_or_insert((reason, why));
            }
        }
    }
    draft.status.current_metrics = (!statuses.is_empty()).then_some(statuses);
    // One that is not known could ask for more, so the others must not scale down.
    let trusted = best.filter(|(replicas, _)| failures == 0 || *replicas >= target.wished);
    let Some((wanted, metric)) = trusted else {
        let (reason, why) =
            first_failure.unwrap_or(("InvalidMetricSourceType", "there is no metric".to_owned()));
        let message = format!("the HPA was unable to compute the replica count: {why}");
        draft.condition(ACTIVE, false, reason, &message);
        let total = all.len();
        let message =
            format!("invalid metrics ({failures} invalid out of {total}), first error is: {why}");
        draft.note(Kind::Warning, "FailedComputeMetricsReplicas", message);
        return None;
    };
    let message =
        format!("the HPA was able to successfully calculate a replica count from {metric}");
    draft.condition(ACTIVE, true, "ValidMetricFound", &message);
    let why = if wanted > target.wished {
        format!("{metric} above target")
    } else {
        "All metrics below target".to_owned()
    };
    let (min, max) = range(autoscaler);
    let bounds = Bounds {
        current: target.wished,
        min,
        max,
    };
    let behavior = autoscaler.spec.behavior.as_ref();
    let paced = pace(history, behavior, bounds, wanted, target.now);
    draft.condition(ABLE, true, paced.able.0, paced.able.1);
    let (limited, (reason, message)) = paced.limited;
    draft.condition(LIMITED, limited, reason, message);
    Some((paced.replicas, why))
}

/// What one metric asks for.
fn propose(metric: &MetricSpec, target: &Target<'_>, answer: &Answer) -> Result<Proposal, String> {
    let wished = wished(metric).ok_or("the metric has no target")?;
    let millis = |q: &Option<resource::Quantity>| {
        Some(q.as_ref()?.0.parse::<Quantity>().ok()?.millis()).filter(|m| *m > 0)
    };
    match answer {
        Answer::Pods(values) => {
            let (resource, container) = match (&metric.resource, &metric.container_resource) {
                (Some(source), _) => (source.name.as_str(), None),
                (None, Some(source)) => (source.name.as_str(), Some(source.container.as_str())),
                (None, None) => ("", None),
            };
            let wish = match (millis(&wished.average_value), wished.average_utilization) {
                (Some(millis), _) => Wish::Average {
                    millis,
                    cpu: resource == "cpu",
                },
                (None, Some(percent)) if percent > 0 => Wish::Utilization {
                    percent,
                    resource,
                    container,
                },
                _ => {
                    return Err(
                        "the metric has neither an averageValue nor an averageUtilization"
                            .to_owned(),
                    );
                }
            };
            let what = match wish {
                Wish::Utilization { .. } => "utilization",
                Wish::Average { .. } => "usage",
            };
            by_pods(target, values, wish).map_err(|why| match resource {
                "" => why,
                resource => format!("failed to get {resource} {what}: {why}"),
            })
        }
        Answer::Value(value) => match (
            is_shared(wished),
            millis(&wished.average_value),
            millis(&wished.value),
        ) {
            (true, Some(wish), _) => Ok(by_share(target, *value, wish)),
            (false, _, Some(wish)) => by_value(target, *value, wish),
            _ => Err("the metric has neither a value nor an averageValue".to_owned()),
        },
    }
}

/// True when the replicas share a value. Where both are wished the target's type says which counts.
fn is_shared(target: &MetricTarget) -> bool {
    target.average_value.is_some() && (target.type_ != "Value" || target.value.is_none())
}

/// What is wished of a metric.
fn wished(metric: &MetricSpec) -> Option<&MetricTarget> {
    Some(match metric.type_.as_str() {
        "Resource" => &metric.resource.as_ref()?.target,
        "ContainerResource" => &metric.container_resource.as_ref()?.target,
        "Pods" => &metric.pods.as_ref()?.target,
        "Object" => &metric.object.as_ref()?.target,
        "External" => &metric.external.as_ref()?.target,
        _ => return None,
    })
}

fn failure_reason(metric: &MetricSpec) -> &'static str {
    match metric.type_.as_str() {
        "Resource" => "FailedGetResourceMetric",
        "ContainerResource" => "FailedGetContainerResourceMetric",
        "Pods" => "FailedGetPodsMetric",
        "Object" => "FailedGetObjectMetric",
        "External" => "FailedGetExternalMetric",
        _ => "InvalidMetricSourceType",
    }
}

/// What a metric is called where a decision is explained.
fn name(metric: &MetricSpec) -> String {
    let measure = |target: &MetricTarget| match target.average_value {
        Some(_) => "",
        None => " utilization (percentage of request)",
    };
    if let Some(source) = &metric.resource {
        return format!("{} resource{}", source.name, measure(&source.target));
    }
    if let Some(source) = &metric.container_resource {
        return format!(
            "{} container resource{}",
            source.name,
            measure(&source.target)
        );
    }
    if let Some(source) = &metric.pods {
        return format!("pods metric {}", source.metric.name);
    }
    if let Some(source) = &metric.object {
        return format!(
            "{} metric {}",
            source.described_object.kind, source.metric.name
        );
    }
    if let Some(source) = &metric.external {
        let selector = text(source.metric.selector.as_ref());
        return format!("external metric {}({selector})", source.metric.name);
    }
    metric.type_.clone()
}

/// What a metric is now. Where it is not known only its type is said, for clients tell the metrics apart by their places.
fn status_of(metric: &MetricSpec, proposal: Option<&Proposal>) -> MetricStatus {
    let mut status = MetricStatus {
        type_: metric.type_.clone(),
        ..MetricStatus::default()
    };
    let Some(proposal) = proposal else {
        return status;
    };
    let amount = || {
        Some(resource::Quantity(
            Quantity::from_millis(proposal.millis).to_string(),
        ))
    };
    let average = || MetricValueStatus {
        average_utilization: proposal.percent,
        average_value: amount(),
        value: None,
    };
    let value = |target: &MetricTarget| match is_shared(target) {
        true => average(),
        false => MetricValueStatus {
            value: amount(),
            ..MetricValueStatus::default()
        },
    };
    if let Some(source) = &metric.resource {
        status.resource = Some(ResourceMetricStatus {
            current: average(),
            name: source.name.clone(),
        });
    } else if let Some(source) = &metric.container_resource {
        status.container_resource = Some(ContainerResourceMetricStatus {
            container: source.container.clone(),
            current: average(),
            name: source.name.clone(),
        });
    } else if let Some(source) = &metric.pods {
        status.pods = Some(PodsMetricStatus {
            current: average(),
            metric: source.metric.clone(),
        });
    } else if let Some(source) = &metric.object {
        status.object = Some(ObjectMetricStatus {
            current: value(&source.target),
            described_object: source.described_object.clone(),
            metric: source.metric.clone(),
        });
    } else if let Some(source) = &metric.external {
        status.external = Some(ExternalMetricStatus {
            current: value(&source.target),
            metric: source.metric.clone(),
        });
    }
    status
}

#[cfg(test)]
mod tests;
