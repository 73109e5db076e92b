//! The Grafana dashboards: each query of each panel and variable, with what a person would choose, against a Prometheus that scrapes a
//! running cluster. A metric that nobody exports fails, and so does a panel that stays empty where it should not.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use minicloud_tests::images::busybox;
use minicloud_tests::netns::ADDRESS;
use minicloud_tests::programs::run;
use minicloud_tests::{Background, Cluster, eventually};
use serde_json::Value;

#[path = "../../monitoring/alerts/tests/it/names.rs"]
mod names;

const QUICK: &[&str] = &["--prometheus-scrape-interval", "1s"];

/// Something of everything that a dashboard shows: a limit, a volume, a probe that fails and one that succeeds.
const SHOWN: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: minicloud.local/busybox:1
    command: [httpd, -f, -p, "8080", -h, /data]
    resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {cpu: 100m, memory: 32Mi}}
    volumeMounts: [{name: data, mountPath: /data}]
  - name: busy
    image: minicloud.local/busybox:1
    command: [sh, -c, "while true; do :; done"]
    resources: {limits: {cpu: 50m, memory: 16Mi}}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: absent}
spec:
  selector: {matchLabels: {app: absent}}
  template:
    metadata: {labels: {app: absent}}
    spec:
      containers: [{name: absent, image: "minicloud.local/absent:1", imagePullPolicy: Never}]
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: machine}
spec: {targets: ["10.99.0.1"], interval: 5s, icmp: {}}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: api}
spec:
  targets: ["http://10.99.0.1:8080/", "http://10.99.0.1:1/", "https://10.99.0.1:6443/version"]
  interval: 5s
  http: {tls: {insecureSkipVerify: true}}
"#;

/// Metrics that a machine has or has not: sensors, batteries.
const SOME_MACHINES: &[&str] = &["node_hwmon_temp_celsius", "node_thermal_zone_temp"];

/// Panels that are rightly empty where all is well.
const MAY_BE_EMPTY: &[&str] = &["Targets that do not answer", "Alerts"];

/// How long the site is measured before it is looked at.
const RANGE_SECONDS: f64 = 60.0;

struct Dashboard {
    file: String,
    value: Value,
}

fn dashboards() -> Vec<Dashboard> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap_or_else(|e| panic!("{e}")).path();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}"));
        let value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        found.push(Dashboard {
            file: file.unwrap_or_default(),
            value,
        });
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The queries of a dashboard's panels: title, whether it is over time, and the expression.
fn queries(dashboard: &Value) -> Vec<(String, bool, String)> {
    let mut found = Vec::new();
    for panel in list(dashboard, "panels") {
        for target in list(panel, "targets") {
            let over_time = target["range"] == Value::Bool(true);
            found.push((
                text(panel, "title").to_owned(),
                over_time,
                text(target, "expr").to_owned(),
            ));
        }
    }
    found
}

/// What Grafana needs to import it, and a person to read it.
#[test]
fn dashboards_are_whole() {
    let all = dashboards();
    let files: Vec<&str> = all.iter().map(|d| d.file.as_str()).collect();
    assert_eq!(
        files,
        [
            "minicloud.json",
            "node.json",
            "probes.json",
            "site.json",
            "storage.json",
            "workloads.json"
        ]
    );
    let mut uids = BTreeSet::new();
    for Dashboard { file, value } in &all {
        assert!(
            uids.insert(text(value, "uid")),
            "{file}: its uid is another's"
        );
        assert!(value["schemaVersion"].as_u64() >= Some(39), "{file}");
        assert!(
            !text(value, "title").is_empty() && !text(value, "description").is_empty(),
            "{file}"
        );
        assert!(
            value.get("id").is_none(),
            "{file}: an id belongs to one Grafana"
        );
        let variables = list(&value["templating"], "list");
        assert_eq!(text(&variables[0], "type"), "datasource", "{file}");
        assert_eq!(text(&variables[0], "query"), "prometheus", "{file}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(value, "panels") {
            let title = text(panel, "title");
            assert!(
                ids.insert(panel["id"].as_u64()),
                "{file}: {title}: its id is another's"
            );
            let place = |key: &str| {
                panel["gridPos"][key]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{file}: {title}: {key}"))
            };
            assert!(place("x") + place("w") <= 24, "{file}: {title} is too wide");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} lies on another");
                }
            }
            if text(panel, "type") == "row" {
                continue;
            }
            assert!(!list(panel, "targets").is_empty(), "{file}: {title}");
            for target in list(panel, "targets") {
                assert_eq!(
                    text(&target["datasource"], "uid"),
                    "${datasource}",
                    "{file}: {title}"
                );
                assert_ne!(target["range"], target["instant"], "{file}: {title}");
            }
        }
        let variables: BTreeSet<String> = variables
            .iter()
            .map(|v| text(v, "name").to_owned())
            .collect();
        for (title, _, expr) in queries(value) {
            for used in used(&expr) {
                assert!(
                    used.starts_with("__") || variables.contains(&used),
                    "{file}: {title}: ${used}"
                );
            }
        }
    }
}

