//! Which of the names that a definition asks for it gets. Names are taken within a group: whoever has one keeps it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Names, condition, text};

/// What became of the names that a definition asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Naming {
    /// For `status.acceptedNames`.
    pub accepted_names: Value,
    /// For `status.conditions`: NamesAccepted and Established, and those of other types as they were.
    pub conditions: Value,
    /// True once it may be served.
    pub established: bool,
}

/// Decides about names against the other definitions (those of other groups, and `crd` itself, are skipped). `now` is
/// RFC 3339, for conditions that change.
pub fn naming<'a>(crd: &Value, others: impl IntoIterator<Item = &'a Value>, now: &str) -> Naming {
    let group = text(crd, "/spec/group");
    let name = text(crd, "/metadata/name");
    let mut resources = HashSet::new();
    let mut kinds = HashSet::new();
    for other in others {
        if text(other, "/spec/group") != group || text(other, "/metadata/name") == name {
            continue;
        }
        let taken = other
            .pointer("/status/acceptedNames")
            .map(Names::parse)
            .unwrap_or_default();
        resources.extend([taken.plural, taken.singular]);
        resources.extend(taken.short_names);
        kinds.extend([taken.kind, taken.list_kind]);
    }
    let wanted = crd
        .pointer("/spec/names")
        .map(Names::parse)
        .unwrap_or_default();
    let mut accepted = crd
        .pointer("/status/acceptedNames")
        .map(Names::parse)
        .unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    let in_use = |name: &String, taken: &HashSet<String>| {
        taken
            .contains(name)
            .then(|| format!("{name:?} is already in use"))
    };
    // Of several conflicts the condition tells the last, as Kubernetes' does.
    let mut decide =
        |wanted: &String, accepted: &mut String, taken: &HashSet<String>, reason| match in_use(
            wanted, taken,
        ) {
            Some(why) if wanted != accepted => conflict = Some((reason, why)),
            _ => accepted.clone_from(wanted),
        };
    decide(
        &wanted.plural,
        &mut accepted.plural,
        &resources,
        "PluralConflict",
    );
    decide(
        &wanted.singular,
        &mut accepted.singular,
        &resources,
        "SingularConflict",
    );
    decide(&wanted.kind, &mut accepted.kind, &kinds, "KindConflict");
    decide(
        &wanted.list_kind,
        &mut accepted.list_kind,
        &kinds,
        "ListKindConflict",
    );
    let mut taken: Vec<String> = wanted
        .short_names
        .iter()
        .filter(|name| !accepted.short_names.contains(name))
        .filter_map(|name| in_use(name, &resources))
        .collect();
    match taken.len() {
        0 => accepted.short_names.clone_from(&wanted.short_names),
        1 => conflict = conflict.or(Some(("ShortNamesConflict", taken.remove(0)))),
        _ => {
            conflict = conflict.or(Some((
                "ShortNamesConflict",
                format!("[{}]", taken.join(", ")),
            )))
        }
    }
    accepted.categories.clone_from(&wanted.categories);

    let names_accepted = match &conflict {
        Some((reason, message)) => ("False", *reason, message.as_str()),
        None => ("True", "NoConflicts", "no conflicts found"),
    };
    let was_established = condition(crd, "Established")
        .and_then(|c| c.get("status"))
        .and_then(Value::as_str)
        == Some("True");
    // Once established a definition stays so: its objects are there.
    let established = was_established || conflict.is_none();
    let mut conditions = crd
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    set(&mut conditions, "NamesAccepted", names_accepted, now);
    if !was_established {
        let state = if established {
            (
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted",
            )
        } else {
            ("False", "NotAccepted", "not all names are accepted")
        };
        set(&mut conditions, "Established", state, now);
    }
    Naming {
        accepted_names: accepted.to_value(),
        conditions: conditions.into(),
        established,
    }
}

fn set(
    conditions: &mut Vec<Value>,
    kind: &str,
    (status, reason, message): (&str, &str, &str),
    now: &str,
) {
    let old = conditions
        .iter_mut()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind));
    let since = old
        .as_ref()
        .filter(|old| old.get("status").and_then(Value::as_str) == Some(status))
        .and_then(|old| old.get("lastTransitionTime").cloned())
        .unwrap_or_else(|| now.into());
    let new = json!({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message});
    match old {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}
