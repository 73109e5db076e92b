//! Strategic merge patches: merge patches that know the types, with directives in the patch.
//!
//! Directives: `$patch: replace|delete|merge` in a map, `$retainKeys` beside fields, `$deleteFromPrimitiveList/FIELD` and
//! `$setElementOrder/FIELD` beside a list. The rules are those of Kubernetes' `strategicpatch` package, quirks included:
//! clients compute patches against them.

use serde_json::{Map, Value};

use super::PatchError;
use super::order::{Identity, arrange};
use super::strategies::{Strategy, of};
use crate::schema::{Struct, Ty};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

type Object = Map<String, Value>;

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

fn malformed(message: String) -> PatchError {
    PatchError::Malformed(message)
}

/// What is known of a value's type.
#[derive(Clone, Copy)]
enum Shape {
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
    fn list(self, name: &str) -> (Strategy, Self) {
        let Shape::Struct(shape) = self else {
            return (Strategy::Replace, Shape::Unknown);
        };
        match shape.field(name) {
            Some(Ty::List(item)) => (of(shape.name, name), Shape::of(item)),
            _ => (Strategy::Replace, Shape::Unknown),
        }
    }
}

fn merge_map(original: &mut Object, patch: &Object, shape: Shape) -> Result<(), PatchError> {
    match patch.get(PATCH) {
        None => {}
        Some(Value::String(directive)) => match directive.as_str() {
            "replace" => {
                *original = patch
                    .iter()
                    .filter(|(k, _)| *k != PATCH)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                return Ok(());
            }
            "delete" => {
                original.clear();
                return Ok(());
            }
            "merge" => {}
            other => return Err(malformed(format!("unknown patch type [{other}] found"))),
        },
        Some(other) => return Err(malformed(format!("unknown patch type [{other}] found"))),
    }
    retain_keys(original, patch)?;
    let mut ordered = Vec::new();
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER_PREFIX) {
            in_order(original, patch, field, order, shape)?;
            ordered.push(field);
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
            let merged = merge_list(std::mem::take(old), new, shape.list(key))?;
            *old = merged;
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
fn without_directives(value: &Value) -> Option<Value> {
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

fn is_directive(key: &str) -> bool {
    key == PATCH
        || key == RETAIN_KEYS
        || key.starts_with(DELETE_PREFIX)
        || key.starts_with(ORDER_PREFIX)
}

fn merge_list(
    original: Vec<Value>,
    patch: &[Value],
    (strategy, item): (Strategy, Shape),
) -> Result<Vec<Value>, PatchError> {
    let key = match strategy {
        Strategy::Replace => {
            return Ok(match without_directives(&Value::Array(patch.to_vec())) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            });
        }
        Strategy::Set => {
            let mut merged = Vec::with_capacity(original.len() + patch.len());
            for each in original.iter().chain(patch) {
                if each.is_object() || each.is_array() {
                    return Err(malformed(
                        "list element types are not identical in a list of primitives".into(),
                    ));
                }
                if !merged.contains(each) {
                    merged.push(each.clone());
                }
            }
            return Ok(arrange(merged, patch, &original, Identity(None)));
        }
        Strategy::ByKey(key) => key,
    };
    let (mut merged, patch, replace) = special_items(original.clone(), patch, key)?;
    if replace {
        merged.clear();
    }
    let identity = Identity(Some(key));
    for each in &patch {
        match identity
            .position(&merged, each)
            .and_then(|i| merged.get_mut(i))
        {
            Some(Value::Object(old)) => {
                if let Value::Object(new) = each {
                    merge_map(old, new, item)?;
                }
            }
            _ => merged.extend(without_directives(each)),
        }
    }
    let server = if replace { Vec::new() } else { original };
    Ok(arrange(merged, &patch, &server, identity))
}

/// Carries out `$patch: replace` and `$patch: delete` of items. Returns what is left of the original, the other items of the
/// patch, and whether they replace the original.
fn special_items(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &'static str,
) -> Result<(Vec<Value>, Vec<Value>, bool), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for each in patch {
        let Value::Object(map) = each else {
            return Err(malformed(
                "list element types are not identical: a map with a merge key is needed".into(),
            ));
        };
        match map.get(PATCH) {
            None => {
                if !map.contains_key(key) {
                    let shown = shown(each);
                    return Err(malformed(format!(
                        "map: {shown} does not contain declared merge key: {key}"
                    )));
                }
                rest.push(each.clone());
            }
            Some(directive) if directive == "replace" => {
                replace = true;
                if map.contains_key(key) {
                    let kept = map
                        .iter()
                        .filter(|(k, _)| *k != PATCH)
                        .map(|(k, v)| (k.clone(), v.clone()));
                    rest.push(Value::Object(kept.collect()));
                }
            }
            Some(directive) if directive == "delete" => {
                let Some(wanted) = map.get(key) else {
                    let shown = shown(each);
                    return Err(malformed(format!(
                        "delete patch type with no merge key defined: {shown}"
                    )));
                };
                original.retain(|item| item.get(key) != Some(wanted));
            }
            Some(directive) if directive == "merge" => {
                return Err(malformed(
                    "merge patch type cannot yet be specified in a list".into(),
                ));
            }
            Some(other) => return Err(malformed(format!("unknown patch type [{other}] found"))),
        }
    }
    Ok((original, rest, replace))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 200 {
        text.chars().take(200).chain(['…']).collect()
    } else {
        text
    }
}

