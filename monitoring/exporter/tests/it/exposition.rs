//! Prometheus' text format, read strictly, and compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Samples by their labels.
pub type Samples = BTreeMap<BTreeMap<String, String>, f64>;

/// Metrics by name.
#[derive(Debug, Default)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    pub samples: Samples,
}

impl Exposition {
    /// Panics where Prometheus would refuse, or be confused: samples of one metric apart, without HELP and TYPE, or twice.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                name.clone_into(&mut current);
                let family = Family {
                    help: help.to_owned(),
                    ..Family::default()
                };
                let before = all.families.insert(name.to_owned(), family);
                assert!(before.is_none(), "{name} comes twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, current, "TYPE without HELP");
                kind.clone_into(&mut all.families.get_mut(name).unwrap().kind);
            } else {
                let (name, labels, value) = sample(line);
                // A summary's samples have names of their own; node_exporter has one of itself.
                if name != current && all.families[&current].kind == "summary" {
                    continue;
                }
                assert_eq!(name, current, "{line:?} does not stand with its metric");
                let samples = &mut all.families.get_mut(name).unwrap().samples;
                assert!(
                    samples.insert(labels, value).is_none(),
                    "{line:?} comes twice"
                );
            }
        }
        all
    }

    /// The value of a sample, by labels in any order.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self.families.get(name)?.samples.get(&labels).copied()
    }

    /// Which collectors succeeded.
    pub fn success(&self) -> BTreeMap<String, bool> {
        let samples = &self.families["node_scrape_collector_success"].samples;
        samples
            .iter()
            .map(|(labels, value)| (labels["collector"].clone(), *value == 1.0))
            .collect()
    }

    /// Samples whose name has one of the beginnings, as text.
    pub fn excerpt(&self, beginnings: &[&str]) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            if beginnings
                .iter()
                .any(|beginning| name.starts_with(beginning))
            {
                for (labels, value) in &family.samples {
                    let labels: Vec<String> =
                        labels.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
                    writeln!(text, "{name}{{{}}} {value}", labels.join(",")).unwrap();
                }
            }
        }
        text
    }
}

fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let (series, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("no value: {line:?}"));
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line:?}"));
    let mut labels = BTreeMap::new();
    let Some((name, mut rest)) = series.split_once('{') else {
        return (series, labels, value);
    };
    while rest != "}" {
        let (label, after) = rest
            .split_once("=\"")
            .unwrap_or_else(|| panic!("labels: {line:?}"));
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars
                .next()
                .unwrap_or_else(|| panic!("an open label: {line:?}"))
            {
                (_, '\\') => text.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c => c,
                }),
                (at, '"') => break at + 1,
                (_, c) => text.push(c),
            }
        };
        assert!(
            labels.insert(label.to_owned(), text).is_none(),
            "a label twice: {line:?}"
        );
        rest = &after[end..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (name, labels, value)
}

/// What differs in `ours` from two scrapes of theirs, one before and one after.
///
/// A value must be between theirs, give or take `tolerance(name)`. A label set that theirs has only once came or went meanwhile.
pub fn differences(
    before: &Exposition,
    ours: &Exposition,
    after: &Exposition,
    taken: impl Fn(&str) -> bool,
    tolerance: impl Fn(&str) -> f64,
) -> Vec<String> {
    let mut found = Vec::new();
    let names: std::collections::BTreeSet<&String> = [before, ours, after]
        .into_iter()
        .flat_map(|all| all.families.keys())
        .filter(|name| taken(name))
        .collect();
    for name in names {
        let (Some(mine), Some(first), Some(last)) = (
            ours.families.get(name),
            before.families.get(name),
            after.families.get(name),
        ) else {
            let has = |all: &Exposition| all.families.contains_key(name);
            found.push(format!(
                "{name}: ours {}, theirs {} and {}",
                has(ours),
                has(before),
                has(after)
            ));
            continue;
        };
        if (&mine.help, &mine.kind) != (&first.help, &first.kind) {
            let of = |family: &Family| format!("{} {:?}", family.kind, family.help);
            found.push(format!("{name}: ours {}, theirs {}", of(mine), of(first)));
        }
        let labels: std::collections::BTreeSet<_> = [mine, first, last]
            .into_iter()
            .flat_map(|family| family.samples.keys())
            .collect();
        for labels in labels {
            let value = |family: &Family| family.samples.get(labels).copied();
            match (value(mine), value(first), value(last)) {
                (Some(mine), Some(first), Some(last)) => {
                    // Half of the last digits: they multiply where we divide.
                    let slack = tolerance(name) + 1e-9 * mine.abs();
                    if mine < first.min(last) - slack || mine > first.max(last) + slack {
                        found.push(format!(
                            "{name}{labels:?}: ours {mine}, theirs {first} and {last}"
                        ));
                    }
                }
                (mine, first, last) if first.is_some() == last.is_some() => {
                    found.push(format!("{name}{labels:?}: ours {mine:?}, theirs {first:?}"));
                }
                _ => {}
            }
        }
    }
    found
}
