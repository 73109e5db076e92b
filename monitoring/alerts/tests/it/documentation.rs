//! `docs/alerts.md` lists every alert, in the words of the rules.

use std::fmt::Write;
use std::path::Path;

use crate::rules;

/// Between these the list is made by this test.
const BEGIN: &str = "<!-- alerts: made from the rules by UPDATE_EXPECT=1 cargo nextest run -p minicloud-alerts -->\n";
const END: &str = "<!-- end of alerts -->\n";
const COLUMNS: usize = 140;

#[test]
fn the_documentation_lists_every_alert() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect(BEGIN);
    let (listed, after) = rest.split_once(END).expect(END);
    let wanted = list();
    if listed != wanted {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
            return;
        }
        panic!("docs/alerts.md is not what the rules say; UPDATE_EXPECT=1 mends it");
    }
}

fn list() -> String {
    let mut text = String::new();
    for (name, rules) in rules::all() {
        let topic = name.trim_end_matches(".yml");
        let _ = writeln!(text, "\n### {}{}\n", topic[..1].to_uppercase(), &topic[1..]);
        for rule in rules {
            let pending = rule
                .pending
                .map_or("at once".to_owned(), |pending| format!("after {pending}"));
            let entry = format!(
                "- **{}** ({}, {pending}): {}",
                rule.alert, rule.labels["severity"], rule.annotations["runbook"]
            );
            wrap(&entry, &mut text);
        }
    }
    text.push('\n');
    text
}

/// A list's entry, in lines of so many columns.
fn wrap(entry: &str, text: &mut String) {
    let mut column = 0;
    for word in entry.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            text.push_str("\n ");
            column = 1;
        }
        if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}
