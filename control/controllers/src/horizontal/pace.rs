//! How fast a target may follow its metrics: stabilization windows, policies, and the least and greatest numbers. Pure.
//!
//! What was recommended and done is remembered in a [`History`]; it is lost with the process, as Kubernetes' is, and the target then
//! starts from what it is.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// How far back scaling down looks where nobody said so.
const DOWN_WINDOW: SignedDuration = SignedDuration::from_secs(300);
/// The longest window that may be wished; nothing older is remembered.
const LONGEST: SignedDuration = SignedDuration::from_secs(3600);
/// The most that is remembered of each kind: what a window of an hour takes, several times over.
const REMEMBERED: usize = 1000;

/// A number of replicas at a time: recommended, or by how many it changed.
type Entry = (Timestamp, i32);

/// What was recommended and done for one autoscaler.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    recommended: VecDeque<Entry>,
    up: VecDeque<Entry>,
    down: VecDeque<Entry>,
}

impl History {
    /// Where scaling starts from: what is, counts as recommended.
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push_back((now, current));
        }
    }

    /// Notes that the target was scaled.
    pub(super) fn scaled(&mut self, from: i32, to: i32, now: Timestamp) {
        let change = to.saturating_sub(from);
        if change > 0 {
            note(&mut self.up, (now, change));
        } else {
            note(&mut self.down, (now, change.saturating_neg()));
        }
    }
}

fn note(entries: &mut VecDeque<Entry>, entry: Entry) {
    entries.push_back(entry);
    while entries.len() > REMEMBERED
        || entries
            .front()
            .is_some_and(|(at, _)| entry.0.duration_since(*at) > LONGEST)
    {
        entries.pop_front();
    }
}

/// What a target is, and between what it has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) current: i32,
    pub(super) min: i32,
    pub(super) max: i32,
}

/// A reason and a message, as conditions have them.
pub(super) type Why = (&'static str, &'static str);

/// What becomes of a recommendation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paced {
    pub(super) replicas: i32,
    /// Of the condition AbleToScale, which is true.
    pub(super) able: Why,
    /// Of the condition ScalingLimited, and whether it is.
    pub(super) limited: (bool, Why),
}

