//! The compiled form of a schema: only what defaulting, pruning and validation read, so that it stays small in memory.
//!
//! It is built from a schema that [`super::rules`] found good; building itself never fails and drops what it does not know.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::pattern::Pattern;

/// A JSON type that a schema may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// `additionalProperties`.
#[derive(Debug)]
pub(crate) enum Additional {
    /// `true` or `false`.
    Any(bool),
    /// A schema for each value.
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`; atomic is `None`.
#[derive(Debug)]
pub(crate) enum ListType {
    Set,
    /// With `x-kubernetes-list-map-keys`.
    Map(Vec<String>),
}

/// One schema.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) preserve: bool,
    pub(crate) embedded: bool,
    pub(crate) int_or_string: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) additional: Option<Additional>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) list_type: Option<ListType>,
    pub(crate) checks: Option<Box<Checks>>,
}

/// The value validations of a schema.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) format: Option<String>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_maximum: bool,
    pub(crate) minimum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_length: Option<usize>,
    pub(crate) pattern: Option<Arc<Pattern>>,
    pub(crate) max_items: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// Builds nodes; equal patterns are shared.
#[derive(Default)]
pub(crate) struct Builder {
    patterns: HashMap<String, Arc<Pattern>>,
}

impl Builder {
    pub(crate) fn node(&mut self, schema: &Value) -> Node {
        let Some(schema) = schema.as_object() else {
            return Node::default();
        };
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        Node {
            kind: schema
                .get("type")
                .and_then(Value::as_str)
                .and_then(Type::parse),
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            default: schema
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
            properties: schema
                .get("properties")
                .and_then(Value::as_object)
                .map(|all| {
                    all.iter()
                        .map(|(name, schema)| (name.clone(), self.node(schema)))
                        .collect()
                })
                .unwrap_or_default(),
            additional: match schema.get("additionalProperties") {
                Some(Value::Bool(any)) => Some(Additional::Any(*any)),
                Some(value @ Value::Object(_)) => {
                    Some(Additional::Schema(Box::new(self.node(value))))
                }
                _ => None,
            },
            items: schema
                .get("items")
                .filter(|items| items.is_object())
                .map(|items| Box::new(self.node(items))),
            list_type: match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => Some(ListType::Set),
                Some("map") => Some(ListType::Map(texts(schema, "x-kubernetes-list-map-keys"))),
                _ => None,
            },
            checks: self.checks(schema),
        }
    }

    fn checks(&mut self, schema: &Map<String, Value>) -> Option<Box<Checks>> {
        const KEYWORDS: &[&str] = &[
            "format",
            "maximum",
            "minimum",
            "multipleOf",
            "maxLength",
            "minLength",
            "pattern",
            "maxItems",
            "minItems",
            "maxProperties",
            "minProperties",
            "required",
            "enum",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
        ];
        if !KEYWORDS
            .iter()
            .any(|keyword| schema.get(*keyword).is_some_and(|value| !value.is_null()))
        {
            return None;
        }
        let number = |name: &str| schema.get(name).and_then(Value::as_f64);
        let count = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        Some(Box::new(Checks {
            format: schema
                .get("format")
                .and_then(Value::as_str)
                .filter(|f| super::format::known(f))
                .map(str::to_owned),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: schema
                .get("pattern")
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(|text| {
                    self.patterns
                        .entry(text.to_owned())
                        .or_insert_with(|| Arc::new(Pattern::new(text)))
                        .clone()
                }),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            required: texts(schema, "required"),
            allowed: schema
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            all_of: self.nodes(schema, "allOf"),
            any_of: self.nodes(schema, "anyOf"),
            one_of: self.nodes(schema, "oneOf"),
            not: schema
                .get("not")
                .filter(|not| not.is_object())
                .map(|not| Box::new(self.node(not))),
        }))
    }

    fn nodes(&mut self, schema: &Map<String, Value>, name: &str) -> Vec<Node> {
        schema
            .get(name)
            .and_then(Value::as_array)
            .map(|all| all.iter().map(|s| self.node(s)).collect())
            .unwrap_or_default()
    }
}

fn texts(schema: &Map<String, Value>, name: &str) -> Vec<String> {
    schema
        .get(name)
        .and_then(Value::as_array)
        .map(|all| {
            all.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}
