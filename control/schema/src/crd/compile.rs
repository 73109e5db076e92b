//! From a definition to what is served.

use std::cmp::Ordering;

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

use super::{
    CompiledCrd, CompiledVersion, Names, PrinterColumn, Scale, SelectableField, text, versions,
};
use crate::jsonpath::{Error, JsonPath, SimplePath};
use crate::structural::Structural;

pub(super) fn compile(crd: &Value) -> Result<CompiledCrd, ErrorList> {
    let group = text(crd, "/spec/group").to_owned();
    let accepted = crd
        .pointer("/status/acceptedNames")
        .map(Names::parse)
        .unwrap_or_default();
    let names = if accepted.plural.is_empty() {
        crd.pointer("/spec/names")
            .map(Names::parse)
            .unwrap_or_default()
    } else {
        accepted
    };
    let mut errors = ErrorList::new();
    let mut compiled = Vec::new();
    for (index, raw) in versions(crd).enumerate() {
        let flag = |name: &str| raw.get(name) == Some(&Value::Bool(true));
        if !flag("served") && !flag("storage") {
            continue;
        }
        let at = Path::new("spec").child("versions").index(index);
        match version(raw, index, &group, &names.kind, &at) {
            Ok(version) => compiled.push(version),
            Err(found) => errors.extend(found),
        }
    }
    errors.into_result()?;
    compiled.sort_by(|a, b| preference(&a.name, &b.name));
    Ok(CompiledCrd {
        group,
        names,
        namespaced: text(crd, "/spec/scope") == "Namespaced",
        versions: compiled,
    })
}

fn version(
    raw: &Value,
    index: usize,
    group: &str,
    kind: &str,
    at: &Path,
) -> Result<CompiledVersion, ErrorList> {
    let name = text(raw, "/name");
    let flag = |name: &str| raw.get(name) == Some(&Value::Bool(true));
    let schema_at = at.child("schema").child("openAPIV3Schema");
    let Some(schema) = raw.pointer("/schema/openAPIV3Schema") else {
        return Err(vec![FieldError::required(schema_at, "schemas are required")].into());
    };
    let list = |field: &str| {
        raw.get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
    };
    let bad = |field: &str, index: usize, path: &str, why: Error| {
        let at = at.child(field).index(index).child("jsonPath");
        ErrorList::from(vec![FieldError::invalid(at, path, why.to_string())])
    };
    let mut columns = Vec::new();
    for (index, column) in list("additionalPrinterColumns") {
        let path = text(column, "/jsonPath");
        columns.push(PrinterColumn {
            name: text(column, "/name").to_owned(),
            kind: text(column, "/type").to_owned(),
            format: text(column, "/format").to_owned(),
            description: match text(column, "/description") {
                "" => format!("Custom resource definition column (in JSONPath format): {path}"),
                given => given.to_owned(),
            },
            priority: column
                .get("priority")
                .and_then(Value::as_i64)
                .and_then(|n| i32::try_from(n).ok())
                .unwrap_or(0),
            path: JsonPath::parse(path)
                .map_err(|why| bad("additionalPrinterColumns", index, path, why))?,
        });
    }
    let mut selectable = Vec::new();
    for (index, field) in list("selectableFields") {
        let path = text(field, "/jsonPath");
        selectable.push(SelectableField {
            name: path.trim_start_matches('.').to_owned(),
            path: SimplePath::parse(path)
                .map_err(|why| bad("selectableFields", index, path, why))?,
        });
    }
    Ok(CompiledVersion {
        name: name.to_owned(),
        served: flag("served"),
        storage: flag("storage"),
        deprecation_warning: flag("deprecated").then(|| match text(raw, "/deprecationWarning") {
            "" => format!("{group}/{name} {kind} is deprecated"),
            given => given.to_owned(),
        }),
        schema: Structural::compile(schema, &schema_at)?,
        status: raw
            .pointer("/subresources/status")
            .is_some_and(Value::is_object),
        scale: scale(raw, &at.child("subresources").child("scale"))?,
        columns,
        selectable,
        index,
    })
}

fn scale(raw: &Value, at: &Path) -> Result<Option<Scale>, ErrorList> {
    let Some(scale) = raw
        .pointer("/subresources/scale")
        .filter(|scale| scale.is_object())
    else {
        return Ok(None);
    };
    let path = |field: &str| {
        let given = scale.get(field).and_then(Value::as_str).unwrap_or_default();
        SimplePath::parse(given).map_err(|why| {
            ErrorList::from(vec![FieldError::invalid(
                at.child(field),
                given,
                why.to_string(),
            )])
        })
    };
    let selector = scale
        .get("labelSelectorPath")
        .and_then(Value::as_str)
        .filter(|given| !given.is_empty());
    Ok(Some(Scale {
        spec_replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        label_selector: selector.map(|_| path("labelSelectorPath")).transpose()?,
    }))
}

/// Kubernetes' order of versions: stable before beta before alpha, then the higher number; other names last, by alphabet.
pub(super) fn preference(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// `v1beta2` as (beta, 1, 2).
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    };
    for (word, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return Some((stability, number(major)?, number(minor)?));
        }
    }
    Some((2, number(rest)?, 0))
}
