//! Probe objects: Debian's blackbox exporter asks real servers, and what comes of it is in Prometheus, in alerts and in the status.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use minicloud_tests::netns::ADDRESS;
use minicloud_tests::processes::daemon;
use minicloud_tests::programs::run;
use minicloud_tests::walk::timed;
use minicloud_tests::{Background, Cluster, eventually};
use serde_json::Value;

const QUICK: &[&str] = &["--prometheus-scrape-interval", "1s"];

/// Everything that a Probe can ask, of servers that answer; and one that nobody answers.
const PROBES: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: page, namespace: shop}
spec:
  targets: ["http://10.99.0.1:8080/"]
  interval: 5s
  timeout: 2s
  labels: {team: web}
  http: {statusCodes: [200], bodyMatches: ["wel+come"], bodyMatchesNot: [error]}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: tls, namespace: shop}
spec:
  targets: ["https://10.99.0.1:8443/"]
  interval: 5s
  http: {tls: {serverName: web.example, ca: "CA"}}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: port, namespace: shop}
spec:
  targets: ["10.99.0.1:6443"]
  interval: 5s
  tcp: {}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: name, namespace: shop}
spec:
  targets: ["10.43.0.10"]
  interval: 5s
  dns: {name: kubernetes.default.svc.cluster.local, answerMatches: '\sA\s+10\.43\.0\.1$'}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: machine, namespace: shop}
spec:
  targets: ["10.99.0.1"]
  interval: 5s
  icmp: {}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: gone, namespace: shop}
spec:
  targets: ["http://10.99.0.1:8081/"]
  interval: 5s
  http: {}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: stranger, namespace: shop}
spec:
  targets: ["https://10.99.0.1:8443/"]
  interval: 5s
  http: {tls: {serverName: web.example}}
---
apiVersion: minicloud.io/v1
kind: Probe
metadata: {name: wrong-page, namespace: shop}
spec:
  targets: ["http://10.99.0.1:8080/nothing"]
  interval: 5s
  http: {}
"#;

const SUCCEED: &[(&str, &str)] = &[
    ("page", "probe/http"),
    ("tls", "probe/http"),
    ("port", "probe/tcp"),
    ("name", "probe/dns"),
    ("machine", "probe/icmp"),
];
/// With what their status says.
const FAIL: &[(&str, &str)] = &[
    ("gone", "connection refused"),
    ("stranger", "certificate"),
    ("wrong-page", "404"),
];

#[test]
fn what_probes_ask_is_answered() {
    let mut c = Cluster::start_with(QUICK);
    assert_eq!(exporter(&c), None, "nothing runs without Probes");
    let servers = timed("servers", || servers(&c));
    timed("results", || results(&c));
    timed("refusals", || refusals(&c));
    timed("alert", || an_alert_fires(&c));
    timed("restart", || {
        a_restart_of_the_server_costs_no_answer(&mut c)
    });
    timed("recovery", || recovery(&c));
    timed("end", || end(&c));
    drop(servers);
}

/// A page by HTTP, and one by HTTPS with a certificate of an authority of its own.
fn servers(c: &Cluster) -> Vec<Background> {
    let dir = c.scratch().join("servers");
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{e}"));
    let write = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap_or_else(|e| panic!("{e}"));
    };
    write("index.html", "welcome\n");
    let mut openssl = Command::new("openssl");
    openssl.current_dir(&dir).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=web.example",
        "-addext",
        "subjectAltName=DNS:web.example",
        "-keyout",
        "key.pem",
        "-out",
        "ca.pem",
    ]);
    run(&mut openssl).unwrap_or_else(|e| panic!("{e:#}"));
    vec![http(c, 8080), {
        let mut https = c.command("openssl");
        https.current_dir(&dir).args([
            "s_server", "-quiet", "-www", "-key", "key.pem", "-cert", "ca.pem", "-accept",
        ]);
        https.arg(format!("{ADDRESS}:8443"));
        Background::start(https)
    }]
}

fn http(c: &Cluster, port: u16) -> Background {
    let mut httpd = c.command("busybox");
    httpd.args(["httpd", "-f", "-p", &format!("{ADDRESS}:{port}"), "-h"]);
    httpd.arg(c.scratch().join("servers"));
    Background::start(httpd)
}

/// The process id of the exporter.
fn exporter(c: &Cluster) -> Option<String> {
    daemon(c, "blackbox-exporter").map(|pid| pid.to_string())
}

/// What Prometheus answers on port 3000.
fn ask(c: &Cluster, path: &str, form: &str) -> anyhow::Result<Value> {
    let pki = c.data_dir().join("pki");
    let mut curl = c.command("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--max-time",
        "20",
    ])
    .arg("--cacert")
    .arg(pki.join("ca.crt"))
    .arg("--cert")
    .arg(pki.join("admin.pem"))
    .args(["--get", "--data-urlencode", form])
    .arg(format!("https://127.0.0.1:3000/prometheus{path}"));
    let said = run(&mut curl)?;
    let answer: Value = serde_json::from_str(&said).with_context(|| said)?;
    Ok(answer["data"].clone())
}

