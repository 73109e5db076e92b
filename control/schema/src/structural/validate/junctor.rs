//! `allOf`, `anyOf`, `oneOf` and `not`.

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

use super::super::schema::{Checks, Node};
use super::{At, Old};

pub(super) fn junctors(
    checks: &Checks,
    value: &Value,
    old: Old<'_>,
    at: At<'_>,
    errors: &mut ErrorList,
) {
    // Alternatives are decided on the whole value: an unchanged part that is let pass must not count as a match.
    let try_one = |node: &Node, old: Old<'_>| {
        let mut found = ErrorList::new();
        super::value(node, value, old, at, &mut found);
        found
    };
    let sentence = |what: String, errors: &mut ErrorList| {
        // Kubernetes reports these at no path; the sentence names it.
        errors.push(FieldError::invalid(
            Path::root(),
            "",
            format!("{:?} must {what}", at.name()),
        ));
    };
    if !checks.any_of.is_empty() {
        let mut best: Option<ErrorList> = None;
        let good = checks.any_of.iter().any(|node| {
            let found = try_one(node, None);
            let good = found.is_empty();
            keep_best(&mut best, found);
            good
        });
        if !good {
            sentence("validate at least one schema (anyOf)".to_owned(), errors);
            errors.extend(best.unwrap_or_default());
        }
    }
    if !checks.one_of.is_empty() {
        let mut best: Option<ErrorList> = None;
        let mut good = 0;
        for node in &checks.one_of {
            let found = try_one(node, None);
            if found.is_empty() {
                good += 1;
            } else {
                keep_best(&mut best, found);
            }
        }
        match good {
            1 => {}
            0 => {
                sentence(
                    "validate one and only one schema (oneOf). Found none valid".to_owned(),
                    errors,
                );
                errors.extend(best.unwrap_or_default());
            }
            n => sentence(
                format!("validate one and only one schema (oneOf). Found {n} valid alternatives"),
                errors,
            ),
        }
    }
    if !checks.all_of.is_empty() {
        let mut bad = 0;
        for node in &checks.all_of {
            let found = try_one(node, old);
            bad += usize::from(!found.is_empty());
            errors.extend(found);
        }
        if bad > 0 {
            let none = if bad == checks.all_of.len() {
                ". None validated"
            } else {
                ""
            };
            sentence(format!("validate all the schemas (allOf){none}"), errors);
        }
    }
    if let Some(node) = &checks.not {
        let found = try_one(node, None);
        if found.is_empty() {
            sentence("not validate the schema (not)".to_owned(), errors);
        }
    }
}

/// Of several alternatives that all failed, the one that came closest explains most.
fn keep_best(best: &mut Option<ErrorList>, found: ErrorList) {
    if best.as_ref().is_none_or(|best| found.len() < best.len()) {
        *best = Some(found);
    }
}
