//! HorizontalPodAutoscalers: what each metric is against what it should be.

use serde_json::Value;

use super::read::{list, name, number, quantity, text};
use super::{AGE, Column, Kind, NAME, age};

/// So many metrics are shown, the others counted.
const SHOWN: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(super) const AUTOSCALER: Kind = Kind::new(
    &[
        NAME,
        Column::new("Reference", "What is scaled."),
        Column::new(
            "Targets",
            "What each metric is now, and what it should be at most.",
        ),
        Column::new("MinPods", "The least number of pods.").of("string"),
        Column::new("MaxPods", "The greatest number of pods.").of("string"),
        Column::new("Replicas", "How many pods there are.").of("string"),
        AGE,
    ],
    |autoscaler, now| {
        let target = |field: &str| text(autoscaler, &format!("/spec/scaleTargetRef/{field}"));
        let least = autoscaler
            .pointer("/spec/minReplicas")
            .and_then(Value::as_i64);
        vec![
            name(autoscaler),
            format!("{}/{}", target("kind"), target("name")).into(),
            metrics(autoscaler).into(),
            least
                .map_or_else(|| "<unset>".to_owned(), |n| n.to_string())
                .into(),
            number(autoscaler, "/spec/maxReplicas").into(),
            number(autoscaler, "/status/currentReplicas").into(),
            age::of(autoscaler, now),
        ]
    },
);

fn metrics(autoscaler: &Value) -> String {
    let wanted = list(autoscaler, "/spec/metrics");
    let now = list(autoscaler, "/status/currentMetrics");
    if wanted.is_empty() {
        return "<none>".to_owned();
    }
    let each = wanted.iter().enumerate().map(|(i, metric)| {
        let now = now.get(i).unwrap_or(&Value::Null);
        match text(metric, "/type") {
            "External" => plain(metric, now, "external"),
            "Object" => plain(metric, now, "object"),
            "Pods" => against(metric, now, "pods", "averageValue"),
            "Resource" => resource(metric, now, "resource"),
            "ContainerResource" => resource(metric, now, "containerResource"),
            _ => "<unknown type>".to_owned(),
        }
    });
    let shown: Vec<String> = each.take(SHOWN).collect();
    match wanted.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} + {more} more...", shown.join(", ")),
    }
}

/// A value, or one that is divided by the number of pods.
fn plain(metric: &Value, now: &Value, source: &str) -> String {
    if has(metric, &format!("/{source}/target/averageValue")) {
        format!("{} (avg)", against(metric, now, source, "averageValue"))
    } else {
        against(metric, now, source, "value")
    }
}

fn against(metric: &Value, now: &Value, source: &str, field: &str) -> String {
    let current = format!("/{source}/current/{field}");
    let current = if has(now, &current) {
        quantity(now, &current)
    } else {
        UNKNOWN.to_owned()
    };
    let wanted = quantity(metric, &format!("/{source}/target/{field}"));
    format!("{current}/{wanted}")
}

fn resource(metric: &Value, now: &Value, source: &str) -> String {
    let name = text(metric, &format!("/{source}/name"));
    if has(metric, &format!("/{source}/target/averageValue")) {
        return format!("{name}: {}", against(metric, now, source, "averageValue"));
    }
    let percent = |object: &Value, at: &str, none: &str| {
        let found = object.pointer(&format!("/{source}/{at}/averageUtilization"));
        found
            .and_then(Value::as_i64)
            .map_or_else(|| none.to_owned(), |percent| format!("{percent}%"))
    };
    let current = percent(now, "current", UNKNOWN);
    format!("{name}: {current}/{}", percent(metric, "target", "<auto>"))
}

fn has(object: &Value, pointer: &str) -> bool {
    object
        .pointer(pointer)
        .is_some_and(|value| !value.is_null())
}
