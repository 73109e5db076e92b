//! What is let pass but worth a word.

use minicloud_api::field::Path;
use serde_json::Value;

use super::versions;
use crate::structural::format;
use crate::structural::raw::Raw;

pub(super) fn warnings(crd: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (index, version) in versions(crd).enumerate() {
        if let Some(schema) = version
            .pointer("/schema/openAPIV3Schema")
            .and_then(Raw::new)
        {
            let at = Path::new("spec")
                .child("versions")
                .index(index)
                .child("schema")
                .child("openAPIV3Schema");
            unknown_formats(schema, &at, 0, &mut found);
        }
    }
    found
}

fn unknown_formats(schema: Raw<'_>, at: &Path, depth: usize, found: &mut Vec<String>) {
    const MAX_DEPTH: usize = 64;
    const MAX_WARNINGS: usize = 20;
    if depth > MAX_DEPTH || found.len() >= MAX_WARNINGS {
        return;
    }
    let format = schema.text("format");
    if schema.kind() == "string" && !format.is_empty() && !format::known(format) {
        found.push(format!(
            "{}: unrecognized format {format:?}",
            at.child("format")
        ));
    }
    for (name, property) in schema.map("properties") {
        unknown_formats(
            property,
            &at.child("properties").key(name),
            depth + 1,
            found,
        );
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.sub(keyword) {
            unknown_formats(inner, &at.child(keyword), depth + 1, found);
        }
    }
}
