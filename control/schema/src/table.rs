//! meta.k8s.io/v1 Table: what `kubectl get` prints.
//!
//! A kind's columns are a static list and a function from an object to as many cells; all columns are always filled and
//! the client leaves out those of a higher priority unless asked (`-o wide`). The clock is handed in.

mod age;
mod autoscaling;
mod core;
mod custom;
mod event;
mod network;
mod node;
mod pod;
mod rbac;
mod read;
mod storage;
#[cfg(test)]
mod tests;
mod workload;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::crd::PrinterColumn;

pub use age::human_duration;

/// What each row carries in `object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// PartialObjectMetadata; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// From the query parameter `includeObject`; `None` where it is not one of the three.
    pub fn from_query(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// How to render.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What each row carries.
    pub include: IncludeObject,
    /// False for the second and later events of a watch, which carry no column definitions.
    pub headers: bool,
    /// The clock that ages are told by.
    pub now: Timestamp,
}

/// A column of a built-in kind.
struct Column {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    priority: i32,
}

impl Column {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    const fn of(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// Only in wide output.
    const fn wide(self) -> Self {
        Self {
            priority: 1,
            ..self
        }
    }

    const fn named(self) -> Self {
        Self {
            format: "name",
            ..self
        }
    }
}

const NAME: Column = Column::new(
    "Name",
    "The name of the object, unique within its kind and namespace.",
)
.named();
const AGE: Column = Column::new("Age", "How long ago the object was created.");

/// The columns of a built-in kind, and how to fill them.
struct Kind {
    columns: &'static [Column],
    cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// `conditions` of a row; only pods have them.
    conditions: fn(&Value) -> Option<Value>,
}

impl Kind {
    const fn new(columns: &'static [Column], cells: fn(&Value, Timestamp) -> Vec<Value>) -> Self {
        Self {
            columns,
            cells,
            conditions: |_| None,
        }
    }
}

#[derive(Clone)]
enum Source {
    Builtin(&'static Kind),
    Custom(Arc<[PrinterColumn]>),
}

/// The columns of a kind. Cheap to clone.
#[derive(Clone)]
pub struct Columns(Source);

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Columns({})", self.definitions())
    }
}

impl Columns {
    /// The columns of a built-in kind; NAME and CREATED AT for kinds that have none of their own, as in Kubernetes.
    pub fn builtin(group: &str, kind: &str) -> Self {
        let kind = match (group, kind) {
            ("", "Pod") => &pod::POD,
            ("", "Node") => &node::NODE,
            ("", "Namespace") => &core::NAMESPACE,
            ("", "ConfigMap") => &core::CONFIG_MAP,
            ("", "Secret") => &core::SECRET,
            ("", "ServiceAccount") => &core::SERVICE_ACCOUNT,
            ("" | "events.k8s.io", "Event") => &event::EVENT,
            ("", "Service") => &network::SERVICE,
            ("", "Endpoints") => &network::ENDPOINTS,
            ("", "PersistentVolume") => &storage::PERSISTENT_VOLUME,
            ("", "PersistentVolumeClaim") => &storage::PERSISTENT_VOLUME_CLAIM,
            ("apps", "Deployment") => &workload::DEPLOYMENT,
            ("apps", "ReplicaSet") => &workload::REPLICA_SET,
            ("autoscaling", "HorizontalPodAutoscaler") => &autoscaling::AUTOSCALER,
            ("autoscaling", "Scale") => &workload::SCALE,
            ("coordination.k8s.io", "Lease") => &core::LEASE,
            ("discovery.k8s.io", "EndpointSlice") => &network::ENDPOINT_SLICE,
            ("rbac.authorization.k8s.io", "RoleBinding") => &rbac::ROLE_BINDING,
            ("rbac.authorization.k8s.io", "ClusterRoleBinding") => &rbac::CLUSTER_ROLE_BINDING,
            ("storage.k8s.io", "StorageClass") => &storage::STORAGE_CLASS,
            _ => &core::DEFAULT,
        };
        Self(Source::Builtin(kind))
    }

    /// The columns of a custom resource: NAME, then the additional ones, or AGE if there are none.
    pub fn custom(columns: &[PrinterColumn]) -> Self {
        Self(Source::Custom(if columns.is_empty() {
            custom::default_columns()
        } else {
            columns.into()
        }))
    }

    /// A Table of a list; `list_meta` is the list's `metadata`.
    pub fn list<'a>(
        &self,
        items: impl IntoIterator<Item = &'a Value>,
        list_meta: &Value,
        options: &Options,
    ) -> Value {
        let mut metadata = json!({});
        for field in ["resourceVersion", "continue", "remainingItemCount"] {
            if let Some(value) = list_meta.get(field) {
                metadata[field] = value.clone();
            }
        }
        self.table(
            items
                .into_iter()
                .map(|item| self.row(item, options))
                .collect(),
            metadata,
            options,
        )
    }

    /// A Table of one object: of a get, or of an event of a watch.
    pub fn object(&self, object: &Value, options: &Options) -> Value {
        let version = object.pointer("/metadata/resourceVersion");
        let metadata =
            version.map_or_else(|| json!({}), |version| json!({"resourceVersion": version}));
        self.table(vec![self.row(object, options)], metadata, options)
    }

    fn table(&self, rows: Vec<Value>, metadata: Value, options: &Options) -> Value {
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": if options.headers { self.definitions() } else { Value::Null },
            "rows": rows,
        })
    }

    /// `columnDefinitions` of a Table.
    pub fn definitions(&self) -> Value {
        let definition = |name: &str,
                          kind: &str,
                          format: &str,
                          description: &str,
                          priority: i32| {
            json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
        };
        let builtin = |c: &Column| definition(c.name, c.kind, c.format, c.description, c.priority);
        match &self.0 {
            Source::Builtin(kind) => kind.columns.iter().map(builtin).collect(),
            Source::Custom(columns) => {
                std::iter::once(builtin(&NAME))
                    .chain(columns.iter().map(|c| {
                        definition(&c.name, &c.kind, &c.format, &c.description, c.priority)
                    }))
                    .collect()
            }
        }
    }

    /// The cells of one object, in the order of the definitions.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.0 {
            Source::Builtin(kind) => (kind.cells)(object, now),
            Source::Custom(columns) => custom::cells(columns, object, now),
        }
    }

    fn row(&self, object: &Value, options: &Options) -> Value {
        let carried = match options.include {
            IncludeObject::None => Value::Null,
            IncludeObject::Object => object.clone(),
            IncludeObject::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
            }),
        };
        let mut row = json!({"cells": self.cells(object, options.now), "object": carried});
        if let Source::Builtin(kind) = &self.0
            && let Some(conditions) = (kind.conditions)(object)
        {
            row["conditions"] = conditions;
        }
        row
    }
}
