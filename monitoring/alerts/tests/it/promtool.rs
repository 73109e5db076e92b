//! Each alert fires when it should and not when it should not, as promtool of Debian's Prometheus computes it.
//!
//! `tests/rules` has a file of cases for each rule file: series, one sample a minute, in promtool's notation; when the alert is
//! there (`at`) and not yet (`not_yet`); with which labels and texts; and series with which it stays quiet.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::rules::{self, Rule};

/// Labels that many series have.
const SHORT: &[(&str, &str)] = &[
    (
        "$disk",
        r#"$node,device="/dev/sda1",fstype="ext4",mountpoint="/""#,
    ),
    (
        "$sensor",
        r#"$node,chip="platform_coretemp_0",sensor="temp1""#,
    ),
    (
        "$node",
        r#"instance="10.0.0.1:9100",job="node",node="edge-1""#,
    ),
    (
        "$kubelet",
        r#"instance="10.0.0.1:9100",job="kubelet",node="edge-1""#,
    ),
    (
        "$state",
        r#"instance="edge-1:3000",job="kube-state-metrics""#,
    ),
    ("$api", r#"instance="edge-1:6443",job="apiserver""#),
    ("$minicloud", r#"instance="edge-1:3000",job="minicloud""#),
    ("$prometheus", r#"instance="edge-1:9090",job="prometheus""#),
    (
        "$probe",
        r#"instance="https://web.example",job="probe/http",namespace="shop",probe="web",target="https://web.example""#,
    ),
    ("$pod", r#"namespace="shop",pod="web-1""#),
    ("$web", r#"namespace="shop",deployment="web""#),
    ("$claim", r#"namespace="shop",persistentvolumeclaim="data""#),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    alert: String,
    /// With which it fires: a line for each, the values after two spaces.
    series: String,
    /// With a rule that has `for`: when it is not there yet.
    not_yet: Option<String>,
    /// When it is there.
    at: String,
    /// Its labels, beside name and severity.
    labels: String,
    summary: String,
    description: String,
    /// Series with which it is not there at that time.
    quiet: Vec<String>,
}

#[test]
fn promtool_accepts_the_rules() {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "rules"]);
    for (name, _) in minicloud_alerts::FILES {
        promtool.arg(folder("rules").join(name));
    }
    run(&mut promtool);
}

#[test]
fn alerts_fire_when_they_should_and_not_when_they_should_not() {
    for (name, rules) in rules::all() {
        let cases = cases(name);
        let tested: BTreeSet<_> = cases.iter().map(|case| &case.alert).collect();
        let there: BTreeSet<_> = rules.iter().map(|rule| &rule.alert).collect();
        assert_eq!(tested, there, "{name}: alerts with cases, and alerts");
        let mut tests = Vec::new();
        for case in &cases {
            let rule = rules.iter().find(|rule| rule.alert == case.alert);
            tests.extend(tests_of(case, rule.unwrap()));
        }
        let file = json!({
            "rule_files": [folder("rules").join(name)],
            "evaluation_interval": "1m",
            "tests": tests,
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, file.to_string()).unwrap();
        run(Command::new("promtool").args(["test", "rules"]).arg(&path));
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn cases(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder("tests/rules").join(name)).unwrap();
    serde_saphyr::from_str(&long(&text)).unwrap_or_else(|e| panic!("tests/rules/{name}: {e}"))
}

/// The text with nothing shortened any more.
fn long(text: &str) -> String {
    let replace = |text: String, (short, long): &(&str, &str)| text.replace(short, long);
    SHORT.iter().fold(text.to_owned(), replace)
}

fn tests_of(case: &Case, rule: &Rule) -> Vec<Value> {
    let name = &case.alert;
    assert!(!case.quiet.is_empty(), "{name}: when does it not fire?");
    assert!(
        case.not_yet.is_some() || rule.pending.is_none() || rule.pending.as_deref() == Some("1m"),
        "{name} waits: when is it not there yet?"
    );
    let mut labels = label_list(&case.labels);
    for (label, value) in &rule.labels {
        labels.insert(label.clone(), value.as_str().into());
    }
    let there = json!([{ "exp_labels": labels, "exp_annotations": {
        "summary": case.summary, "description": case.description, "runbook": rule.annotations["runbook"],
    } }]);
    let when = |at: &str, alerts: Value| json!({ "eval_time": at, "alertname": name, "exp_alerts": alerts });
    let test = |series: &str, checks: Vec<Value>| {
        json!({
            "name": name, "interval": "1m", "input_series": series_list(series), "alert_rule_test": checks,
        })
    };
    let mut checks = vec![when(&case.at, there)];
    checks.extend(case.not_yet.iter().map(|at| when(at, json!([]))));
    let mut tests = vec![test(&case.series, checks)];
    for quiet in &case.quiet {
        tests.push(test(quiet, vec![when(&case.at, json!([]))]));
    }
    tests
}

/// `a="1",b="2"`.
fn label_list(text: &str) -> Map<String, Value> {
    let pair = |pair: &str| -> Option<(String, Value)> {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.strip_suffix('"')?.into()))
    };
    let pairs = text.split(',').map(|text| pair(text).expect(text));
    pairs.collect()
}

fn series_list(text: &str) -> Vec<Value> {
    let one = |line: &str| {
        let (series, values) = line.split_once("  ").expect(line);
        json!({ "series": series, "values": values })
    };
    text.lines().map(one).collect()
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("promtool (Debian's package prometheus): {e}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}
