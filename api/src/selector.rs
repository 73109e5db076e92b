//! Label and field selectors: parsed once, matched against many objects.
//!
//! The text form is Kubernetes' (`a=b,c!=d,e in (f,g),!h,i`); the object form is `metav1.LabelSelector`.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

use crate::names;

/// A selector that cannot be read. The message is for whoever wrote the selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unable to parse requirement: {0}")]
pub struct SelectorError(pub String);

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label exists and its value is one of these.
    In(String, Vec<String>),
    /// The label is absent or its value is none of these.
    NotIn(String, Vec<String>),
    /// The label exists.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
    /// The label's value is a whole number above this.
    GreaterThan(String, i64),
    /// The label's value is a whole number below this.
    LessThan(String, i64),
}

impl Requirement {
    fn matches<'a>(&self, get: &impl Fn(&str) -> Option<&'a str>) -> bool {
        let number = |key: &str| get(key).and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(key, values) => get(key).is_some_and(|v| values.iter().any(|x| x == v)),
            Self::NotIn(key, values) => get(key).is_none_or(|v| values.iter().all(|x| x != v)),
            Self::Exists(key) => get(key).is_some(),
            Self::DoesNotExist(key) => get(key).is_none(),
            Self::GreaterThan(key, bound) => number(key).is_some_and(|n| n > *bound),
            Self::LessThan(key, bound) => number(key).is_some_and(|n| n < *bound),
        }
    }
}

/// Conditions that all must hold. The empty selector selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// A selector of these conditions.
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self { requirements }
    }

    /// The conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// True when everything is selected.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Reads the text form of a `labelSelector` parameter.
    ///
    /// # Errors
    /// When the text is not a selector, or a key or value could never be a label.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let requirements = split_top(text)?
            .into_iter()
            .map(parse_requirement)
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements })
    }

    /// Reads `metav1.LabelSelector` (`matchLabels`, `matchExpressions`). `null` selects nothing in Kubernetes; the caller
    /// decides about that.
    ///
    /// # Errors
    /// When an operator is unknown or lacks its values.
    pub fn from_value(value: &Value) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        if let Some(labels) = value.get("matchLabels").and_then(Value::as_object) {
            for (key, v) in labels {
                let v = v
                    .as_str()
                    .ok_or_else(|| SelectorError(format!("matchLabels[{key}] must be a string")))?;
                requirements.push(Requirement::In(key.clone(), vec![v.to_owned()]));
            }
        }
        for expression in value
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            requirements.push(requirement_from_value(expression)?);
        }
        Ok(Self { requirements })
    }

    /// Reads a plain map of labels, as in a Service's or ReplicationController's selector.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirements = labels
            .into_iter()
            .map(|(k, v)| Requirement::In(k.to_owned(), vec![v.to_owned()]))
            .collect();
        Self { requirements }
    }

    /// True when the labels that `get` answers for satisfy every condition.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.matches(&get))
    }

    /// [`LabelSelector::matches`] on `metadata.labels` of an object.
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.matches(|key| labels?.get(key)?.as_str())
    }
}