/// `$retainKeys`: fields that it does not list go away; the patch may not set any of them.
fn retain_keys(original: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let keys = match patch.get(RETAIN_KEYS) {
        None => return Ok(()),
        Some(Value::Array(keys)) => keys,
        Some(_) => {
            return Err(PatchError::Unprocessable(
                "invalid patch format of retainKeys".into(),
            ));
        }
    };
    let listed = |key: &str| keys.iter().any(|k| k == key);
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

fn delete_from(original: &mut Object, field: &str, unwanted: &Value) -> Result<(), PatchError> {
    let Value::Array(unwanted) = unwanted else {
        return Err(PatchError::Unprocessable(
            "invalid patch format of primitive list".into(),
        ));
    };
    if let Some(Value::Array(items)) = original.get_mut(field) {
        items.retain(|item| !unwanted.contains(item));
    }
    Ok(())
}

/// A list with `$setElementOrder`: merged as any, then put into that order.
fn in_order(
    original: &mut Object,
    patch: &Object,
    field: &str,
    order: &Value,
    shape: Shape,
) -> Result<(), PatchError> {
    let Value::Array(order) = order else {
        return Err(PatchError::Unprocessable(
            "invalid patch format of setElementOrder list".into(),
        ));
    };
    let (strategy, item) = shape.list(field);
    let identity = match strategy {
        Strategy::ByKey(key) => Identity(Some(key)),
        _ => Identity(None),
    };
    let added: &[Value] = match patch.get(field) {
        Some(Value::Array(added)) => added,
        Some(Value::Null) => {
            original.remove(field);
            return Ok(());
        }
        Some(_) => {
            return Err(malformed(format!(
                "the field {field} of the patch must be a list"
            )));
        }
        None => &[],
    };
    matches_order(added, order, identity)?;
    // Items that the patch deletes from a list of texts are no longer there to be put in order.
    let unwanted = patch
        .get(&format!("{DELETE_PREFIX}{field}"))
        .and_then(Value::as_array);
    let server = match original.get(field) {
        Some(Value::Array(server)) => server.clone(),
        Some(_) | None if added.is_empty() => return Ok(()),
        _ => Vec::new(),
    };
    let merged = if added.is_empty() && !patch.contains_key(field) {
        server.clone()
    } else {
        merge_list(server.clone(), added, (strategy, item))?
    };
    let mut arranged = arrange(merged, order, &server, identity);
    arranged.retain(|item| !unwanted.is_some_and(|unwanted| unwanted.contains(item)));
    original.insert(field.to_owned(), Value::Array(arranged));
    Ok(())
}

/// The patch's own items must come in the order that they are to have.
fn matches_order(items: &[Value], order: &[Value], identity: Identity) -> Result<(), PatchError> {
    let mut from = 0;
    for item in items.iter().filter(|item| item.get(PATCH).is_none()) {
        let rest = order.get(from..).unwrap_or_default();
        match identity.position(rest, item) {
            Some(offset) => from += offset + 1,
            None => {
                return Err(PatchError::Unprocessable(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    shown(&Value::Array(items.to_vec())),
                    shown(&Value::Array(order.to_vec()))
                )));
            }
        }
    }
    Ok(())
}
