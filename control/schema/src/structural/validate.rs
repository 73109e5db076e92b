//! Validation of a value against a schema, with the messages of Kubernetes' validator.
//!
//! A value that is equal to the one it replaces is not looked at again (ratcheting, KEP-4008): objects that were stored
//! before a schema became stricter can still be changed elsewhere. Paths are built only when there is something to say.

mod junctor;
mod scalar;

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::{Map, Number, Value};

use super::meta;
use super::schema::{Additional, Checks, ListType, Node, Type};

/// Where the validator is, as a chain up the stack.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn path(&self) -> Path {
        match self {
            Self::Root => Path::root(),
            Self::Field(up, name) => up.path().child(name),
            Self::Item(up, index) => up.path().index(*index),
        }
    }

    /// The path as it is said within a sentence: empty at the root.
    fn name(&self) -> String {
        self.path().as_str().to_owned()
    }
}

/// An old value beside the new one, when there is one that stands for the same thing.
type Old<'a> = Option<&'a Value>;

/// How many mistakes are told at once: an answer must not be larger than what it answers.
const MAX_ERRORS: usize = 100;

/// Adds to `errors` what is wrong with `value`.
pub(super) fn value(node: &Node, value: &Value, old: Old<'_>, at: At<'_>, errors: &mut ErrorList) {
    if old == Some(value) || errors.len() >= MAX_ERRORS {
        return;
    }
    if value.is_null() && node.nullable {
        return;
    }
    if !has_type(node, value, at, errors) {
        return;
    }
    if let Some(checks) = &node.checks {
        allowed(checks, value, at, errors);
        if value.is_null() {
            return;
        }
        scalar::scalar(checks, value, at, errors);
    }
    match value {
        Value::Object(object) => self::object(node, object, old, at, errors),
        Value::Array(items) => array(node, items, old, at, errors),
        _ => {}
    }
    if let Some(checks) = &node.checks {
        junctor::junctors(checks, value, old, at, errors);
    }
    if node.embedded {
        meta::validate_embedded(value, &at.path(), errors);
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn has_type(node: &Node, value: &Value, at: At<'_>, errors: &mut ErrorList) -> bool {
    let is = |kind| match (kind, value) {
        (Type::Integer, Value::Number(number)) => whole(number),
        (Type::Number, Value::Number(_)) => true,
        (kind, value) => kind.name() == kind_of(value),
    };
    let (good, wanted) = match (node.int_or_string, node.kind) {
        (true, _) => (is(Type::Integer) || is(Type::String), "integer,string"),
        (false, Some(kind)) => (is(kind), kind.name()),
        (false, None) => return true,
    };
    if !good {
        let found = kind_of(value);
        errors.push(FieldError::type_invalid(
            at.path(),
            found,
            format!("{} in body must be of type {wanted}: {found:?}", at.name()),
        ));
    }
    good
}

fn whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|f| f.fract() == 0.0)
}

fn invalid(value: &Value, at: At<'_>, what: String, errors: &mut ErrorList) {
    errors.push(FieldError::invalid(
        at.path(),
        value.clone(),
        format!("{} in body {what}", at.name()),
    ));
}

/// Equality of JSON values in which 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if x.is_f64() != y.is_f64() => {
            x.as_f64() == y.as_f64()
        }
        _ => a == b,
    }
}

fn allowed(checks: &Checks, value: &Value, at: At<'_>, errors: &mut ErrorList) {
    if checks.allowed.is_empty() || checks.allowed.iter().any(|one| same(one, value)) {
        return;
    }
    let texts: Vec<String> = checks
        .allowed
        .iter()
        .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    errors.push(FieldError::not_supported(at.path(), value.clone(), &texts));
}

fn object(
    node: &Node,
    object: &Map<String, Value>,
    old: Old<'_>,
    at: At<'_>,
    errors: &mut ErrorList,
) {
    if let Some(checks) = &node.checks {
        let count = object.len();
        if let Some(min) = checks.min_properties.filter(|min| count < *min) {
            return invalid(
                &count.into(),
                at,
                format!("should have at least {min} properties"),
                errors,
            );
        }
        if let Some(max) = checks.max_properties.filter(|max| count > *max) {
            return errors.push(FieldError::too_many(at.path(), count, max));
        }
    }
    let old_of = |name: &str| old.and_then(|old| old.get(name));
    for (name, present) in object {
        if let Some(child) = node.properties.get(name) {
            value(child, present, old_of(name), At::Field(&at, name), errors);
            continue;
        }
        match &node.additional {
            Some(Additional::Schema(child)) => {
                value(child, present, old_of(name), At::Field(&at, name), errors)
            }
            Some(Additional::Any(false)) => invalid_property(name, at, errors),
            _ => {}
        }
    }
    if let Some(checks) = &node.checks {
        for name in checks
            .required
            .iter()
            .filter(|name| !object.contains_key(*name))
        {
            errors.push(FieldError::required(at.path().child(name), ""));
        }
    }
}

fn invalid_property(name: &str, at: At<'_>, errors: &mut ErrorList) {
    errors.push(FieldError::invalid(
        at.path(),
        name,
        format!("{}.{name} in body is a forbidden property", at.name()),
    ));
}

fn array(node: &Node, items: &[Value], old: Old<'_>, at: At<'_>, errors: &mut ErrorList) {
    if let Some(checks) = &node.checks {
        let count = items.len();
        if let Some(min) = checks.min_items.filter(|min| count < *min) {
            invalid(
                &count.into(),
                at,
                format!("should have at least {min} items"),
                errors,
            );
        }
        if let Some(max) = checks.max_items.filter(|max| count > *max) {
            errors.push(FieldError::too_many(at.path(), count, max));
        }
    }
    if let Some(child) = &node.items {
        // Only items of a list map stand for the same thing before and after.
        let keys = match &node.list_type {
            Some(ListType::Map(keys)) => Some(keys),
            _ => None,
        };
        let old_items = keys.and(old).and_then(Value::as_array);
        for (index, item) in items.iter().enumerate() {
            let before = old_items.zip(keys).and_then(|(all, keys)| {
                all.iter().find(|before| {
                    keys.iter()
                        .all(|key| before.get(key).is_some() && before.get(key) == item.get(key))
                })
            });
            value(child, item, before, At::Item(&at, index), errors);
        }
    }
    match &node.list_type {
        Some(ListType::Set) => unique(
            items.iter().map(|item| (item.to_string(), item.clone())),
            at,
            errors,
        ),
        Some(ListType::Map(keys)) => {
            if let Some((index, item)) = items
                .iter()
                .enumerate()
                .find(|(_, item)| !item.is_null() && !item.is_object())
            {
                let path = at.path().index(index);
                return errors.push(FieldError::invalid(
                    path,
                    item.clone(),
                    "must be an object for an array of list-type map",
                ));
            }
            let of = |item: &Value| {
                let key: Map<String, Value> = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
                    .collect();
                let key = Value::Object(key);
                (key.to_string(), key)
            };
            unique(items.iter().map(of), at, errors);
        }
        None => {}
    }
}

/// Says of each value that comes more than once, once, where it comes again.
fn unique(keys: impl Iterator<Item = (String, Value)>, at: At<'_>, errors: &mut ErrorList) {
    let mut seen = HashSet::new();
    let mut said = HashSet::new();
    for (index, (text, key)) in keys.enumerate() {
        if seen.contains(&text) {
            if said.insert(text) {
                errors.push(FieldError::duplicate(at.path().index(index), key));
            }
        } else {
            seen.insert(text);
        }
    }
}
