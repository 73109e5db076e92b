//! Prometheus text, grouped by metric: what the text format demands and what a walk over devices does not give.
//!
//! Each metric keeps its lines in a buffer of its own, and the buffers stay from scrape to scrape, so that a scrape does not
//! allocate per sample.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// Prometheus' types, as far as node_exporter uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Not known.
    Untyped,
}

/// A metric whose name is known when the program is built.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is, one line.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
}

impl Metric {
    /// HELP and TYPE, as they stand above the samples.
    pub fn head(&self) -> String {
        head(self.name, self.kind, self.help)
    }

    /// One of this kind.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Counter,
        }
    }

    /// One of this kind.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
        }
    }
}

/// A sample as a value: for who computes with it instead of sending it to a Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The metric's name, as node_exporter has it.
    pub name: String,
    /// Names and values of its labels, in node_exporter's order.
    pub labels: Vec<(String, String)>,
    /// The value, in the unit that the name says.
    pub value: f64,
}

/// What one collector measured.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    families: BTreeMap<String, Family>,
    /// With these, samples are kept as values and nothing is written as text.
    readings: Option<Vec<Reading>>,
}

#[derive(Debug)]
struct Family {
    head: String,
    lines: String,
    /// Hashes of the names and labels that `lines` has.
    seen: HashSet<u64>,
}

impl Samples {
    /// Samples that are kept as values.
    pub(crate) fn as_readings() -> Self {
        Self {
            readings: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// The samples of a [`Samples::as_readings`] since the last call.
    pub(crate) fn take_readings(&mut self) -> Vec<Reading> {
        self.readings
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Forgets the samples and keeps the buffers of metrics that had some; a device that went does not leave its metrics behind.
    pub(crate) fn start(&mut self) {
        if let Some(readings) = &mut self.readings {
            readings.clear();
        }
        self.families.retain(|_, family| !family.lines.is_empty());
        for family in self.families.values_mut() {
            family.lines.clear();
            family.seen.clear();
        }
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, metric: &Metric, labels: &[(&str, &str)], value: f64) {
        self.add_named(
            metric.name,
            metric.kind,
            || metric.help.to_owned(),
            labels,
            value,
        );
    }

    /// Adds a sample of a metric whose name the kernel chose. Its HELP is asked for once. A name that Prometheus would refuse is
    /// left out: one such line would lose the whole scrape.
    pub(crate) fn add_named(
        &mut self,
        name: &str,
        kind: Kind,
        help: impl FnOnce() -> String,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        if let Some(readings) = &mut self.readings {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            readings.push(Reading {
                name: name.to_owned(),
                labels: labels.iter().map(owned).collect(),
                value,
            });
            return;
        }
        if !self.families.contains_key(name) {
            if !valid_name(name) {
                return;
            }
            let family = Family {
                head: head(name, kind, &help()),
                lines: String::new(),
                seen: HashSet::new(),
            };
            self.families.insert(name.to_owned(), family);
        }
        if let Some(family) = self.families.get_mut(name) {
            family.push(name, labels, value);
        }
    }

    /// Appends everything, metrics by name, samples in the order in which they came.
    pub(crate) fn write(&self, out: &mut String) {
        for family in self.families.values().filter(|f| !f.lines.is_empty()) {
            out.push_str(&family.head);
            out.push_str(&family.lines);
        }
    }
}

fn valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn head(name: &str, kind: Kind, help: &str) -> String {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Untyped => "untyped",
    };
    let help = help.replace('\\', r"\\").replace('\n', r"\n");
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

impl Family {
    /// Adds a line, unless there is one with these labels: what a file says twice is said once, as Prometheus demands.
    fn push(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let out = &mut self.lines;
        let start = out.len();
        out.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            push_escaped(out, text);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&out[start..]);
        if !self.seen.insert(hash) {
            out.truncate(start);
            return;
        }
        out.push(' ');
        push_number(out, value);
        out.push('\n');
    }
}

/// A label's value as the text format wants it between quotation marks.
pub fn push_escaped(out: &mut String, text: &str) {
    if !text.contains(['\\', '"', '\n']) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str(r"\n"),
            c => out.push(c),
        }
    }
}

/// Shortest text that reads back as the same number.
pub fn push_number(out: &mut String, value: f64) {
    let size = value.abs();
    // Writing to a String does not fail.
    let _ = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value.fract() == 0.0 && size < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        let whole = value as i64;
        write!(out, "{whole}")
    } else if (1e-5..1e21).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(add: impl FnOnce(&mut Samples), expect: Expect) {
        let mut samples = Samples::default();
        add(&mut samples);
        let mut out = String::new();
        samples.write(&mut out);
        expect.assert_eq(&out);
    }

    #[test]
    fn samples_of_one_metric_stand_together() {
        const B: Metric = Metric::counter("b_total", "Counts\nb \\.");
        const A: Metric = Metric::gauge("a", "Is a.");
        check(
            |s| {
                s.add(&B, &[("device", "x"), ("path", "c:\\\"d\"\n")], 1.0);
                s.add(&A, &[], -0.5);
                s.add(&B, &[("device", "y"), ("path", "")], 1e-7);
                s.add(&B, &[("device", "y"), ("path", "")], 5.0);
                s.add_named("9 bad", Kind::Untyped, String::new, &[], 1.0);
            },
            expect![[r#"
                # HELP a Is a.
                # TYPE a gauge
                a -0.5
                # HELP b_total Counts\nb \\.
                # TYPE b_total counter
                b_total{device="x",path="c:\\\"d\"\n"} 1
                b_total{device="y",path=""} 1e-7
            "#]],
        );
    }

    #[test]
    fn a_metric_that_had_no_samples_is_forgotten() {
        let mut samples = Samples::default();
        samples.add_named("a", Kind::Untyped, String::new, &[], 1.0);
        samples.start();
        assert_eq!(samples.families.len(), 1);
        samples.start();
        assert_eq!(samples.families.len(), 0);
    }

    proptest! {
        #[test]
        fn numbers_read_back_as_they_were(bits: u64) {
            let value = f64::from_bits(bits);
            let mut text = String::new();
            push_number(&mut text, value);
            let read: f64 = text.parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()), "{text}");
            prop_assert!(text.len() < 30, "{text}");
        }
    }
}