const MATCHES: Why = ("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Why = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Why = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const IN_RANGE: Why = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_FAST_UP: Why = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const TOO_FAST_DOWN: Why = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const TOO_MANY: Why = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Why = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);

/// Remembers that `wanted` replicas are recommended, and says how many there should be now.
pub(super) fn pace(
    history: &mut History,
    behavior: Option<&HorizontalPodAutoscalerBehavior>,
    bounds: Bounds,
    wanted: i32,
    now: Timestamp,
) -> Paced {
    let stable = stabilized(history, behavior, bounds.current, wanted, now);
    note(&mut history.recommended, (now, wanted));
    let able = match stable {
        same if same == wanted => MATCHES,
        _ if behavior.is_some() && wanted >= bounds.current => UP_STABILIZED,
        _ => DOWN_STABILIZED,
    };
    let (replicas, why) = match behavior {
        None => without_rules(bounds, stable),
        Some(behavior) => by_rules(history, behavior, bounds, stable, now),
    };
    Paced {
        replicas,
        able,
        limited: (replicas != stable, why),
    }
}

fn window(rules: Option<&HPAScalingRules>, otherwise: SignedDuration) -> SignedDuration {
    let seconds = rules.and_then(|rules| rules.stabilization_window_seconds);
    seconds.map_or(otherwise, |s| SignedDuration::from_secs(i64::from(s)))
}

/// Up only to the lowest recommendation of one window, down only to the highest of the other.
fn stabilized(
    history: &History,
    behavior: Option<&HorizontalPodAutoscalerBehavior>,
    current: i32,
    wanted: i32,
    now: Timestamp,
) -> i32 {
    let rules = |of: fn(&HorizontalPodAutoscalerBehavior) -> &Option<HPAScalingRules>| {
        behavior.and_then(|behavior| of(behavior).as_ref())
    };
    let recent = |window: SignedDuration| {
        let entries = history.recommended.iter();
        let recent = entries.filter(move |(at, _)| now.duration_since(*at) < window);
        recent.map(|(_, replicas)| *replicas).chain([wanted])
    };
    let highest = recent(window(rules(|b| &b.scale_down), DOWN_WINDOW)).max();
    let highest = highest.unwrap_or(wanted);
    if behavior.is_none() {
        return highest;
    }
    let lowest = recent(window(rules(|b| &b.scale_up), SignedDuration::ZERO)).min();
    current.max(lowest.unwrap_or(wanted)).min(highest)
}

/// At most twice as many at once, or four.
fn without_rules(bounds: Bounds, wanted: i32) -> (i32, Why) {
    let fastest = bounds.current.saturating_mul(2).max(4);
    let (most, why) = if bounds.max > fastest {
        (fastest, TOO_FAST_UP)
    } else {
        (bounds.max, TOO_MANY)
    };
    if wanted < bounds.min {
        (bounds.min, TOO_FEW)
    } else if wanted > most {
        (most, why)
    } else {
        (wanted, IN_RANGE)
    }
}

fn by_rules(
    history: &History,
    behavior: &HorizontalPodAutoscalerBehavior,
    bounds: Bounds,
    wanted: i32,
    now: Timestamp,
) -> (i32, Why) {
    let Bounds { current, min, max } = bounds;
    if wanted > current {
        let fastest = limit(history, behavior.scale_up.as_ref(), current, true, now).max(current);
        let (most, why) = if max > fastest {
            (fastest, TOO_FAST_UP)
        } else {
            (max, TOO_MANY)
        };
        if wanted > most {
            return (most, why);
        }
    } else if wanted < current {
        let fastest =
            limit(history, behavior.scale_down.as_ref(), current, false, now).min(current);
        let (least, why) = if min < fastest {
            (fastest, TOO_FAST_DOWN)
        } else {
            (min, TOO_FEW)
        };
        if wanted < least {
            return (least, why);
        }
    }
    (wanted, IN_RANGE)
}

/// How far the policies of a direction let the target go.
fn limit(
    history: &History,
    rules: Option<&HPAScalingRules>,
    current: i32,
    up: bool,
    now: Timestamp,
) -> i32 {
    let select = rules.and_then(|rules| rules.select_policy.as_deref());
    if select == Some("Disabled") {
        return current;
    }
    let changed = |entries: &VecDeque<Entry>, period: i32| {
        let period = SignedDuration::from_secs(i64::from(period));
        let recent = entries
            .iter()
            .filter(|(at, _)| now.duration_since(*at) < period);
        recent.fold(0_i32, |sum, (_, change)| sum.saturating_add(*change))
    };
    let each = rules
        .iter()
        .flat_map(|rules| rules.policies.iter().flatten())
        .map(|policy| {
            let added = changed(&history.up, policy.period_seconds);
            let removed = changed(&history.down, policy.period_seconds);
            // What it was at the beginning of the period.
            let start = current.saturating_sub(added).saturating_add(removed);
            let share = f64::from(start) * f64::from(policy.value) / 100.0;
            match (policy.type_.as_str(), up) {
                ("Pods", true) => start.saturating_add(policy.value),
                ("Pods", false) => start.saturating_sub(policy.value),
                // Rounded up, or a few would never become more; and down for the same reason.
                (_, true) => (f64::from(start) + share).ceil() as i32,
                (_, false) => (f64::from(start) - share) as i32,
            }
        });
    // The policy that changes least, or most.
    let (least, most) = (each.clone().min(), each.max());
    let chosen = if (select == Some("Min")) == up {
        least
    } else {
        most
    };
    chosen.unwrap_or(current)
}

#[cfg(test)]
mod tests;