/// Names after `$`.
fn used(expr: &str) -> Vec<String> {
    let parts = expr.split('$').skip(1);
    parts
        .map(|part| {
            part.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn every_query_of_a_dashboard_has_an_answer() {
    let c = Cluster::start_with(QUICK);
    c.import(&busybox(c.scratch()));
    std::fs::write(c.scratch().join("index.html"), "welcome").unwrap_or_else(|e| panic!("{e}"));
    let mut httpd = c.command("busybox");
    httpd
        .args(["httpd", "-f", "-p", &format!("{ADDRESS}:8080"), "-h"])
        .arg(c.scratch());
    let _page = Background::start(httpd);
    c.apply(SHOWN);
    let token = token(&c);
    eventually("the site is measured", Duration::from_secs(90), || {
        for sign in [
            "probe_success == 1",
            "kube_pod_container_status_waiting_reason == 1",
            "container_spec_memory_limit_bytes{pod=\"web\"}",
            "rate(container_cpu_cfs_throttled_periods_total{pod=\"web\"}[15s]) > 0",
            "probe_ssl_earliest_cert_expiry",
            "up{job=\"prometheus\"} and on () (time() - process_start_time_seconds{job=\"prometheus\"} > 30)",
        ] {
            let data = ask(&c, &token, "/api/v1/query", &[("query", sign)])?;
            ensure!(!list(&data, "result").is_empty(), "nothing for {sign}");
        }
        Ok(())
    });
    let names =
        ask(&c, &token, "/api/v1/label/__name__/values", &[]).unwrap_or_else(|e| panic!("{e:#}"));
    let names: BTreeSet<String> = serde_json::from_value(names).unwrap_or_default();
    let mut wrong = Vec::new();
    for Dashboard { file, value } in dashboards() {
        let chosen = chosen(&c, &token, &value).unwrap_or_else(|e| panic!("{file}: {e:#}"));
        for (title, over_time, expr) in queries(&value) {
            let named = names::names(&expr);
            let some = |name: &String| SOME_MACHINES.contains(&name.as_str());
            let may_be_empty = MAY_BE_EMPTY.contains(&title.as_str()) || named.iter().any(some);
            let exported = |name: &String| names.contains(name) || some(name) || name == "ALERTS";
            let unknown: Vec<String> = named.into_iter().filter(|name| !exported(name)).collect();
            let expr = filled(&expr, &chosen);
            let place = format!("{file}: {title}: {expr}");
            if !unknown.is_empty() {
                wrong.push(format!("{place}: nobody exports {unknown:?}"));
            }
            match answer(&c, &token, &expr, over_time) {
                Err(error) => wrong.push(format!("{place}: {error:#}")),
                Ok(true) if !may_be_empty => wrong.push(format!("{place}: no data")),
                Ok(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The token of somebody with the role that the documentation names for Grafana.
fn token(c: &Cluster) -> String {
    c.k("create serviceaccount grafana");
    c.k("create clusterrolebinding grafana --clusterrole=minicloud:monitoring-view --serviceaccount=default:grafana");
    c.k("create token grafana").trim().to_owned()
}

/// What Prometheus answers on port 3000.
fn ask(c: &Cluster, token: &str, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Value> {
    let mut curl = c.command("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--globoff",
        "--get",
        "--max-time",
        "20",
    ])
    .arg("--cacert")
    .arg(c.data_dir().join("pki/ca.crt"))
    .args(["--header", &format!("Authorization: Bearer {token}")]);
    for (name, value) in form {
        curl.args(["--data-urlencode", &format!("{name}={value}")]);
    }
    let said = run(curl.arg(format!("https://127.0.0.1:3000/prometheus{path}")))?;
    let answer: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    ensure!(answer["status"] == "success", "{said}");
    Ok(answer["data"].clone())
}

/// The dashboard's variables with all their values chosen, as Grafana asks for them: `label_values(SERIES, LABEL)`.
fn chosen(c: &Cluster, token: &str, dashboard: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    for variable in list(&dashboard["templating"], "list") {
        if text(variable, "type") != "query" {
            continue;
        }
        let query = text(&variable["query"], "query");
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = inside
            .and_then(|inside| inside.rsplit_once(", "))
            .with_context(|| query.to_owned())?;
        let series = filled(series, &chosen);
        let values = ask(
            c,
            token,
            &format!("/api/v1/label/{label}/values"),
            &[("match[]", &series)],
        )?;
        let values: Vec<String> = serde_json::from_value(values)?;
        ensure!(!values.is_empty(), "{query} has no values");
        chosen.push((
            text(variable, "name").to_owned(),
            format!("({})", values.join("|")),
        ));
    }
    Ok(chosen)
}

/// An expression as Grafana sends it.
fn filled(expr: &str, chosen: &[(String, String)]) -> String {
    let expr = expr
        .replace("$__rate_interval", "15s")
        .replace("$__interval", "5s")
        .replace("$__range", "60s");
    let fill =
        |expr: String, (name, value): &(String, String)| expr.replace(&format!("${name}"), value);
    chosen.iter().fold(expr, fill)
}

/// True when there is no data.
fn answer(c: &Cluster, token: &str, expr: &str, over_time: bool) -> anyhow::Result<bool> {
    let data = if over_time {
        let now = jiff::Timestamp::now().as_second() as f64;
        let (start, end) = (format!("{}", now - RANGE_SECONDS), format!("{now}"));
        ask(
            c,
            token,
            "/api/v1/query_range",
            &[
                ("query", expr),
                ("start", &start),
                ("end", &end),
                ("step", "5"),
            ],
        )?
    } else {
        ask(c, token, "/api/v1/query", &[("query", expr)])?
    };
    Ok(list(&data, "result").is_empty())
}
