//! `pattern` of schemas: RE2 as Go reads it, run by Rust's `regex` crate.
//!
//! The two are close but not the same, so a pattern is rewritten first: `\d`, `\w`, `\s` and `\b` are ASCII in Go; `&&`,
//! `~~` and a bracket inside a class are plain characters; `{` that opens no repetition is a plain character; `\Q…\E`
//! quotes; any punctuation may be escaped. A pattern that still does not compile is refused when the definition is made,
//! so no stored schema has a pattern that is silently not checked.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// The largest compiled pattern, in bytes.
const COMPILED_BYTES: usize = 1 << 20;
/// The longest text of a pattern, in bytes.
const TEXT_BYTES: usize = 64 << 10;

/// A pattern; compiled when first used, for most schemas have patterns that are never needed.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern that [`check`] found good.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            regex: OnceLock::new(),
        }
    }

    /// The pattern as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches anywhere in `value`. A pattern that does not compile matches nothing.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.regex
            .get_or_init(|| build(&self.text).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(value))
    }
}

/// Whether `pattern` can be used; else why not.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    build(pattern).map(|_| ())
}

fn build(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > TEXT_BYTES {
        return Err(format!("longer than {TEXT_BYTES} bytes"));
    }
    RegexBuilder::new(&translate(pattern))
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("too large when compiled (more than {limit} bytes)")
            }
            // The last line of a syntax error says what is wrong; those before draw where.
            other => other
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        })
}

/// Rewrites Go's syntax into that of the `regex` crate.
fn translate(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut in_class = false;
    let mut i = 0;
    while i < chars.len() {
        match (chars[i], in_class) {
            ('\\', _) => {
                let Some(&next) = chars.get(i + 1) else {
                    out.push('\\');
                    break;
                };
                i += 2;
                if next == 'Q' && !in_class {
                    let end = (i..chars.len())
                        .find(|&at| chars[at..].starts_with(&['\\', 'E']))
                        .unwrap_or(chars.len());
                    let quoted: String = chars[i..end].iter().collect();
                    out.push_str(&regex::escape(&quoted));
                    i = (end + 2).min(chars.len());
                } else if matches!(next, 'p' | 'P' | 'x') && chars.get(i) == Some(&'{') {
                    // `\p{Greek}` and `\x{10FFFF}`.
                    let end = (i..chars.len())
                        .find(|&at| chars[at] == '}')
                        .map_or(chars.len(), |at| at + 1);
                    out.push('\\');
                    out.push(next);
                    out.extend(&chars[i..end]);
                    i = end;
                } else {
                    escape(next, in_class, &mut out);
                }
                continue;
            }
            ('[', false) => {
                in_class = true;
                out.push('[');
                if chars.get(i + 1) == Some(&'^') {
                    out.push('^');
                    i += 1;
                }
                // A bracket that comes first is a member of the class.
                if chars.get(i + 1) == Some(&']') {
                    out.push_str(r"\]");
                    i += 1;
                }
            }
            ('[', true) => match named_class(&chars[i..]) {
                Some(length) => {
                    out.extend(&chars[i..i + length]);
                    i += length;
                    continue;
                }
                None => out.push_str(r"\["),
            },
            (']', true) => {
                in_class = false;
                out.push(']');
            }
            (c @ ('&' | '~'), true) => {
                out.push('\\');
                out.push(c);
            }
            ('{', false) if !opens_repetition(&chars[i..]) => out.push_str(r"\{"),
            ('}', false) if !closes_repetition(&chars[..i]) => out.push_str(r"\}"),
            (c, _) => out.push(c),
        }
        i += 1;
    }
    out
}

