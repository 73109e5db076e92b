//! The kind `Resizer` (minicloud.io/v1) as Rust has it; `definition` says the same to the API server, and a test holds both together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Serialize};

/// The API group of what is Minicloud's own.
pub(super) const GROUP: &str = "minicloud.io";

/// Requests that grow with the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resizer {
    #[serde(rename = "apiVersion", default)]
    pub(super) api_version: String,
    #[serde(default)]
    pub(super) kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Spec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
}

/// What is wished.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) target: Target,
    /// The container that is resized.
    pub(super) container: String,
    /// What it requests, by the resource's name.
    pub(super) resources: BTreeMap<String, Amount>,
    /// How far requests may be off before the pods are replaced.
    #[serde(default)]
    pub(super) tolerance_percent: u32,
    #[serde(default)]
    pub(super) limits: Limits,
}

/// What has the pod template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// An amount that depends on the number of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Amount {
    pub(super) base: Text,
    pub(super) per_node: Text,
}

/// A quantity as it is written: text or a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Number(i64),
    Text(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// What becomes of the container's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Limits {
    /// They stay.
    #[default]
    Keep,
    /// They are what is requested.
    Follow,
}

/// What was computed, and whether the target has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observed_generation: Option<i64>,
    pub(super) nodes: i64,
    pub(super) requests: BTreeMap<String, String>,
    pub(super) conditions: Vec<Condition>,
}

impl Resource for Resizer {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Resizer".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "resizers".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