/// The one sample of a query: labels and value.
fn one(c: &Cluster, promql: &str) -> anyhow::Result<(Value, f64)> {
    let data = ask(c, "/api/v1/query", &format!("query={promql}"))?;
    let result = data["result"].as_array().cloned().unwrap_or_default();
    ensure!(result.len() == 1, "{promql}: {result:?}");
    let value = result[0]["value"][1].as_str().unwrap_or_default();
    Ok((result[0]["metric"].clone(), value.parse()?))
}

fn results(c: &Cluster) {
    let ca = std::fs::read_to_string(c.scratch().join("servers/ca.pem")).unwrap_or_default();
    c.apply(&PROBES.replace("\"CA\"", &Value::from(ca).to_string()));
    eventually("all answers are there", Duration::from_secs(60), || {
        for (name, job) in SUCCEED {
            let (labels, success) = one(c, &format!("probe_success{{probe=\"{name}\"}}"))?;
            ensure!(success == 1.0, "{name}: {success}; {}", describe(c, name));
            ensure!(
                labels["job"] == *job && labels["namespace"] == "shop",
                "{labels}"
            );
        }
        for (name, _) in FAIL {
            let (_, success) = one(c, &format!("probe_success{{probe=\"{name}\"}}"))?;
            ensure!(success == 0.0, "{name}: {success}");
        }
        Ok(())
    });
    let (labels, _) = one(c, "probe_success{probe=\"page\"}").unwrap_or_default();
    assert_eq!(labels["target"], "http://10.99.0.1:8080/", "{labels}");
    assert_eq!(labels["instance"], labels["target"]);
    assert_eq!(labels["team"], "web");
    let now = jiff::Timestamp::now().as_second() as f64;
    let (_, end) = one(c, "probe_ssl_earliest_cert_expiry{probe=\"tls\"}").unwrap_or_default();
    assert!(
        end > now + 86_400.0 && end < now + 2.1 * 86_400.0,
        "{end} at {now}"
    );
    eventually("the status says it", Duration::from_secs(40), || {
        for (name, _) in SUCCEED {
            let conditions = conditions(c, name)?;
            ensure!(
                conditions == "Accepted=True Succeeding=True ",
                "{name}: {conditions}"
            );
        }
        for (name, message) in FAIL {
            let conditions = conditions(c, name)?;
            ensure!(
                conditions == "Accepted=True Succeeding=False ",
                "{name}: {conditions}"
            );
            let said = describe(c, name);
            ensure!(said.contains(message), "{name}: no {message:?} in {said}");
        }
        Ok(())
    });
    c.says(
        "get probes -n shop page",
        &[
            "TARGETS",
            "SUCCEEDING",
            "page",
            "8080",
            "5s",
            "True",
            "True",
        ],
    );
}

fn describe(c: &Cluster, name: &str) -> String {
    c.try_k(&format!("get probe -n shop {name} -o jsonpath={{.status}}"))
        .unwrap_or_else(|e| format!("{e:#}"))
}

fn conditions(c: &Cluster, name: &str) -> anyhow::Result<String> {
    c.try_k(&format!(
        "get probe -n shop {name} -o 'jsonpath={{range .status.conditions[*]}}{{.type}}={{.status}} {{end}}'"
    ))
}

