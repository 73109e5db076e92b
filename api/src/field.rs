//! Field paths and field errors, with the texts of Kubernetes' `field` package.
//!
//! Validation of built-in kinds, of custom resources and of our own settings all report through [`ErrorList`], so an error
//! reads the same wherever it arises.

use std::fmt;

use serde_json::Value;

/// Where in an object something is: `spec.containers[0].name`, `metadata.labels[app]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// A path of one field.
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// The empty path, shown as `<nil>` by Kubernetes.
    pub fn root() -> Self {
        Self::default()
    }

    /// The field `name` below this path.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self(name.to_owned())
        } else {
            Self(format!("{}.{name}", self.0))
        }
    }

    /// The list item `index` below this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The map entry `key` below this path.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A value must be given.
    Required,
    /// A value must be unique and is not.
    Duplicate,
    /// The value is not acceptable.
    Invalid,
    /// The value is not one of an enumeration.
    NotSupported,
    /// The value may not be given here.
    Forbidden,
    /// The value is too long.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value is of another JSON type.
    TypeInvalid,
    /// A referred object or value does not exist.
    NotFound,
    /// Something failed inside.
    Internal,
}

impl ErrorKind {
    /// Kubernetes' `CauseType`, as in `status.details.causes[].reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// What kind of mistake it is.
    pub kind: ErrorKind,
    /// Where it is.
    pub path: Path,
    /// The value as Kubernetes prints it (`"x"`, `5`, `{"a":1}`); empty where the text does not show it.
    pub value: String,
    /// What would be right.
    pub detail: String,
}

/// The longest value that a message repeats, in bytes: an error must not be as large as what it is about.
const VALUE_SHOWN_BYTES: usize = 512;

fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > VALUE_SHOWN_BYTES {
        let mut end = VALUE_SHOWN_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl FieldError {
    fn with(kind: ErrorKind, path: Path, value: String, detail: impl Into<String>) -> Self {
        Self {
            kind,
            path,
            value,
            detail: detail.into(),
        }
    }

    /// `path: Required value[: detail]`.
    pub fn required(path: Path, detail: impl Into<String>) -> Self {
        Self::with(ErrorKind::Required, path, String::new(), detail)
    }

    /// `path: Duplicate value: VALUE`.
    pub fn duplicate(path: Path, value: impl Into<Value>) -> Self {
        Self::with(ErrorKind::Duplicate, path, shown(&value.into()), "")
    }

    /// `path: Invalid value: VALUE: detail`.
    pub fn invalid(path: Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::with(ErrorKind::Invalid, path, shown(&value.into()), detail)
    }

    /// `path: Unsupported value: VALUE: supported values: "a", "b"`. An empty `supported` leaves the list out.
    pub fn not_supported(path: Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        Self::with(ErrorKind::NotSupported, path, shown(&value.into()), detail)
    }

    /// `path: Forbidden: detail`.
    pub fn forbidden(path: Path, detail: impl Into<String>) -> Self {
        Self::with(ErrorKind::Forbidden, path, String::new(), detail)
    }

    /// `path: Too long: may not be more than N bytes`.
    pub fn too_long(path: Path, max_bytes: usize) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::with(
            ErrorKind::TooLong,
            path,
            String::new(),
            format!("may not be more than {max_bytes} {unit}"),
        )
    }

    /// `path: Too many: ACTUAL: must have at most MAX items`.
    pub fn too_many(path: Path, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::with(
            ErrorKind::TooMany,
            path,
            actual.to_string(),
            format!("must have at most {max} {unit}"),
        )
    }

    /// `path: Invalid value: "TYPE": detail`, for a value of another JSON type (CRD validation says it this way).
    pub fn type_invalid(path: Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::with(ErrorKind::TypeInvalid, path, shown(&value.into()), detail)
    }

    /// `path: Not found: VALUE`.
    pub fn not_found(path: Path, value: impl Into<Value>) -> Self {
        Self::with(ErrorKind::NotFound, path, shown(&value.into()), "")
    }

    /// `path: Internal error: detail`.
    pub fn internal(path: Path, detail: impl Into<String>) -> Self {
        Self::with(ErrorKind::Internal, path, String::new(), detail)
    }

    /// The error without its path, as `causes[].message` shows it.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if !self.value.is_empty() {
            text.push_str(": ");
            text.push_str(&self.value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// All that is wrong with an object. Shown as Kubernetes shows an aggregate: one error plainly, several in brackets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorList(Vec<FieldError>);

impl ErrorList {
    /// No error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one error.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Adds all errors of `other`.
    pub fn extend(&mut self, other: impl IntoIterator<Item = FieldError>) {
        self.0.extend(other);
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many errors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// `Ok` when nothing is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Vec<FieldError>> for ErrorList {
    fn from(errors: Vec<FieldError>) -> Self {
        Self(errors)
    }
}

impl IntoIterator for ErrorList {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ErrorList {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for ErrorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Kubernetes' aggregate says a repeated message once.
        let mut seen: Vec<String> = Vec::new();
        for error in &self.0 {
            let text = error.to_string();
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        match seen.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

impl std::error::Error for ErrorList {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_kubernetes() {
        let p = Path::new("spec").child("containers").index(0).child("name");
        let check = |error: FieldError, expect: &str| assert_eq!(error.to_string(), expect);
        check(
            FieldError::required(p.clone(), ""),
            "spec.containers[0].name: Required value",
        );
        check(
            FieldError::invalid(p.clone(), "A", "bad"),
            "spec.containers[0].name: Invalid value: \"A\": bad",
        );
        check(
            FieldError::invalid(p.clone(), -1, "bad"),
            "spec.containers[0].name: Invalid value: -1: bad",
        );
        check(
            FieldError::not_supported(p.clone(), "x", &["a", "b"]),
            "spec.containers[0].name: Unsupported value: \"x\": supported values: \"a\", \"b\"",
        );
        check(
            FieldError::duplicate(p, "n"),
            "spec.containers[0].name: Duplicate value: \"n\"",
        );
        check(
            FieldError::too_long(Path::new("metadata").child("labels").key("a"), 63),
            "metadata.labels[a]: Too long: may not be more than 63 bytes",
        );
    }

    #[test]
    fn a_list_shows_one_plainly_and_many_in_brackets() {
        let one = FieldError::required(Path::new("a"), "");
        let two = FieldError::required(Path::new("b"), "");
        assert_eq!(
            ErrorList::from(vec![one.clone()]).to_string(),
            "a: Required value"
        );
        assert_eq!(
            ErrorList::from(vec![one, two]).to_string(),
            "[a: Required value, b: Required value]"
        );
    }
}