/// One entry of `matchExpressions` or of a node selector's terms.
///
/// # Errors
/// When the operator is unknown or its values do not fit it.
pub fn requirement_from_value(expression: &Value) -> Result<Requirement, SelectorError> {
    let text = |name: &str| {
        expression
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let key = text("key");
    let values: Vec<String> = expression
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let some = |values: Vec<String>| {
        if values.is_empty() {
            Err(SelectorError(
                "for 'in', 'notin' operators, values set can't be empty".to_owned(),
            ))
        } else {
            Ok(values)
        }
    };
    let bound = |values: &[String]| match values {
        [one] => one
            .parse::<i64>()
            .map_err(|_| SelectorError(format!("{one:?} is not an integer"))),
        _ => Err(SelectorError(
            "for 'Gt', 'Lt' operators, exactly one value is required".to_owned(),
        )),
    };
    match text("operator").as_str() {
        "In" => Ok(Requirement::In(key, some(values)?)),
        "NotIn" => Ok(Requirement::NotIn(key, some(values)?)),
        "Exists" if values.is_empty() => Ok(Requirement::Exists(key)),
        "DoesNotExist" if values.is_empty() => Ok(Requirement::DoesNotExist(key)),
        "Exists" | "DoesNotExist" => Err(SelectorError(
            "values set must be empty for exists and does not exist".to_owned(),
        )),
        "Gt" => Ok(Requirement::GreaterThan(key, bound(&values)?)),
        "Lt" => Ok(Requirement::LessThan(key, bound(&values)?)),
        other => Err(SelectorError(format!(
            "{other:?} is not a valid label selector operator"
        ))),
    }
}

/// Splits at commas outside parentheses.
fn split_top(text: &str) -> Result<Vec<&str>, SelectorError> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Err(SelectorError("found ')' without '('".to_owned())),
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(SelectorError("found no ')' for a '('".to_owned()));
    }
    parts.push(text[start..].trim());
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if let Some(at) = parts.iter().position(|p| p.is_empty()) {
        return Err(SelectorError(format!(
            "found an empty requirement at position {}",
            at + 1
        )));
    }
    Ok(parts)
}

fn valid_key(key: &str) -> Result<String, SelectorError> {
    match names::qualified_name(key).into_iter().next() {
        None => Ok(key.to_owned()),
        Some(error) => Err(SelectorError(format!(
            "key: Invalid value: {key:?}: {error}"
        ))),
    }
}

fn valid_value(key: &str, value: &str) -> Result<String, SelectorError> {
    match names::label_value(value).into_iter().next() {
        None => Ok(value.to_owned()),
        Some(error) => Err(SelectorError(format!(
            "values[0][{key}]: Invalid value: {value:?}: {error}"
        ))),
    }
}

fn parse_requirement(text: &str) -> Result<Requirement, SelectorError> {
    if let Some(key) = text.strip_prefix('!').filter(|k| !k.starts_with('=')) {
        return Ok(Requirement::DoesNotExist(valid_key(key.trim())?));
    }
    if let Some((head, rest)) = text.split_once('(') {
        return parse_set(head, rest);
    }
    let equality = |key: &str, value: &str| {
        Ok((
            valid_key(key.trim())?,
            vec![valid_value(key, value.trim())?],
        ))
    };
    if let Some((key, value)) = text.split_once("!=") {
        let (key, values) = equality(key, value)?;
        return Ok(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (key, values) = equality(key, value)?;
        return Ok(Requirement::In(key, values));
    }
    let number = |n: &str| {
        n.trim()
            .parse::<i64>()
            .map_err(|_| SelectorError(format!("{n:?} is not an integer")))
    };
    if let Some((key, bound)) = text.split_once('>') {
        return Ok(Requirement::GreaterThan(
            valid_key(key.trim())?,
            number(bound)?,
        ));
    }
    if let Some((key, bound)) = text.split_once('<') {
        return Ok(Requirement::LessThan(
            valid_key(key.trim())?,
            number(bound)?,
        ));
    }
    Ok(Requirement::Exists(valid_key(text)?))
}

fn parse_set(head: &str, rest: &str) -> Result<Requirement, SelectorError> {
    let list = rest.strip_suffix(')').ok_or_else(|| {
        SelectorError(format!(
            "found {rest:?}, expected a list that ends with ')'"
        ))
    })?;
    let mut words = head.split_whitespace();
    let (key, operator) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    if words.next().is_some() {
        return Err(SelectorError(format!(
            "found {head:?}, expected 'key in (…)' or 'key notin (…)'"
        )));
    }
    let key = valid_key(key)?;
    let values = list
        .split(',')
        .map(|v| valid_value(&key, v.trim()))
        .collect::<Result<Vec<_>, _>>()?;
    match operator {
        "in" => Ok(Requirement::In(key, values)),
        "notin" => Ok(Requirement::NotIn(key, values)),
        other => Err(SelectorError(format!(
            "found {other:?}, expected: in, notin, =, ==, !=, >, <"
        ))),
    }
}

/// Conditions on fields of an object: `metadata.name=x,status.phase!=Running`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    /// `(field, value, equal)`.
    pub terms: Vec<(String, String, bool)>,
}

