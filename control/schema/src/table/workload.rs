//! Deployments, ReplicaSets and scales.

use jiff::Timestamp;
use serde_json::Value;

use super::read::{list, name, number, selector, text};
use super::{AGE, Column, Kind, NAME, age};

const CONTAINERS: Column =
    Column::new("Containers", "The names of the template's containers.").wide();
const IMAGES: Column = Column::new("Images", "The images of the template's containers.").wide();
const SELECTOR: Column = Column::new("Selector", "Which pods belong to it.").wide();

pub(super) const DEPLOYMENT: Kind = Kind::new(
    &[
        NAME,
        Column::new("Ready", "How many pods are ready, of how many wished."),
        Column::new("Up-to-date", "How many pods have the newest template."),
        Column::new(
            "Available",
            "How many pods have been ready for long enough.",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    |deployment, now| {
        let ready = number(deployment, "/status/readyReplicas");
        let mut cells = vec![
            name(deployment),
            format!("{ready}/{}", wished(deployment)).into(),
            number(deployment, "/status/updatedReplicas").into(),
            number(deployment, "/status/availableReplicas").into(),
            age::of(deployment, now),
        ];
        cells.extend(template(deployment));
        cells.push(
            selector(deployment, "/spec/selector")
                .unwrap_or_else(|| "<invalid>".to_owned())
                .into(),
        );
        cells
    },
);

pub(super) const REPLICA_SET: Kind = Kind::new(
    &[
        NAME,
        Column::new("Desired", "How many pods are wished.").of("integer"),
        Column::new("Current", "How many pods there are.").of("integer"),
        Column::new("Ready", "How many pods are ready.").of("integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    |set, now| {
        let mut cells = vec![
            name(set),
            wished(set).into(),
            number(set, "/status/replicas").into(),
            number(set, "/status/readyReplicas").into(),
            age::of(set, now),
        ];
        cells.extend(template(set));
        let selector = selector(set, "/spec/selector").filter(|text| !text.is_empty());
        cells.push(selector.unwrap_or_else(|| "<none>".to_owned()).into());
        cells
    },
);

pub(super) const SCALE: Kind = Kind::new(
    &[
        NAME,
        Column::new("Desired", "How many replicas are wished.").of("integer"),
        Column::new("Available", "How many replicas there are.").of("integer"),
        AGE,
    ],
    |scale, now: Timestamp| {
        vec![
            name(scale),
            number(scale, "/spec/replicas").into(),
            number(scale, "/status/replicas").into(),
            age::of(scale, now),
        ]
    },
);

/// The wished replicas; 1 where it is not said.
fn wished(object: &Value) -> i64 {
    object
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(1)
}

/// The cells of the template's containers and images.
fn template(object: &Value) -> [Value; 2] {
    let containers = list(object, "/spec/template/spec/containers");
    ["/name", "/image"].map(|field| {
        containers
            .iter()
            .map(|c| text(c, field))
            .collect::<Vec<_>>()
            .join(",")
            .into()
    })
}
