//! Kinds with little to show: namespaces, configuration, accounts, leases; and the columns of all kinds without their own.

use serde_json::Value;

use super::read::{count, list, name, text};
use super::{AGE, Column, Kind, NAME, age};

/// As Kubernetes shows what it has no columns for (roles, definitions, …).
pub(super) const DEFAULT: Kind = Kind::new(
    &[
        NAME,
        Column::new("Created At", "When the object was created.").of("date"),
    ],
    |object, _| {
        vec![
            name(object),
            object
                .pointer("/metadata/creationTimestamp")
                .cloned()
                .unwrap_or(Value::Null),
        ]
    },
);

pub(super) const NAMESPACE: Kind = Kind::new(
    &[
        NAME,
        Column::new(
            "Status",
            "Active, or Terminating while its objects are removed.",
        ),
        AGE,
    ],
    |object, now| {
        vec![
            name(object),
            text(object, "/status/phase").into(),
            age::of(object, now),
        ]
    },
);

pub(super) const CONFIG_MAP: Kind = Kind::new(
    &[
        NAME,
        Column::new("Data", "How many entries there are."),
        AGE,
    ],
    |object, now| {
        let entries = count(object, "/data") + count(object, "/binaryData");
        vec![name(object), entries.into(), age::of(object, now)]
    },
);

pub(super) const SECRET: Kind = Kind::new(
    &[
        NAME,
        Column::new("Type", "What the secret is for."),
        Column::new("Data", "How many entries there are."),
        AGE,
    ],
    |object, now| {
        vec![
            name(object),
            text(object, "/type").into(),
            count(object, "/data").into(),
            age::of(object, now),
        ]
    },
);

pub(super) const SERVICE_ACCOUNT: Kind = Kind::new(
    &[
        NAME,
        Column::new("Secrets", "How many secrets it lists."),
        AGE,
    ],
    |object, now| {
        vec![
            name(object),
            list(object, "/secrets").len().into(),
            age::of(object, now),
        ]
    },
);

pub(super) const LEASE: Kind = Kind::new(
    &[NAME, Column::new("Holder", "Who holds the lease."), AGE],
    |object, now| {
        vec![
            name(object),
            text(object, "/spec/holderIdentity").into(),
            age::of(object, now),
        ]
    },
);
