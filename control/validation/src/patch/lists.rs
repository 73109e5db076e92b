//! Lists of strategic merge patches: merged by key or as sets, with items deleted, replaced and put in order.

use serde_json::Value;

use super::PatchError;
use super::order::{Identity, arrange};
use super::strategic::{
    DELETE_PREFIX, Object, PATCH, Shape, malformed, merge_map, unknown_directive,
    without_directives,
};
use super::strategies::Strategy;
use crate::seen::Seen;

/// A merged list, and what its order depends on.
pub(super) struct Merged {
    items: Vec<Value>,
    /// The items of the patch.
    wanted: Vec<Value>,
    /// The items that were there.
    server: Vec<Value>,
    /// None for a list that was replaced, whose order is the patch's and may repeat items.
    identity: Option<Identity>,
}

impl Merged {
    pub(super) fn arranged(self) -> Vec<Value> {
        match self.identity {
            Some(identity) => arrange(self.items, &self.wanted, &self.server, identity),
            None => self.items,
        }
    }
}

pub(super) fn merge_list(
    original: Vec<Value>,
    patch: &[Value],
    (strategy, item): (Strategy, Shape),
) -> Result<Merged, PatchError> {
    let key = match strategy {
        Strategy::Replace => {
            let items = match without_directives(&Value::Array(patch.to_vec())) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            return Ok(Merged {
                items,
                wanted: Vec::new(),
                server: Vec::new(),
                identity: None,
            });
        }
        Strategy::Set => {
            let mut items = Vec::with_capacity(original.len() + patch.len());
            let mut seen = Seen::new();
            for each in original.iter().chain(patch) {
                if each.is_object() || each.is_array() {
                    return Err(malformed(
                        "list element types are not identical in a list of primitives".into(),
                    ));
                }
                if seen.insert(each) {
                    items.push(each.clone());
                }
            }
            return Ok(Merged {
                items,
                wanted: patch.to_vec(),
                server: original,
                identity: Some(Identity(None)),
            });
        }
        Strategy::ByKey(key) => key,
    };
    let (mut items, wanted, replace) = special_items(original.clone(), patch, key)?;
    if replace {
        items.clear();
    }
    let identity = Identity(Some(key));
    let server = items.clone();
    let mut places = identity.places(&server);
    for each in &wanted {
        match places
            .get(identity.of(each))
            .and_then(|i| items.get_mut(*i))
        {
            Some(Value::Object(old)) => {
                if let Value::Object(new) = each {
                    merge_map(old, new, item)?;
                }
            }
            _ => {
                if let Some(new) = without_directives(each) {
                    places.insert(identity.of(each), items.len());
                    items.push(new);
                }
            }
        }
    }
    drop(places);
    Ok(Merged {
        items,
        wanted,
        server,
        identity: Some(identity),
    })
}

/// Carries out `$patch: replace` and `$patch: delete` of items. Returns what is left of the original, the other items of the
/// patch, and whether they replace the original.
fn special_items(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &'static str,
) -> Result<(Vec<Value>, Vec<Value>, bool), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut unwanted = Seen::new();
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
            // What else the item says does not count.
            Some(directive) if directive == "replace" => replace = true,
            Some(directive) if directive == "delete" => {
                let Some(wanted) = map.get(key) else {
                    let shown = shown(each);
                    return Err(malformed(format!(
                        "delete patch type with no merge key defined: {shown}"
                    )));
                };
                unwanted.insert(wanted);
            }
            Some(directive) if directive == "merge" => {
                return Err(malformed(
                    "merging lists cannot yet be specified in the patch".into(),
                ));
            }
            Some(other) => return Err(unknown_directive(other)),
        }
    }
    original.retain(|item| !item.get(key).is_some_and(|value| unwanted.contains(&value)));
    Ok((original, rest, replace))
}

pub(super) fn delete_from(
    original: &mut Object,
    field: &str,
    unwanted: &Value,
) -> Result<(), PatchError> {
    let Value::Array(unwanted) = unwanted else {
        return Err(malformed("invalid patch format of primitive list".into()));
    };
    if let Some(Value::Array(items)) = original.get_mut(field) {
        let unwanted: Seen<&Value> = unwanted.iter().collect();
        items.retain(|item| !unwanted.contains(&item));
    }
    Ok(())
}

/// A list with `$setElementOrder`: merged as any, then put into that order.
pub(super) fn in_order(
    original: &mut Object,
    patch: &Object,
    field: &str,
    order: &Value,
    shape: Shape,
) -> Result<(), PatchError> {
    let Value::Array(order) = order else {
        return Err(malformed(
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
    let mut arranged = if patch.contains_key(field) {
        let merged = merge_list(server.clone(), added, (strategy, item))?;
        // Kubernetes deletes items in place and lets new ones take their room before it looks at the order again. So the first of
        // the new items count as if they had been there.
        let server = match strategy {
            Strategy::ByKey(_) => merged.items.iter().take(server.len()).cloned().collect(),
            _ => server,
        };
        arrange(merged.arranged(), order, &server, identity)
    } else {
        arrange(server.clone(), order, &server, identity)
    };
    let unwanted: Seen<&Value> = unwanted.into_iter().flatten().collect();
    arranged.retain(|item| !unwanted.contains(&item));
    original.insert(field.to_owned(), Value::Array(arranged));
    Ok(())
}

/// The patch's own items must come in the order that they are to have.
fn matches_order(items: &[Value], order: &[Value], identity: Identity) -> Result<(), PatchError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut left = order.iter();
    for item in items.iter().filter(|item| item.get(PATCH).is_none()) {
        if !left.any(|other| identity.of(other) == identity.of(item)) {
            return Err(PatchError::Unprocessable(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                shown(&Value::Array(items.to_vec())),
                shown(&Value::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 200 {
        text.chars().take(200).chain(['…']).collect()
    } else {
        text
    }
}
