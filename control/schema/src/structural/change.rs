//! Defaulting and pruning: the two ways in which a schema changes an object.

use serde_json::{Map, Value};

use super::meta;
use super::schema::{Additional, Node};

/// Fills in defaults; then drops nulls where a field is neither nullable nor has a default.
pub(super) fn default(node: &Node, value: &mut Value) {
    fill(node, value);
    drop_nulls(node, value);
}

fn refused_null(node: &Node, value: &Value) -> bool {
    value.is_null() && !node.nullable
}

fn fill(node: &Node, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, child) in &node.properties {
                let Some(default) = &child.default else {
                    continue;
                };
                if object
                    .get(name)
                    .is_none_or(|present| refused_null(child, present))
                {
                    object.insert(name.clone(), default.clone());
                }
            }
            for (name, present) in object.iter_mut() {
                if let Some(child) = node.properties.get(name) {
                    fill(child, present);
                } else if let Some(Additional::Schema(child)) = &node.additional {
                    fill_in_place(child, present);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &node.items {
                for item in items {
                    fill_in_place(child, item);
                }
            }
        }
        _ => {}
    }
}

fn fill_in_place(node: &Node, value: &mut Value) {
    if refused_null(node, value)
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
    fill(node, value);
}

fn drop_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let child_of = |name: &str| {
                node.properties.get(name).or(match &node.additional {
                    Some(Additional::Schema(child)) => Some(child),
                    _ => None,
                })
            };
            object.retain(|name, value| {
                !child_of(name)
                    .is_some_and(|child| refused_null(child, value) && child.default.is_none())
            });
            for (name, value) in object.iter_mut() {
                if let Some(child) = child_of(name) {
                    drop_nulls(child, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &node.items {
                for item in items {
                    drop_nulls(child, item);
                }
            }
        }
        _ => {}
    }
}

/// Removes what the schema does not know and notes the paths.
pub(super) struct Pruner {
    pub(super) removed: Vec<String>,
}

impl Pruner {
    /// Prunes an object that has `apiVersion`, `kind` and `metadata`.
    pub(super) fn resource(&mut self, node: &Node, value: &mut Value, path: &str) {
        self.value(Some(node), true, value, path);
    }

    /// Prunes the default of a schema.
    pub(super) fn default_value(&mut self, node: &Node, value: &mut Value) {
        self.value(Some(node), node.embedded, value, "");
    }

    fn value(&mut self, node: Option<&Node>, resource: bool, value: &mut Value, path: &str) {
        if let Some(node) = node.filter(|node| node.preserve) {
            return self.keep(node, resource, value, path);
        }
        match value {
            Value::Object(object) => {
                let known = |name: &str| {
                    (resource && meta::is_meta(name))
                        || node.is_some_and(|node| {
                            node.additional.is_some() || node.properties.contains_key(name)
                        })
                };
                let unknown: Vec<String> =
                    object.keys().filter(|name| !known(name)).cloned().collect();
                for name in unknown {
                    object.remove(&name);
                    self.removed.push(join(path, &name));
                }
                if let Some(node) = node {
                    self.members(node, resource, object, path);
                } else if resource {
                    self.metadata(object, path);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let child = node.and_then(|node| node.items.as_deref());
                    self.value(
                        child,
                        child.is_some_and(|child| child.embedded),
                        item,
                        &format!("{path}[{index}]"),
                    );
                }
            }
            _ => {}
        }
    }

    /// Inside a schema that preserves unknown fields only what has a schema of its own is pruned.
    fn keep(&mut self, node: &Node, resource: bool, value: &mut Value, path: &str) {
        match value {
            Value::Object(object) => self.members(node, resource, object, path),
            Value::Array(items) => {
                if let Some(child) = &node.items {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.keep(child, child.embedded, item, &format!("{path}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn members(
        &mut self,
        node: &Node,
        resource: bool,
        object: &mut Map<String, Value>,
        path: &str,
    ) {
        if resource {
            self.metadata(object, path);
        }
        for (name, value) in object.iter_mut() {
            if resource && meta::is_meta(name) {
                continue;
            }
            if let Some(child) = node.properties.get(name) {
                self.value(Some(child), child.embedded, value, &join(path, name));
            } else if let Some(additional) = &node.additional {
                // `additionalProperties: true` says nothing of what is inside, so that is pruned, as Kubernetes does.
                let child = match additional {
                    Additional::Schema(child) => Some(&**child),
                    Additional::Any(_) => None,
                };
                self.value(
                    child,
                    child.is_some_and(|child| child.embedded),
                    value,
                    &join(path, name),
                );
            }
        }
    }

    fn metadata(&mut self, object: &mut Map<String, Value>, path: &str) {
        if let Some(metadata) = object.get_mut("metadata") {
            meta::prune(metadata, &join(path, "metadata"), &mut self.removed);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