/// What cannot be asked is said, costs the others nothing, and who may make Probes is said by RBAC.
fn refusals(c: &Cluster) {
    let pid = exporter(c);
    assert!(pid.is_some());
    let probe = |name: &str, spec: &str| {
        format!(
            "apiVersion: minicloud.io/v1\nkind: Probe\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let file = |name: &str, spec: &str| {
        let path = c.scratch().join(format!("{name}.yaml"));
        std::fs::write(&path, probe(name, spec)).unwrap_or_else(|e| panic!("{e}"));
        path.display().to_string()
    };
    c.refuses(
        &format!(
            "create -f {}",
            file("bad", "{targets: [a], interval: soon, icmp: {}}")
        ),
        1,
        &["spec.interval", "soon"],
    );
    c.refuses(
        &format!("create -f {}", file("bad", "{targets: [], icmp: {}}")),
        1,
        &["spec.targets"],
    );
    for (name, spec, expect) in [
        (
            "own",
            "{targets: [\"http://127.0.0.1:9090/-/quit\"], http: {}}",
            "loopback",
        ),
        (
            "expression",
            "{targets: [\"http://10.99.0.1:8080\"], http: {bodyMatches: [\"a(\"]}}",
            "a(",
        ),
        (
            "two",
            "{targets: [a], icmp: {}, tcp: {}}",
            "tcp is there already",
        ),
    ] {
        c.k(&format!("create -f {}", file(name, spec)));
        eventually(name, Duration::from_secs(15), || {
            let (conditions, status) = (conditions(c, name)?, describe(c, name));
            ensure!(
                conditions.starts_with("Accepted=False ") && status.contains(expect),
                "{status}"
            );
            Ok(())
        });
    }
    let (_, asks) = one(c, "count(probe_success)").unwrap_or_default();
    assert_eq!(asks, (SUCCEED.len() + FAIL.len()) as f64);
    assert_eq!(exporter(c), pid, "it was not started again");
    c.k("create rolebinding team --clusterrole=edit --user=ann -n shop");
    c.k("create rolebinding watch --clusterrole=minicloud:probes-edit --user=bob -n shop");
    let may = |user: &str, verb: &str| {
        let said = c.try_k(&format!(
            "auth can-i {verb} probes.minicloud.io -n shop --as={user}"
        ));
        said.is_ok_and(|said| said.trim() == "yes")
    };
    assert!(may("bob", "create") && may("ann", "list") && !may("ann", "create"));
    // Nobody gets in but Prometheus.
    let mut curl = c.command("curl");
    curl.args(["--silent", "--insecure", "--max-time", "5"]);
    curl.arg("https://127.0.0.1:9115/probe?target=10.99.0.1&module=shop/machine");
    assert!(run(&mut curl).is_err());
}

/// The rule sees the probe that nobody answers, and no other that does answer.
fn an_alert_fires(c: &Cluster) {
    let state = eventually("an alert", Duration::from_secs(60), || {
        let data = ask(c, "/api/v1/alerts", "a=b")?;
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let failing: Vec<Value> = alerts
            .into_iter()
            .filter(|alert| alert["labels"]["alertname"] == "ProbeFailing")
            .collect();
        let of = |name: &str| {
            failing
                .iter()
                .find(|alert| alert["labels"]["probe"] == name)
                .cloned()
        };
        let gone = of("gone").context("none yet")?;
        for (name, _) in SUCCEED {
            ensure!(of(name).is_none(), "{name}: {failing:?}");
        }
        Ok(gone)
    });
    assert_eq!(state["labels"]["namespace"], "shop", "{state}");
    assert_eq!(
        state["labels"]["target"], "http://10.99.0.1:8081/",
        "{state}"
    );
    assert!(
        state["state"] == "pending" || state["state"] == "firing",
        "{state}"
    );
}

/// The exporter goes on while the server is away, and nothing that was measured ends when the next one starts.
fn a_restart_of_the_server_costs_no_answer(c: &mut Cluster) {
    let pid = exporter(c);
    let file = c.run_dir().join("prometheus/targets/probes.json");
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(before.contains("shop/page"), "{before}");
    let written = |file: &std::path::Path| std::fs::metadata(file).and_then(|m| m.modified()).ok();
    let ca = c.run_dir().join("blackbox-exporter/tls/ca.crt");
    let (at, ca_at) = (written(&file), written(&ca));
    c.kill_server();
    c.start_server();
    c.wait_ready();
    eventually("it answers", Duration::from_secs(30), || {
        ensure!(written(&ca) != ca_at, "the new server has not come to it");
        let (_, success) = one(c, "probe_success{probe=\"page\"}")?;
        ensure!(success == 1.0, "{success}");
        let (_, first) = one(c, "timestamp(up{probe=\"page\"} == 1) > time() - 6")?;
        ensure!(first > 0.0);
        Ok(())
    });
    assert_eq!(exporter(c), pid);
    assert_eq!(
        written(&file),
        at,
        "targets were taken away and given again"
    );
}

/// The server comes up, and that is seen; the exporter is killed and comes back.
fn recovery(c: &Cluster) {
    let pid = exporter(c).unwrap_or_default();
    run(Command::new("kill").args(["-9", &pid])).unwrap_or_else(|e| panic!("{e:#}"));
    let _late = http(c, 8081);
    eventually("it succeeds", Duration::from_secs(45), || {
        let (_, success) = one(c, "probe_success{probe=\"gone\"}")?;
        ensure!(success == 1.0, "{success}");
        let conditions = conditions(c, "gone")?;
        ensure!(
            conditions == "Accepted=True Succeeding=True ",
            "{conditions}"
        );
        Ok(())
    });
    assert!(exporter(c).is_some_and(|new| new != pid));
}

/// Without Probes nothing runs.
fn end(c: &Cluster) {
    c.k("delete probes --all -n shop");
    eventually("the exporter is ended", Duration::from_secs(30), || {
        ensure!(exporter(c).is_none());
        let data = ask(c, "/api/v1/targets?state=active", "scrapePool=probes")?;
        let targets = data["activeTargets"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(
            targets
                .iter()
                .all(|target| target["scrapePool"] != "probes"),
            "{targets:?}"
        );
        Ok(())
    });
}
