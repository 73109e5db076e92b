//! The rules as values, and what every one of them must have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct File {
    pub groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
pub struct Group {
    pub name: String,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Rule {
    pub alert: String,
    pub expr: String,
    #[serde(rename = "for")]
    pub pending: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// The groups of a rule file.
pub fn groups(text: &str) -> Vec<Group> {
    let file: File = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}"));
    file.groups
}

/// The rules of every file, by the file's name.
pub fn all() -> Vec<(&'static str, Vec<Rule>)> {
    let of = |text| groups(text).into_iter().flat_map(|group| group.rules);
    let files = minicloud_alerts::FILES.iter();
    files
        .map(|(name, text)| (*name, of(text).collect()))
        .collect()
}

#[test]
fn every_file_is_embedded() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).unwrap();
    let on_disk: BTreeSet<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let embedded = minicloud_alerts::FILES.iter().map(|(name, _)| *name);
    assert_eq!(on_disk, embedded.map(str::to_owned).collect());
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in all().into_iter().flat_map(|(_, rules)| rules) {
        let name = &rule.alert;
        assert!(names.insert(name.clone()), "{name} is there twice");
        let severity = rule.labels.get("severity").map(String::as_str);
        let known = matches!(severity, Some("critical" | "warning" | "info"));
        assert!(known, "{name}: {severity:?}");
        assert_eq!(rule.labels.len(), 1, "{name}");
        let annotations: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
        assert_eq!(annotations, ["description", "runbook", "summary"], "{name}");
        for (annotation, longest) in [("summary", 160), ("description", 240), ("runbook", 200)] {
            let text = &rule.annotations[annotation];
            assert!(text.len() <= longest, "{name}: {text}");
        }
        // What to do is the same whatever the values: it is in the documentation.
        assert!(!rule.annotations["runbook"].contains("{{"), "{name}");
    }
}

#[test]
fn groups_have_names_of_their_own() {
    let files = minicloud_alerts::FILES.iter();
    let names: Vec<_> = files
        .flat_map(|(_, text)| groups(text).into_iter().map(|group| group.name))
        .collect();
    let once: BTreeSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "{names:?}");
}