fn escape(next: char, in_class: bool, out: &mut String) {
    let (inside, outside) = match next {
        'd' => ("0-9", "[0-9]"),
        'D' => ("[^0-9]", "[^0-9]"),
        'w' => ("0-9A-Za-z_", "[0-9A-Za-z_]"),
        'W' => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
        's' => (r"\t\n\f\r ", r"[\t\n\f\r ]"),
        'S' => (r"[^\t\n\f\r ]", r"[^\t\n\f\r ]"),
        'b' if !in_class => ("", r"(?-u:\b)"),
        c if c.is_ascii_punctuation() => {
            // Inside a class every mark is escaped, outside only what means something: `\<` is a word boundary here.
            if in_class {
                if !matches!(c, '<' | '>' | '_') {
                    out.push('\\');
                }
                out.push(c);
            } else {
                out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
            return;
        }
        c => {
            out.push('\\');
            out.push(c);
            return;
        }
    };
    out.push_str(if in_class { inside } else { outside });
}

/// The length of `[:alpha:]` at the start of `rest`.
fn named_class(rest: &[char]) -> Option<usize> {
    if rest.get(1) != Some(&':') {
        return None;
    }
    let end = (2..rest.len()).find(|&at| rest[at] != '^' && !rest[at].is_ascii_lowercase())?;
    (rest.get(end) == Some(&':') && rest.get(end + 1) == Some(&']')).then_some(end + 2)
}

/// Whether `rest` starts with `{3}`, `{3,}` or `{3,5}`.
fn opens_repetition(rest: &[char]) -> bool {
    let digits = |from: usize| {
        (from..rest.len())
            .find(|&at| !rest[at].is_ascii_digit())
            .unwrap_or(rest.len())
    };
    let first = digits(1);
    if first == 1 {
        return false;
    }
    match rest.get(first) {
        Some('}') => true,
        Some(',') => rest.get(digits(first + 1)) == Some(&'}'),
        _ => false,
    }
}

/// Whether a `}` after `before` ends a repetition.
fn closes_repetition(before: &[char]) -> bool {
    let Some(open) = before.iter().rposition(|&c| c == '{') else {
        return false;
    };
    let mut whole = before[open..].to_vec();
    whole.push('}');
    opens_repetition(&whole) && !(open >= 1 && before[open - 1] == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_means_what_it_means_in_go() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let compiled = build(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            for text in yes {
                assert!(compiled.is_match(text), "{pattern} should match {text:?}");
            }
            for text in no {
                assert!(
                    !compiled.is_match(text),
                    "{pattern} should not match {text:?}"
                );
            }
        };
        check(r"^\d+$", &["12"], &["١٢", "a"]);
        check(r"^[\d\w]+$", &["1_a"], &["é", "-"]);
        check(r"^[\D]$", &["a", "-"], &["1"]);
        check(r"^\S+\s$", &["é "], &["é\u{a0}"]);
        check(r"\bfoo\b", &["a foo b", "éfoo"], &["xfoo"]);
        check(r"^{.*}$", &["{a}"], &["a"]);
        check(r"^a{2,3}$", &["aa", "aaa"], &["a"]);
        check(r"^a{,3}$", &["a{,3}"], &["aa"]);
        check(r"^[a&&b~~]+$", &["&a~b"], &["c"]);
        check(r"^[[:alpha:][]+$", &["a["], &["1"]);
        check(r"^[]a]+$", &["]a"], &["b"]);
        check(r"^[^]a]$", &["b"], &["]"]);
        check(r"^\<\_\-\/\>$", &["<_-/>"], &["x"]);
        check(r"^\Qa.b\E$", &["a.b"], &["axb"]);
        check(r"(?i)^ab$", &["AB"], &["x"]);
        check(r"^[\-\]\[\.\<]+$", &["-][.<"], &["a"]);
        check(r"^\p{L}+$", &["é"], &["1"]);
        check(
            r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            &["100Mi", "1e3"],
            &["x"],
        );
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[\[\]{}()\\^$.*+?|&~a-cQEdpx0-9:,-]{0,16}", text in "[a-c0-9{}-]{0,8}") {
            if let Ok(regex) = build(&pattern) {
                let _ = regex.is_match(&text);
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for pattern in [
            "(",
            "a**(",
            r"\",
            "(?=a)",
            r"(a)\1",
            "(((a{1000}){1000}){1000})",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        assert!(check(&"a".repeat(TEXT_BYTES + 1)).is_err());
        assert!(check(&"(".repeat(5000)).is_err());
    }
}
