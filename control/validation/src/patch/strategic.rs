//! Strategic merge patches: merge patches that know the types, with directives in the patch.
//!
//! Directives: `$patch: replace|delete|merge` in a map, `$retainKeys` beside fields, `$deleteFromPrimitiveList/FIELD` and
//! `$setElementOrder/FIELD` beside a list. The rules are those of Kubernetes' `strategicpatch` package, quirks included:
//! clients compute patches against them.

use serde_json::{Map, Value};

use super::PatchError;
use super::lists::{delete_from, in_order, merge_list};
use super::strategies::{Strategy, of};
use crate::schema::{Struct, Ty};
use crate::seen::Seen;

pub(super) const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

pub(super) type Object = Map<String, Value>;

pub(super) fn apply(
    original: &Value,
    patch: &Object,
    shape: &'static Struct,
) -> Result<Value, PatchError> {
    let Value::Object(original) = original else {
        return Err(malformed("the object to patch is not a JSON object".into()));
    };
    let mut result = original.clone();
    merge_map(&mut result, patch, Shape::Struct(shape))?;
    Ok(Value::Object(result))
}

pub(super) fn unknown_directive(directive: &Value) -> PatchError {
    malformed(format!(
        "unknown patch type [{}] found",
        directive.as_str().unwrap_or("not a text")
    ))
}

pub(super) fn malformed(message: String) -> PatchError {
    PatchError::Malformed(message)
}

/// What is known of a value's type.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Struct(&'static Struct),
    Map(&'static Ty),
    Unknown,
}

impl Shape {
    fn of(ty: &'static Ty) -> Self {
        match ty {
            Ty::Struct(shape) => Shape::Struct(shape),
            Ty::Map(item) => Shape::Map(item),
            _ => Shape::Unknown,
        }
    }

    fn field(self, name: &str) -> Self {
        match self {
            Shape::Struct(shape) => shape.field(name).map_or(Shape::Unknown, Shape::of),
            Shape::Map(item) => Shape::of(item),
            Shape::Unknown => Shape::Unknown,
        }
    }

    /// The strategy of a list and the type of its items.
    pub(super) fn list(self, name: &str) -> (Strategy, Self) {
        let Shape::Struct(shape) = self else {
            return (Strategy::Replace, Shape::Unknown);
        };
        match shape.field(name) {
            Some(Ty::List(item)) => (of(shape.name, name), Shape::of(item)),
            _ => (Strategy::Replace, Shape::Unknown),
        }
    }
}

pub(super) fn merge_map(
    original: &mut Object,
    patch: &Object,
    shape: Shape,
) -> Result<(), PatchError> {
    match patch.get(PATCH) {
        None => {}
        Some(directive) if directive == "replace" => {
            *original = match without_directives(&Value::Object(patch.clone())) {
                Some(Value::Object(map)) => map,
                _ => Object::new(),
            };
            return Ok(());
        }
        Some(directive) if directive == "delete" => {
            original.clear();
            return Ok(());
        }
        Some(directive) if directive == "merge" => {}
        Some(other) => return Err(unknown_directive(other)),
    }
    retain_keys(original, patch)?;
    let mut ordered = Seen::new();
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER_PREFIX) {
            in_order(original, patch, field, order, shape)?;
            ordered.insert(field);
        }
    }
    for (key, value) in patch {
        if matches!(key.as_str(), PATCH | RETAIN_KEYS)
            || key.starts_with(ORDER_PREFIX)
            || ordered.contains(&key.as_str())
        {
            continue;
        }
        match key.strip_prefix(DELETE_PREFIX) {
            Some(field) => delete_from(original, field, value)?,
            None => merge_field(original, key, value, shape)?,
        }
    }
    Ok(())
}

fn merge_field(
    original: &mut Object,
    key: &str,
    value: &Value,
    shape: Shape,
) -> Result<(), PatchError> {
    if value.is_null() {
        original.remove(key);
        return Ok(());
    }
    match (original.get_mut(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => merge_map(old, new, shape.field(key)),
        (Some(Value::Array(old)), Value::Array(new)) => {
            *old = merge_list(std::mem::take(old), new, shape.list(key))?.arranged();
            Ok(())
        }
        (Some(old), _) => {
            *old = without_directives(value).unwrap_or(Value::Null);
            Ok(())
        }
        (None, _) => {
            if let Some(value) = without_directives(value) {
                original.insert(key.to_owned(), value);
            }
            Ok(())
        }
    }
}

/// A value of the patch that has nothing to be merged with: without directives and without nulls, which mean "delete".
/// None if it is itself to be deleted.
pub(super) fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map
                .get(PATCH)
                .is_some_and(|directive| directive == "delete")
            {
                return None;
            }
            let kept = map
                .iter()
                .filter(|(key, value)| !is_directive(key) && !value.is_null())
                .filter_map(|(key, value)| Some((key.clone(), without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => {
            // `$patch: replace` is an item of its own, of which nothing is left.
            let only_directive = |item: &Value| {
                item.as_object()
                    .is_some_and(|m| m.len() == 1 && m.contains_key(PATCH))
            };
            Some(Value::Array(
                items
                    .iter()
                    .filter(|item| !only_directive(item))
                    .filter_map(without_directives)
                    .collect(),
            ))
        }
        other => Some(other.clone()),
    }
}

pub(super) fn is_directive(key: &str) -> bool {
    key == PATCH
        || key == RETAIN_KEYS
        || key.starts_with(DELETE_PREFIX)
        || key.starts_with(ORDER_PREFIX)
}

/// `$retainKeys`: fields that it does not list go away; the patch may not set any of them.
fn retain_keys(original: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let keys = match patch.get(RETAIN_KEYS) {
        None => return Ok(()),
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err(malformed("invalid patch format of retainKeys".into())),
    };
    let keys: Seen<&str> = keys.iter().filter_map(Value::as_str).collect();
    let listed = |key: &str| keys.contains(&key);
    let stray = patch
        .iter()
        .any(|(key, value)| !value.is_null() && !is_directive(key) && !listed(key));
    if stray {
        return Err(PatchError::Unprocessable(
            "invalid patch format of retainKeys".into(),
        ));
    }
    original.retain(|key, _| listed(key));
    Ok(())
}
