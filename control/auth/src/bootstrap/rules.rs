//! Short hands for rules, so that the tables read like tables. Words are separated by spaces; the group `core` is `""`.

use serde_json::{Value, json};

pub(super) const READ: &str = "get list watch";
pub(super) const WRITE: &str = "create delete deletecollection patch update";
pub(super) const READ_WRITE: &str = "create delete deletecollection get list patch update watch";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .map(|word| if word == "core" { "" } else { word })
        .collect()
}

/// `verbs` on `resources` of `groups`.
pub(super) fn rule(groups: &str, resources: &str, verbs: &str) -> Value {
    json!({ "apiGroups": words(groups), "resources": words(resources), "verbs": words(verbs) })
}

/// `verbs` on paths outside the resources.
pub(super) fn paths(urls: &str, verbs: &str) -> Value {
    json!({ "nonResourceURLs": words(urls), "verbs": words(verbs) })
}

/// Writing events: both API groups.
pub(super) fn events() -> Value {
    rule("core events.k8s.io", "events", "create patch update")
}
