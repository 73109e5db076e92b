//! JSON patches, operation by operation so that their cost is bounded.

use json_patch::jsonptr::Pointer;
use json_patch::{PatchErrorKind, PatchOperation};
use serde::Deserialize as _;
use serde_json::Value;

use super::PatchError;

/// The most operations in a JSON patch.
pub const OPERATIONS_MAX: usize = 10_000;
/// The most that all `copy` operations of a patch may copy, in bytes of JSON: a few lines could otherwise double an object
/// again and again.
pub const COPY_MAX_BYTES: usize = 3 << 20;

/// The deepest that the result may be nested. What is deeper could be stored but not be read again; and far deeper ones, which
/// moves of an object into a new one make cheaply, would overflow the stack of whoever walks them.
pub const DEPTH_MAX: usize = 120;
/// How deep the object may be between two operations, by an estimate, before it is measured.
const DEPTH_ESTIMATED_MAX: usize = 200;
/// The most list items that all operations may move aside, and values that measuring may look at: ten thousand inserts at the
/// front of a long list would otherwise take minutes.
const WORK_MAX: usize = 20_000_000;

/// What a patch has cost so far.
struct Cost {
    /// An upper bound of how deep the object is nested, kept up without walking it at every operation.
    depth: usize,
    work: usize,
}

impl Cost {
    /// Before an operation: the items that it moves aside.
    fn before(&mut self, operation: &PatchOperation, object: &Value) -> Result<(), PatchError> {
        let siblings = |path: &Pointer| {
            let parent = path.parent().and_then(|p| object.pointer(p.as_str()));
            parent.and_then(Value::as_array).map_or(0, Vec::len)
        };
        self.work += match operation {
            PatchOperation::Add(add) => siblings(&add.path),
            PatchOperation::Remove(remove) => siblings(&remove.path),
            PatchOperation::Copy(copy) => siblings(&copy.path),
            PatchOperation::Move(moved) => siblings(&moved.from) + siblings(&moved.path),
            PatchOperation::Replace(_) | PatchOperation::Test(_) => 0,
        };
        if self.work > WORK_MAX {
            return Err(PatchError::TooLarge(
                "the JSON patch changes long lists too often".into(),
            ));
        }
        Ok(())
    }

    /// After an operation: how deep the object may be now.
    fn after(&mut self, operation: &PatchOperation, object: &Value) -> Result<(), PatchError> {
        let below = match operation {
            PatchOperation::Add(add) => depth(&add.value, &mut self.work),
            PatchOperation::Replace(replace) => depth(&replace.value, &mut self.work),
            PatchOperation::Move(_) | PatchOperation::Copy(_) => self.depth,
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
        };
        self.depth = self.depth.max(operation.path().count() + below);
        if self.depth > DEPTH_ESTIMATED_MAX {
            self.measure(object)?;
        }
        Ok(())
    }

    /// Looks, and refuses an object that is too deep.
    fn measure(&mut self, object: &Value) -> Result<(), PatchError> {
        self.depth = depth(object, &mut self.work);
        if self.depth > DEPTH_MAX {
            return Err(PatchError::TooLarge(format!(
                "the result of the JSON patch is nested deeper than {DEPTH_MAX} levels"
            )));
        }
        Ok(())
    }
}

fn depth(value: &Value, looked_at: &mut usize) -> usize {
    *looked_at += 1;
    let mut deepest = 0;
    match value {
        Value::Array(items) => {
            for item in items {
                deepest = deepest.max(depth(item, looked_at));
            }
        }
        Value::Object(map) => {
            for item in map.values() {
                deepest = deepest.max(depth(item, looked_at));
            }
        }
        _ => return 0,
    }
    deepest + 1
}

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
    let mut cost = Cost {
        // Whatever came from JSON text is no deeper than the parser takes.
        depth: 128,
        work: 0,
    };
    for operation in parsed {
        cost.before(&operation, &result)?;
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
        cost.after(&operation, &result)?;
    }
    if cost.depth > DEPTH_MAX {
        cost.measure(&result)?;
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