impl FieldSelector {
    /// Reads the text form of a `fieldSelector` parameter; `\` escapes `,`, `=` and itself.
    ///
    /// # Errors
    /// When a term has no operator.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for term in split_escaped(text, ',') {
            if term.is_empty() {
                continue;
            }
            let at = find_unescaped(term, '=').ok_or_else(|| {
                SelectorError(format!(
                    "invalid field selector {term:?}; expected 'field=value' or 'field!=value'"
                ))
            })?;
            let (field, value) = (&term[..at], &term[at + 1..]);
            let (field, equal) = match field.strip_suffix('!') {
                Some(field) => (field, false),
                None => (field, true),
            };
            let value = if equal {
                value.strip_prefix('=').unwrap_or(value)
            } else {
                value
            };
            terms.push((unescape(field), unescape(value), equal));
        }
        Ok(Self { terms })
    }

    /// True when everything is selected.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// True when every condition holds for the fields that `get` answers for; an absent field is the empty string.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        self.terms.iter().all(|(field, value, equal)| {
            (get(field).unwrap_or_default() == value.as_str()) == *equal
        })
    }

    /// The value that `field` must have, when the selector fixes one.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|(f, _, equal)| *equal && f == field)
            .map(|(_, value, _)| value.as_str())
    }
}

fn find_unescaped(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !escaped && c == wanted {
            return Some(at);
        }
        escaped = !escaped && c == '\\';
    }
    None
}

fn split_escaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = find_unescaped(rest, separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len_utf8()..];
    }
    parts.push(rest);
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    out
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (field, value, equal)) in self.terms.iter().enumerate() {
            let value = value
                .replace('\\', "\\\\")
                .replace(',', "\\,")
                .replace('=', "\\=");
            write!(
                f,
                "{}{field}{}{value}",
                if i > 0 { "," } else { "" },
                if *equal { "=" } else { "!=" }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"labels": {"app": "web", "n": "5", "x.io/tier": ""}}});
        let check = |text: &str, expect: bool| {
            assert_eq!(
                LabelSelector::parse(text).map(|s| s.matches_object(&object)),
                Ok(expect),
                "{text}"
            );
        };
        check("", true);
        check("app=web", true);
        check("app==web", true);
        check("app = web , n=5", true);
        check("app!=web", false);
        check("missing!=web", true);
        check("app in (a, web)", true);
        check("app notin (a,b)", true);
        check("missing notin (a)", true);
        check("app", true);
        check("!app", false);
        check("!missing", true);
        check("n>4,n<6", true);
        check("n>5", false);
        check("x.io/tier=", true);
    }

    #[test]
    fn what_is_not_a_selector() {
        for text in [
            "=", "a=b=c", "a in b", "a in (b", "a b", ",", "a,,b", "a)", "-x=1", "a in ()x", "n>x",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn object_form() {
        let selector = LabelSelector::from_value(&json!({
            "matchLabels": {"a": "b"},
            "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}, {"key": "e", "operator": "Exists"}]
        }))
        .unwrap();
        assert!(selector.matches_object(&json!({"metadata": {"labels": {"a": "b", "e": "1"}}})));
        assert!(
            !selector
                .matches_object(&json!({"metadata": {"labels": {"a": "b", "c": "d", "e": "1"}}}))
        );
        assert!(
            LabelSelector::from_value(
                &json!({"matchExpressions": [{"key": "c", "operator": "In"}]})
            )
            .is_err()
        );
    }

    #[test]
    fn field_selectors() {
        let s = FieldSelector::parse(r"metadata.name=a\,b,status.phase!=Running,x==y").unwrap();
        assert_eq!(s.required("metadata.name"), Some("a,b"));
        assert_eq!(s.required("x"), Some("y"));
        let get = |f: &str| match f {
            "metadata.name" => Some("a,b".into()),
            "x" => Some("y".into()),
            _ => None,
        };
        assert!(s.matches(get));
        assert_eq!(FieldSelector::parse(&s.to_string()), Ok(s));
        assert!(FieldSelector::parse("metadata.name").is_err());
    }
}
