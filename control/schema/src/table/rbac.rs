//! Role bindings. Roles themselves have the default columns, as in Kubernetes.

use jiff::Timestamp;
use serde_json::Value;

use super::read::{list, name, text};
use super::{AGE, Column, Kind, NAME, age};

const COLUMNS: &[Column] = &[
    NAME,
    Column::new("Role", "The role that is given."),
    AGE,
    Column::new("Users", "Users that have it.").wide(),
    Column::new("Groups", "Groups that have it.").wide(),
    Column::new("ServiceAccounts", "Service accounts that have it.").wide(),
];

pub(super) const ROLE_BINDING: Kind = Kind::new(COLUMNS, cells);
pub(super) const CLUSTER_ROLE_BINDING: Kind = Kind::new(COLUMNS, cells);

fn cells(binding: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let of_kind = list(binding, "/subjects")
            .iter()
            .filter(|subject| text(subject, "/kind") == kind);
        let full = |subject: &Value| match text(subject, "/namespace") {
            namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                format!("{namespace}/{}", text(subject, "/name"))
            }
            _ => text(subject, "/name").to_owned(),
        };
        of_kind.map(full).collect::<Vec<_>>().join(", ").into()
    };
    vec![
        name(binding),
        format!(
            "{}/{}",
            text(binding, "/roleRef/kind"),
            text(binding, "/roleRef/name")
        )
        .into(),
        age::of(binding, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
