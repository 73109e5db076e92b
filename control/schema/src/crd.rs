//! CustomResourceDefinition objects (apiextensions.k8s.io/v1): defaulting, validation, naming, and compiling into what the
//! API server serves.
//!
//! Paths in messages are Kubernetes', which hoists what all versions have in common: with one version a mistake in its
//! schema is at `spec.validation.openAPIV3Schema`, with several different ones at `spec.versions[i].schema.openAPIV3Schema`.

mod compile;
mod fields;
mod naming;
#[cfg(test)]
mod tests;
mod validate;
mod warnings;

use minicloud_api::field::ErrorList;
use minicloud_api::meta;
use serde_json::{Map, Value, json};

pub use naming::{Naming, naming};

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

impl Names {
    /// Reads `spec.names` or `status.acceptedNames`; what is missing is empty.
    pub fn parse(names: &Value) -> Self {
        let text = |field: &str| {
            names
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let list = |field: &str| {
            let items = names
                .get(field)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            plural: text("plural"),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: list("shortNames"),
            categories: list("categories"),
        }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "plural": self.plural, "singular": self.singular, "kind": self.kind, "listKind": self.list_kind,
        });
        for (field, list) in [
            ("shortNames", &self.short_names),
            ("categories", &self.categories),
        ] {
            if !list.is_empty() {
                value[field] = json!(list);
            }
        }
        value
    }
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
    /// Where the version stands in `spec.versions`: the way to its raw schema, for OpenAPI.
    pub index: usize,
}

impl CompiledVersion {
    /// The raw `openAPIV3Schema` of this version in the definition that it was compiled from.
    pub fn raw_schema<'a>(&self, crd: &'a Value) -> Option<&'a Value> {
        crd.pointer(&format!(
            "/spec/versions/{}/schema/openAPIV3Schema",
            self.index
        ))
    }
}

/// What the API server needs to serve a custom resource.
#[derive(Debug, Clone)]
pub struct CompiledCrd {
    /// `example.org`.
    pub group: String,
    /// The accepted names; those of `spec.names` where none are accepted yet.
    pub names: Names,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// The versions that are served or stored, in the order of preference (v2 before v1 before v1beta1).
    pub versions: Vec<CompiledVersion>,
}

/// Fills in `spec.names.singular` and `listKind`, `spec.conversion`, and adds the storage version to
/// `status.storedVersions`. For creation and update alike; doing it again changes nothing.
pub fn default(crd: &mut Value) {
    let storage: Vec<Value> = versions(crd)
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name").cloned())
        .collect();
    let root = meta::root_mut(crd);
    let spec = meta::child_mut(root, "spec");
    let names = meta::child_mut(spec, "names");
    let kind = names
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let is_empty = |names: &Map<String, Value>, field: &str| {
        names
            .get(field)
            .is_none_or(|value| value.is_null() || value.as_str() == Some(""))
    };
    if !kind.is_empty() {
        if is_empty(names, "singular") {
            names.insert("singular".to_owned(), kind.to_lowercase().into());
        }
        if is_empty(names, "listKind") {
            names.insert("listKind".to_owned(), format!("{kind}List").into());
        }
    }
    if spec.get("conversion").is_none_or(Value::is_null) {
        spec.insert("conversion".to_owned(), json!({"strategy": "None"}));
    }
    let status = meta::child_mut(root, "status");
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if stored.is_null() {
        *stored = json!([]);
    }
    if let Some(stored) = stored.as_array_mut() {
        for name in storage {
            if !stored.contains(&name) {
                stored.push(name);
            }
        }
    }
}

/// Removes fields that definitions do not have; returns their paths, sorted, as strict field validation names them.
pub fn prune(crd: &mut Value) -> Vec<String> {
    fields::prune(crd)
}

/// What is wrong with a new definition. Metadata is checked only for its name.
pub fn validate_create(crd: &Value) -> ErrorList {
    validate::create(crd)
}

/// What is wrong with a changed definition.
pub fn validate_update(new: &Value, old: &Value) -> ErrorList {
    validate::update(new, old)
}

/// What is wrong with a changed status.
pub fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    validate::status(new)
}

/// What is worth a warning: formats of strings that are not checked.
pub fn warnings(crd: &Value) -> Vec<String> {
    warnings::warnings(crd)
}

/// Compiles a definition.
///
/// # Errors
/// What keeps the definition from being served; nothing for one that [`validate_create`] found good.
pub fn compile(crd: &Value) -> Result<CompiledCrd, ErrorList> {
    compile::compile(crd)
}

/// `spec.versions`.
fn versions(crd: &Value) -> impl Iterator<Item = &Value> {
    crd.pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A string somewhere in a value, empty where there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The condition of this type.
fn condition<'a>(crd: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = crd
        .pointer("/status/conditions")
        .and_then(Value::as_array)?;
    all.iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}
