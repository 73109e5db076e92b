//! Samples, grouped by metric family, as Prometheus' text format 0.0.4 wants them: HELP and TYPE once, then every sample.
//!
//! Families come out in the order of their names, whatever the order in which objects were written. What a label says comes from
//! whoever may write objects, so a value is escaped and cut, and an object has at most so many samples.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// The longest label value, in bytes; longer ones are cut. Kubernetes' names have 253; messages are never labels.
pub const MAX_LABEL_BYTES: usize = 1024;
/// The most samples that one object gives. A slice of 1000 endpoints with ten addresses each stays below.
pub const MAX_SAMPLES_PER_OBJECT: usize = 20_000;

/// The name, type and help of a metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
}

/// A value that goes up and down.
pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Family {
    let kind = "gauge";
    Family { name, help, kind }
}

/// A value that only goes up; its name ends in `_total`.
pub(crate) const fn counter(name: &'static str, help: &'static str) -> Family {
    let kind = "counter";
    Family { name, help, kind }
}

/// Labels of one sample: names as Prometheus allows them, values as they are.
pub(crate) type Labels<'a> = [(&'a str, &'a str)];

/// Samples of any number of objects.
#[derive(Debug, Default)]
pub struct Families {
    families: BTreeMap<&'static str, (Family, String)>,
}

impl Families {
    /// Everything, in Prometheus' text format 0.0.4 (`text/plain; version=0.0.4`). Families without a sample are left out.
    pub fn text(&self) -> String {
        let bodies = self.families.values().map(|(_, body)| body.len() + 256);
        let mut text = String::with_capacity(bodies.sum());
        for (family, body) in self.families.values() {
            let Family { name, help, kind } = family;
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{body}");
        }
        text
    }

    /// About how long [`Families::text`] is.
    pub fn bytes(&self) -> usize {
        self.families.values().map(|(_, body)| body.len()).sum()
    }

    /// A writer of one object's samples; all of them have these labels.
    pub(crate) fn object(&mut self, labels: &Labels) -> Object<'_> {
        let mut common = String::new();
        push_labels(&mut common, labels);
        Object {
            families: self,
            common,
            seen: HashSet::new(),
        }
    }
}

/// Writes one object's samples.
pub(crate) struct Object<'a> {
    families: &'a mut Families,
    common: String,
    seen: HashSet<(&'static str, String)>,
}

impl Object<'_> {
    /// One sample with more labels. The first of a series wins: Prometheus would take a scrape that repeats one for an error.
    pub(crate) fn put(&mut self, family: Family, labels: &Labels, value: f64) {
        let mut all = self.common.clone();
        push_labels(&mut all, labels);
        let new = self.seen.len() < MAX_SAMPLES_PER_OBJECT
            && self.seen.insert((family.name, all.clone()));
        if new {
            let entry = self.families.families.entry(family.name);
            let (_, body) = entry.or_insert_with(|| (family, String::new()));
            let _ = writeln!(body, "{}{{{all}}} {value}", family.name);
        }
    }

    /// A sample that says by its labels; its value is 1.
    pub(crate) fn info(&mut self, family: Family, labels: &Labels) {
        self.put(family, labels, 1.0);
    }

    /// A sample of the object itself, when there is a value.
    pub(crate) fn value(&mut self, family: Family, value: Option<f64>) {
        if let Some(value) = value {
            self.put(family, &[], value);
        }
    }

    /// One sample for each of `values`: 1 for the one that holds, 0 for the others. Nothing when nothing holds at all.
    pub(crate) fn one_of(&mut self, family: Family, label: &str, values: &[&str], holds: &str) {
        if !holds.is_empty() {
            for value in values {
                self.put(family, &[(label, value)], flag(*value == holds));
            }
        }
    }

    /// Three samples for a condition, the last label being the status: `true`, `false`, `unknown`.
    pub(crate) fn condition(
        &mut self,
        family: Family,
        labels: &Labels,
        status_label: &str,
        status: &str,
    ) {
        for (value, holds) in [("true", "True"), ("false", "False"), ("unknown", "Unknown")] {
            let labels: Vec<_> = labels
                .iter()
                .copied()
                .chain([(status_label, value)])
                .collect();
            self.put(family, &labels, flag(status == holds));
        }
    }
}

/// 1 for yes, 0 for no.
pub(crate) fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn push_labels(text: &mut String, labels: &Labels) {
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}=\"");
        for c in value[..value.floor_char_boundary(MAX_LABEL_BYTES)].chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: Family = gauge("kube_thing_info", "About a thing.");
    const EVENTS: Family = counter("kube_thing_events_total", "Events of a thing.");

    #[test]
    fn families_are_grouped_sorted_and_escaped() {
        let mut out = Families::default();
        for name in ["a", "b\\\"\n"] {
            let mut thing = out.object(&[("thing", name)]);
            thing.info(INFO, &[("color", "red")]);
            thing.put(EVENTS, &[], 0.5);
            thing.put(EVENTS, &[], 7.0);
        }
        expect_test::expect![[r##"
            # HELP kube_thing_events_total Events of a thing.
            # TYPE kube_thing_events_total counter
            kube_thing_events_total{thing="a"} 0.5
            kube_thing_events_total{thing="b\\\"\n"} 0.5
            # HELP kube_thing_info About a thing.
            # TYPE kube_thing_info gauge
            kube_thing_info{thing="a",color="red"} 1
            kube_thing_info{thing="b\\\"\n",color="red"} 1
        "##]]
        .assert_eq(&out.text());
    }

    #[test]
    fn a_value_is_cut_between_characters_and_an_object_has_so_many_samples() {
        let mut out = Families::default();
        let mut thing = out.object(&[("thing", &"é".repeat(MAX_LABEL_BYTES))]);
        for number in 0..MAX_SAMPLES_PER_OBJECT + 5 {
            thing.info(INFO, &[("number", &number.to_string())]);
        }
        let text = out.text();
        let first = text.lines().nth(2).unwrap();
        assert_eq!(first.matches('é').count(), MAX_LABEL_BYTES / 2);
        assert_eq!(text.lines().count(), MAX_SAMPLES_PER_OBJECT + 2);
    }
}
