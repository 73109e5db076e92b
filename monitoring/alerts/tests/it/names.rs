//! The metrics that PromQL names. Also used by the test of the dashboards.

use std::collections::BTreeSet;

use regex::Regex;

/// The metrics that an expression names.
pub fn names(expr: &str) -> BTreeSet<String> {
    let strip = |text: String, pattern: &str| {
        let pattern = Regex::new(pattern).unwrap();
        pattern.replace_all(&text, " ").into_owned()
    };
    let bare = [
        r#""(\\.|[^"\\])*""#,
        r"\{[^}]*\}",
        r"\[[^\]]*\]",
        r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
        r"\b(and|or|unless|bool|offset \w+|group_left|group_right)\b",
    ];
    let bare = bare.into_iter().fold(expr.to_owned(), strip);
    // A name before a parenthesis is a function; a number may have letters too.
    let word = Regex::new(r"[a-zA-Z0-9_:.]+\s*\(?").unwrap();
    word.find_iter(&bare)
        .map(|found| found.as_str().trim())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .filter(|name| !name.ends_with('('))
        // A unary operator's by-clause leaves the operator alone.
        .filter(|name| !matches!(*name, "sum" | "max" | "min" | "avg" | "count" | "topk"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn names_of_an_expression() {
    let check = |expr: &str, expect: &[&str]| {
        let expect: BTreeSet<_> = expect.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names(expr), expect, "{expr}");
    };
    check(
        r#"sum by (a, b) (rate(x_total{a="b{c}",d!~"e"}[5m])) / on (a) group_left max by (a) (y) > 1e6"#,
        &["x_total", "y"],
    );
    check(
        "time() - a < 3 * 86400 unless b == 0 or c offset 5m",
        &["a", "b", "c"],
    );
    check("(a > 40 < 150) - on (x) b", &["a", "b"]);
}
