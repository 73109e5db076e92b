//! CustomResourceDefinition objects: defaulting, validation, naming, and compiling into what the API server serves.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use crate::jsonpath::{JsonPath, SimplePath};
use crate::structural::Structural;

/// The names of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// `widgets`, as in URLs.
    pub plural: String,
    /// `widget`.
    pub singular: String,
    /// `Widget`.
    pub kind: String,
    /// `WidgetList`.
    pub list_kind: String,
    /// `wd`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
}

/// The scale subresource of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Where the wished number of replicas is, below `.spec`.
    pub spec_replicas: SimplePath,
    /// Where the observed number of replicas is, below `.status`.
    pub status_replicas: SimplePath,
    /// Where the serialized label selector is, below `.spec` or `.status`.
    pub label_selector: Option<SimplePath>,
}

/// One of `additionalPrinterColumns`.
#[derive(Debug, Clone, PartialEq)]
pub struct PrinterColumn {
    /// The header.
    pub name: String,
    /// `integer`, `number`, `string`, `boolean` or `date`.
    pub kind: String,
    /// An OpenAPI format, often empty.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// Above 0: only in wide output.
    pub priority: i32,
    /// Where the value is.
    pub path: JsonPath,
}

/// A field that field selectors may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectableField {
    /// As selectors name it: `spec.color`.
    pub name: String,
    /// Where it is.
    pub path: SimplePath,
}

/// One version of a custom resource.
#[derive(Debug, Clone)]
pub struct CompiledVersion {
    /// `v1`.
    pub name: String,
    /// Reachable over the API.
    pub served: bool,
    /// What is stored; exactly one version is.
    pub storage: bool,
    /// The warning that answers for this version carry, when it is deprecated.
    pub deprecation_warning: Option<String>,
    /// The compiled schema.
    pub schema: Structural,
    /// Has the status subresource.
    pub status: bool,
    /// Has the scale subresource.
    pub scale: Option<Scale>,
    /// Columns of tables.
    pub columns: Vec<PrinterColumn>,
    /// Fields for selectors.
    pub selectable: Vec<SelectableField>,
}

/// What the API server needs to serve a custom resource.
#[derive(Debug, Clone)]
pub struct CompiledCrd {
    /// `example.org`.
    pub group: String,
    /// As in `spec.names`.
    pub names: Names,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// As in `spec.versions`, in the order of preference (Kubernetes' version order: v2 before v1 before v1beta1).
    pub versions: Vec<CompiledVersion>,
}

/// What became of the names that a definition asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Naming {
    /// For `status.acceptedNames`.
    pub accepted_names: Value,
    /// For `status.conditions` (NamesAccepted, Established; others are kept).
    pub conditions: Value,
    /// True once it may be served.
    pub established: bool,
}

/// Fills in `spec.names.singular`, `listKind`, `spec.conversion`, and on creation `status.storedVersions`.
pub fn default(_crd: &mut Value) {}

/// What is wrong with a new definition.
pub fn validate_create(_crd: &Value) -> ErrorList {
    ErrorList::new()
}

/// What is wrong with a changed definition.
pub fn validate_update(_new: &Value, _old: &Value) -> ErrorList {
    ErrorList::new()
}

/// What is wrong with a changed status.
pub fn validate_status_update(_new: &Value, _old: &Value) -> ErrorList {
    ErrorList::new()
}

/// Compiles a valid definition.
pub fn compile(_crd: &Value) -> Result<CompiledCrd, ErrorList> {
    Err(ErrorList::new())
}

/// Decides about names against the other definitions (those of other groups are skipped). `now` is RFC 3339.
pub fn naming<'a>(
    _crd: &Value,
    _others: impl IntoIterator<Item = &'a Value>,
    _now: &str,
) -> Naming {
    Naming {
        accepted_names: Value::Null,
        conditions: Value::Null,
        established: false,
    }
}
