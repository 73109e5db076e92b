//! Writes YAML that any parser reads the same, of version 1.1 or 1.2: texts are always in double quotes, so that none is taken
//! for a number, a date or a truth value.

use std::fmt::Write;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    Number(u64),
    Truth(bool),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

/// A map of what is known: the makers of values say `None` for what is not, and it is left out.
#[derive(Debug, Default)]
pub(super) struct MapOf(Vec<(String, Yaml)>);

impl MapOf {
    /// Adds an entry, if there is something.
    pub(super) fn with(mut self, key: &str, value: Option<Yaml>) -> Self {
        self.0.extend(value.map(|value| (key.to_owned(), value)));
        self
    }

    /// The map, if anything is in it.
    pub(super) fn some(self) -> Option<Yaml> {
        (!self.0.is_empty()).then_some(Yaml::Map(self.0))
    }
}

/// A text, if there is one.
pub(super) fn text(text: Option<&str>) -> Option<Yaml> {
    text.map(|text| Yaml::Text(text.to_owned()))
}

/// A list, if anything is in it.
pub(super) fn list(values: impl Iterator<Item = Yaml>) -> Option<Yaml> {
    let values: Vec<Yaml> = values.collect();
    (!values.is_empty()).then_some(Yaml::List(values))
}

/// In double quotes; what parsers refuse or fold is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~'
            | '\u{a1}'..='\u{2027}'
            | '\u{202a}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' => {
                quoted.push(c);
            }
            c => write!(quoted, "\\U{:08x}", u32::from(c)).unwrap_or_default(),
        }
    }
    quoted.push('"');
    quoted
}

/// As it is when every parser takes it for a text: our own words are, names of machines may not be.
fn key(key: &str) -> String {
    let plain = key.len() > 1 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let word = matches!(key, "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    if plain && !word {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// The lines of a value that stands behind its key or its dash, with what goes before them on that line.
fn put(out: &mut String, value: &Yaml, indent: usize, in_list: bool) {
    let margin = " ".repeat(indent);
    match value {
        Yaml::Text(text) => *out += &format!(" {}\n", quoted(text)),
        Yaml::Number(number) => *out += &format!(" {number}\n"),
        Yaml::Truth(truth) => *out += &format!(" {truth}\n"),
        Yaml::List(values) if values.is_empty() => *out += " []\n",
        Yaml::Map(entries) if entries.is_empty() => *out += " {}\n",
        Yaml::List(values) => {
            out.push('\n');
            for value in values {
                *out += &format!("{margin}-");
                put(out, value, indent + 2, true);
            }
        }
        Yaml::Map(entries) => {
            // The first entry of a map in a list is on the line of the dash.
            out.push(if in_list { ' ' } else { '\n' });
            for (n, (name, value)) in entries.iter().enumerate() {
                let margin = if in_list && n == 0 { "" } else { &margin };
                *out += &format!("{margin}{}:", key(name));
                put(out, value, indent + 2, false);
            }
        }
    }
}

/// `key:` and the value, `indent` spaces to the right.
pub(super) fn entry(name: &str, value: &Yaml, indent: usize) -> String {
    let mut out = format!("{}{}:", " ".repeat(indent), key(name));
    put(&mut out, value, indent + 2, false);
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_document() {
        let item = MapOf::default()
            .with("name", text(Some("a \"b\" \\ c\n\u{7f}\u{2028}é")))
            .with("absent", None)
            .with("of", list([Yaml::Number(1), Yaml::Truth(true)].into_iter()));
        let value = Yaml::Map(vec![
            (
                "items".into(),
                Yaml::List(vec![item.some().unwrap(), Yaml::Text("12:30".into())]),
            ),
            (
                "no".into(),
                Yaml::Map(vec![("x-1".into(), Yaml::Text(String::new()))]),
            ),
            ("empty".into(), Yaml::List(vec![])),
            ("none".into(), Yaml::Map(vec![])),
        ]);
        expect![[r#"
            top:
              items:
                - name: "a \"b\" \\ c\U0000000a\U0000007f\U00002028é"
                  of:
                    - 1
                    - true
                - "12:30"
              "no":
                "x-1": ""
              empty: []
              none: {}
        "#]]
        .assert_eq(&entry("top", &value, 0));
        assert_eq!(entry("a-b", &Yaml::Number(1), 2), "  \"a-b\": 1\n");
        assert_eq!(MapOf::default().some(), None);
    }
}
