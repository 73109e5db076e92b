//! OpenAPI v3 documents, one for each group and version, as Kubernetes serves them below `/openapi/v3`.

use serde_json::Value;

/// Where the schema of a kind comes from.
#[derive(Debug, Clone)]
pub enum SchemaSource<'a> {
    /// A type of Kubernetes' own.
    Builtin,
    /// `openAPIV3Schema` of a CustomResourceDefinition's version.
    Custom(&'a Value),
}

/// A subresource, as discovery lists it.
#[derive(Debug, Clone)]
pub struct SubresourceInfo<'a> {
    /// `status`, `scale`, `log`, …
    pub name: &'a str,
    /// The group of what it takes and gives.
    pub group: &'a str,
    /// The version of what it takes and gives.
    pub version: &'a str,
    /// The kind of what it takes and gives.
    pub kind: &'a str,
    /// `get`, `patch`, `update`, `create`.
    pub verbs: &'a [&'a str],
}

/// A resource of the document's group and version.
#[derive(Debug, Clone)]
pub struct ResourceInfo<'a> {
    /// `pods`.
    pub plural: &'a str,
    /// `Pod`.
    pub kind: &'a str,
    /// `PodList`.
    pub list_kind: &'a str,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// As discovery lists them.
    pub verbs: &'a [&'a str],
    /// Subresources.
    pub subresources: Vec<SubresourceInfo<'a>>,
    /// The schema.
    pub schema: SchemaSource<'a>,
}

/// The document for a group (empty for core) and version.
pub fn document(_group: &str, _version: &str, _resources: &[ResourceInfo<'_>]) -> Value {
    Value::Null
}

/// The key of a group and version in the index: `api/v1`, `apis/apps/v1`.
pub fn index_key(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The index (`/openapi/v3`): for each key its hash.
pub fn index<'a>(_entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Null
}

/// The hash of a document, for the index and `ETag`.
pub fn hash(_document: &[u8]) -> String {
    String::new()
}
