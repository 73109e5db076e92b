//! The rules of built-in kinds, where two crates have a say: CustomResourceDefinitions are described by the schema crate,
//! everything else by the validation crate.

use minicloud_api::meta;
use minicloud_schema::crd;
use serde_json::{Value, json};

use crate::registry::Rules;

/// The rules of a built-in kind. A kind that has none becomes a row without storage, which a test forbids.
pub(crate) fn rules(group: &str, version: &str, kind: &str) -> Rules {
    if kind == "CustomResourceDefinition" {
        return Rules::Definition;
    }
    minicloud_validation::rules(group, version, kind).map_or(Rules::Virtual, Rules::BuiltIn)
}

/// Before a definition is created.
pub(crate) fn prepare_create(definition: &mut Value) {
    meta::root_mut(definition).remove("status");
    meta::metadata_mut(definition).insert("generation".into(), 1.into());
    crd::default(definition);
}

/// Before a definition is replaced.
pub(crate) fn prepare_update(new: &mut Value, old: &Value) {
    let root = meta::root_mut(new);
    match old.get("status") {
        Some(status) => root.insert("status".into(), status.clone()),
        None => root.remove("status"),
    };
    let before = old
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let generation = if new.get("spec") == old.get("spec") {
        before
    } else {
        before + 1
    };
    meta::metadata_mut(new).insert("generation".into(), generation.into());
}

/// Before the status of an object with generic rules is replaced: all else stays as it was.
pub(crate) fn prepare_status_update(new: &mut Value, old: &Value) {
    let status = new.get("status").cloned().unwrap_or_else(|| json!({}));
    let version = meta::resource_version(new).to_owned();
    let mut kept = old.clone();
    meta::root_mut(&mut kept).insert("status".into(), status);
    meta::metadata_mut(&mut kept).insert("resourceVersion".into(), version.into());
    *new = kept;
}
