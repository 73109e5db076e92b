//! JSON patches, operation by operation so that their cost is bounded.

use json_patch::{PatchErrorKind, PatchOperation};
use serde::Deserialize as _;
use serde_json::Value;

use super::PatchError;

/// The most operations in a JSON patch.
pub const OPERATIONS_MAX: usize = 10_000;
/// The most that all `copy` operations of a patch may copy, in bytes of JSON: a few lines could otherwise double an object
/// again and again.
pub const COPY_MAX_BYTES: usize = 3 << 20;

pub(super) fn apply(original: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(PatchError::Malformed(
            "json: cannot unmarshal: a JSON patch must be a list of operations".into(),
        ));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut parsed = Vec::with_capacity(operations.len());
    for (i, operation) in operations.iter().enumerate() {
        let operation = PatchOperation::deserialize(operation).map_err(|e| {
            PatchError::Malformed(format!("operation {i} of the JSON patch is malformed: {e}"))
        })?;
        parsed.push(operation);
    }
    let mut result = original.clone();
    let mut copied = 0;
    for operation in parsed {
        if let PatchOperation::Copy(copy) = &operation {
            copied += result.pointer(copy.from.as_str()).map_or(0, json_bytes);
            if copied > COPY_MAX_BYTES {
                return Err(PatchError::TooLarge(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                     {COPY_MAX_BYTES}"
                )));
            }
        }
        json_patch::patch_unsafe(&mut result, std::slice::from_ref(&operation))
            .map_err(|error| PatchError::Unprocessable(message(&operation, &error.kind)))?;
    }
    Ok(result)
}

/// About as many bytes as the value has as JSON.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_bytes(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(key, value)| key.len() + json_bytes(value) + 4)
                .sum::<usize>()
        }
        _ => 5,
    }
}

fn message(operation: &PatchOperation, kind: &PatchErrorKind) -> String {
    let path = operation.path();
    let name = match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    };
    match kind {
        PatchErrorKind::TestFailed => format!("testing value {path} failed: test failed"),
        PatchErrorKind::InvalidPointer => {
            format!("{name} operation does not apply: doc is missing path: {path}: missing value")
        }
        other => format!("{name} operation does not apply: {path}: {other}"),
    }
}
