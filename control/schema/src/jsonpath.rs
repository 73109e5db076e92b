//! The part of Kubernetes' JSONPath that printer columns, selectable fields and scale paths use.
//!
//! Kubernetes' dialect is a template language (`{.items[*].name}`, `{range …}`); a column's path is what stands in one pair
//! of braces. Parsing is bounded in length and nesting, evaluation in steps, so a path from a stranger's definition costs
//! little on a stranger's object.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// The longest path, in bytes.
pub const MAX_BYTES: usize = 4096;

/// Why a path cannot be used, or cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// A parsed JSONPath, as `.spec.replicas` or `{.status.conditions[?(@.type=="Ready")].status}`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Step>);

/// One step from values to values.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// `*` and `[*]`.
    Wildcard,
    /// `..`: the value itself and everything below it.
    Descend,
    /// `[start:end:step]`.
    Slice(Option<i64>, Option<i64>, i64),
    /// `[0]`.
    Index(i64),
    /// `[0,1]` and `['a','b']`.
    Union(Vec<Step>),
    /// `[?(@.a == "b")]`.
    Filter(Operand, Option<(Operator, Operand)>),
}

/// A side of a filter's comparison.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// A path from the item (`@`) or from the root (`$`).
    Path {
        from_root: bool,
        steps: Vec<Step>,
    },
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path, with or without the braces around it.
    ///
    /// # Errors
    /// Says what is wrong with the path, in a sentence that follows it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::path(text).map(Self)
    }

    /// Everything in `value` that the path points at, in document order; missing keys give nothing.
    ///
    /// # Errors
    /// When values cannot be compared as a filter asks, or when the path touches too many values.
    pub fn find<'a>(&self, value: &'a Value) -> Result<Vec<&'a Value>, Error> {
        eval::find(&self.0, value)
    }
}

/// A path of names only (`.spec.replicas`), as scale subresources and selectable fields have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimplePath(Vec<String>);

impl SimplePath {
    /// Parses `.a.b.c`.
    ///
    /// # Errors
    /// Says what is wrong with the path, in a sentence that follows it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some(names) = text.strip_prefix('.') else {
            return Err(Error(
                "must be a simple json path starting with .".to_owned(),
            ));
        };
        if text.len() > MAX_BYTES {
            return Err(Error(format!("must be no more than {MAX_BYTES} bytes")));
        }
        let names: Vec<String> = names.split('.').map(str::to_owned).collect();
        if names
            .iter()
            .any(|name| name.is_empty() || name.contains(['[', ']', '{', '}', '\'', '"']))
        {
            return Err(Error("must be a json path in the dot notation".to_owned()));
        }
        Ok(Self(names))
    }

    /// The value at the path, if there is one.
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |at, name| at.get(name))
    }

    /// Puts `new` at the path and makes the objects on the way.
    ///
    /// # Errors
    /// Where something else than an object is in the way; `value` is then unchanged but for objects made on the way.
    pub fn set(&self, value: &mut Value, new: Value) -> Result<(), Error> {
        let mut at = value;
        for name in &self.0 {
            if at.is_null() {
                *at = Value::Object(serde_json::Map::new());
            }
            let Some(object) = at.as_object_mut() else {
                return Err(Error(format!(
                    "{self} cannot be set: the value above {name} is not an object"
                )));
            };
            at = object.entry(name.clone()).or_insert(Value::Null);
        }
        *at = new;
        Ok(())
    }

    /// The names on the path.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl std::fmt::Display for SimplePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}
