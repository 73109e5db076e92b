//! Putting values into PromQL.

use std::fmt::Write;

/// `text` as a string literal of PromQL, quotes included, whatever it contains.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_the_quotes() {
        assert_eq!(quoted("a\"} or up{b=\""), r#""a\"} or up{b=\"""#);
        assert_eq!(quoted("\\"), r#""\\""#);
        assert_eq!(quoted("a\nb\u{7}é"), "\"a\\nb\\u0007é\"");
    }
}
