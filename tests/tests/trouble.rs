//! `GET /v1/impact` and `/monitoring` with real trouble: pods that are held back, that run out of memory, whose volume is full, and a
//! node that went silent, as the site's own Prometheus sees them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use minicloud_tests::images::busybox;
use minicloud_tests::processes::prometheus;
use minicloud_tests::programs::run;
use minicloud_tests::walk::timed;
use minicloud_tests::{Cluster, Reader, eventually};
use serde_json::Value;

/// Scrapes in quick succession, so that what happens is seen soon.
const QUICK: &[&str] = &["--prometheus-scrape-interval", "1s"];
/// Rates are over two minutes and need two scrapes; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

const PODS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: burn}
spec:
  selector: {matchLabels: {app: burn}}
  template:
    metadata: {labels: {app: burn}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: burner
        image: minicloud.local/busybox:1
        command: [sh, -c, "while :; do :; done"]
        resources: {requests: {cpu: 50m}, limits: {cpu: 100m}}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: eater
    image: minicloud.local/busybox:1
    command: [sh, -c, "while :; do head -c 200000000 /dev/zero | tail; sleep 2; done"]
    resources: {limits: {memory: 24Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: keeper
    image: minicloud.local/busybox:1
    command: [sleep, "100000"]
    volumeMounts: [{name: store, mountPath: /store}]
  volumes: [{name: store, hostPath: {path: VOLUME}}]
---
apiVersion: v1
kind: Pod
metadata: {name: well}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: well, image: minicloud.local/busybox:1, command: [sleep, "100000"]}
"#;

#[test]
fn trouble_is_told_with_who_feels_it() {
    let volume = Small::mount().unwrap_or_else(|e| panic!("{e:#}"));
    let c = Cluster::start_with(QUICK);
    c.import(&busybox(c.scratch()));
    c.apply(&PODS.replace("VOLUME", &volume.at()));
    c.k("wait pod --all --for=condition=Ready --timeout=60s");
    let reader = Reader::new(&c);
    c.k("create clusterrole asker --verb=get,list --resource=pods,nodes,namespaces");
    c.k("create clusterrolebinding asker --clusterrole=asker --serviceaccount=default:reader");
    eventually("the right is given", Duration::from_secs(15), || {
        ask(&reader, "/v1/impact").map(drop)
    });
    timed("held back", || held_back(&reader));
    timed("out of memory", || out_of_memory(&reader));
    timed("full volume", || full_volume(&reader, &volume));
    timed("silent node", || silent_node(&c, &reader));
    timed("the seed's figures", || figures(&reader));
    timed("measurements", || measurements(&reader));
    timed("alert rules", || alert_rules(&c, &reader));
    timed("Prometheus goes away", || without_prometheus(&c, &reader));
}

/// A small file system in memory, which a pod has as a volume.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> anyhow::Result<Self> {
        let small = Self(tempfile::Builder::new().prefix("mcv-").tempdir_in("/tmp")?);
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(small.0.path()))?;
        Ok(small)
    }

    fn at(&self) -> String {
        self.0.path().display().to_string()
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("filling")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a pod that is on its way out may still hold it.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.0.path())) {
            eprintln!("{} is still mounted: {error:#}", self.at());
        }
    }
}

fn ask(reader: &Reader<'_>, path: &str) -> anyhow::Result<Value> {
    let (code, body) = reader.fetch(&format!("https://127.0.0.1:3000{path}"));
    ensure!(code == "200", "{path}: {code} {body}");
    Ok(serde_json::from_str(&body)?)
}

/// The problem of a kind, and of a subject where one is given.
fn problem(answer: &Value, kind: &str, subject: &str) -> anyhow::Result<Value> {
    let problems = answer["problems"].as_array().context("problems")?;
    let found = problems.iter().find(|p| {
        p["kind"] == kind
            && p["subject"]
                .as_str()
                .unwrap_or_default()
                .starts_with(subject)
    });
    found
        .cloned()
        .with_context(|| format!("no {kind} of {subject:?}: {answer}"))
}

/// Names of the workloads that feel a problem.
fn affected(problem: &Value) -> Vec<String> {
    let affected = problem["affected"].as_array().into_iter().flatten();
    affected
        .map(|a| format!("{} {}", a["kind"], a["name"]).replace('"', ""))
        .collect()
}

/// A pod that works against its own limit: its Deployment is named, and the node is not blamed.
fn held_back(reader: &Reader<'_>) {
    let found = eventually("cpu_limit", PATIENCE, || {
        problem(&ask(reader, "/v1/impact")?, "cpu_limit", "default/burn-")
    });
    assert_eq!(affected(&found), ["Deployment burn"], "{found}");
    assert_eq!(found["severity"], "critical", "{found}");
    let evidence = &found["evidence"][0];
    assert!(
        evidence["value"].as_f64() > evidence["threshold"].as_f64(),
        "{found}"
    );
    assert_eq!(found["node"], "edge-1");
    let pod = found["subject"].as_str().unwrap_or_default();
    let of_pod = ask(reader, &format!("/v1/impact?pod={pod}")).unwrap_or_else(|e| panic!("{e:#}"));
    problem(&of_pod, "cpu_limit", pod).unwrap_or_else(|e| panic!("{e:#}"));
    let well = ask(reader, "/v1/impact?pod=default/well").unwrap_or_else(|e| panic!("{e:#}"));
    assert!(problem(&well, "cpu_limit", "").is_err(), "{well}");
}

fn out_of_memory(reader: &Reader<'_>) {
    let found = eventually("out_of_memory", PATIENCE, || {
        problem(
            &ask(reader, "/v1/impact")?,
            "out_of_memory",
            "default/greedy",
        )
    });
    assert_eq!(affected(&found), ["Pod greedy"], "{found}");
}

/// The file system is told of when it fills, with the pod whose volume is on it, and no longer when there is room.
fn full_volume(reader: &Reader<'_>, volume: &Small) {
    let full = || {
        problem(
            &ask(reader, "/v1/impact")?,
            "full_file_system",
            &volume.at(),
        )
    };
    assert!(full().is_err(), "before it is full");
    std::fs::write(volume.file(), vec![0; 8 << 20]).unwrap_or_default();
    let found = eventually("full_file_system", PATIENCE, full);
    assert_eq!(affected(&found), ["Pod keeper"], "{found}");
    assert_eq!(found["affected"][0]["certainty"], "certain", "{found}");
    assert_eq!(found["severity"], "critical", "{found}");
    let of = |pod: &str| {
        let answer = ask(reader, &format!("/v1/impact?pod=default/{pod}"));
        let answer = answer.unwrap_or_else(|e| panic!("{e:#}"));
        problem(&answer, "full_file_system", &volume.at()).is_ok()
    };
    assert!(of("keeper") && !of("well"));
    eventually("the node's health says so", PATIENCE, || {
        let answer = ask(reader, "/v1/nodes/edge-1")?;
        let events = answer["node"]["health_events"].as_array();
        let event = events.into_iter().flatten().find(|event| {
            event["kind"] == "full_file_system" && event["subject"] == volume.at().as_str()
        });
        ensure!(event.is_some_and(|e| e["until"].is_null()), "{answer}");
        Ok(())
    });
    std::fs::remove_file(volume.file()).unwrap_or_else(|e| panic!("{e}"));
    eventually("there is room again", PATIENCE, || {
        ensure!(full().is_err());
        Ok(())
    });
}

/// A node at an address where nobody answers: Prometheus finds it silent, and its pods are named.
fn silent_node(c: &Cluster, reader: &Reader<'_>) {
    c.apply("apiVersion: v1\nkind: Node\nmetadata: {name: edge-2}\n");
    c.k("patch node edge-2 --subresource=status --type=merge -p '{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.99.0.77\"}]}}'");
    c.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: stranded}\nspec:\n  nodeName: edge-2\n  containers:\n  - name: a\n    \
         image: minicloud.local/busybox:1\n",
    );
    let found = eventually("silent_node", PATIENCE, || {
        let found = problem(&ask(reader, "/v1/impact?node=edge-2")?, "silent_node", "")?;
        let query = found["evidence"][0]["query"].as_str();
        ensure!(query.is_some_and(|q| q.contains("up{")), "{found}");
        Ok(found)
    });
    assert_eq!(affected(&found), ["Pod stranded"], "{found}");
    eventually("its health says so", PATIENCE, || {
        let answer = ask(reader, "/v1/nodes/edge-2")?;
        let events = answer["node"]["health_events"].as_array();
        let mut events = events.into_iter().flatten();
        let event = events.find(|event| event["kind"] == "silent_node");
        ensure!(event.is_some_and(|e| e["until"].is_null()), "{answer}");
        Ok(())
    });
    c.k("delete pod stranded --force --grace-period=0");
    c.k("delete node edge-2");
    // Its target goes with it.
    eventually("nothing is left of it", PATIENCE, || {
        let left = problem(&ask(reader, "/v1/impact")?, "silent_node", "");
        ensure!(left.is_err(), "{left:?}");
        Ok(())
    });
}

/// Prometheus has all rules, and can work out each of them from what a real site measures. They are asked for here: some are
/// evaluated every five minutes only.
fn alert_rules(c: &Cluster, reader: &Reader<'_>) {
    c.k("create clusterrolebinding viewer --clusterrole=minicloud:monitoring-view --serviceaccount=default:reader");
    let rules = eventually("the rules", Duration::from_secs(15), || {
        let answer = ask(reader, "/prometheus/api/v1/rules?type=alert")?;
        let groups = answer["data"]["groups"].as_array().context("groups")?;
        let rules = groups.iter().flat_map(|g| g["rules"].as_array());
        Ok(rules.flatten().cloned().collect::<Vec<Value>>())
    });
    assert!(rules.len() > 90, "{}", rules.len());
    for rule in rules {
        let query: String = rule["query"]
            .as_str()
            .unwrap_or_default()
            .bytes()
            .map(|b| format!("%{b:02x}"))
            .collect();
        let answer = ask(reader, &format!("/prometheus/api/v1/query?query={query}"));
        assert!(answer.is_ok(), "{}: {answer:?}", rule["name"]);
    }
}

/// The keys of the first row under each heading, in their order.
fn keys(figure: &str) -> Vec<String> {
    // The order of keys is lost in a map; the text has it.
    let mut keys = Vec::new();
    let mut rest = figure;
    while let Some((_, after)) = rest.split_once('"') {
        let Some((word, after)) = after.split_once('"') else {
            break;
        };
        if after.starts_with(':') && !keys.contains(&word.to_owned()) {
            keys.push(word.to_owned());
        }
        rest = after;
    }
    keys
}

/// The three questions, answered by the real thing in the figures' keys and order.
fn figures(reader: &Reader<'_>) {
    const FIXTURES: [(&str, &str); 3] = [
        (
            "metric=physical_metrics",
            include_str!("../../monitoring/answers/tests/figures/figure-09-physical-metrics.json"),
        ),
        (
            "metric=virtual_metrics&namespace=default",
            include_str!("../../monitoring/answers/tests/figures/figure-10-virtual-metrics.json"),
        ),
        (
            "namespace=all",
            include_str!("../../monitoring/answers/tests/figures/figure-11-namespaces.json"),
        ),
    ];
    for (query, fixture) in FIXTURES {
        let expected = keys(fixture);
        eventually(query, PATIENCE, || {
            let (code, body) = reader.fetch(&format!("https://127.0.0.1:3000/monitoring?{query}"));
            ensure!(code == "200", "{code} {body}");
            let mut told = keys(&body);
            // Nobody may have read from a disk for five minutes.
            if !told.contains(&"disk_read_latency(percentage)".to_owned())
                && query.contains("physical")
            {
                let at = expected
                    .iter()
                    .position(|k| k.starts_with("disk_read"))
                    .unwrap_or_default();
                told.insert(
                    at.min(told.len()),
                    "disk_read_latency(percentage)".to_owned(),
                );
            }
            ensure!(told == expected, "{told:?}\n{expected:?}\n{body}");
            Ok(())
        });
    }
    let pods = ask(
        reader,
        "/monitoring?metric=virtual_metrics&namespace=default",
    )
    .unwrap_or_else(|e| panic!("{e:#}"));
    let rows = pods["Results"][0]["Pod Info Results"].to_string();
    for pod in ["burn-", "greedy", "keeper", "well"] {
        assert!(rows.contains(&format!("\"pod\":\"{pod}")), "{pod}: {rows}");
    }
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            ask(
                reader,
                "/monitoring?metric=virtual_metrics&namespace=default",
            )
            .unwrap_or_else(|e| panic!("{e:#}"));
            begun.elapsed()
        })
        .collect();
    times.sort();
    eprintln!(
        "  /monitoring with curl's own start: p50 {:?}, p99 {:?}",
        times[49], times[98]
    );
}

/// What a burning pod takes, and how the machine is doing, as numbers.
fn measurements(reader: &Reader<'_>) {
    eventually("measurements", PATIENCE, || {
        let answer = ask(reader, "/v1/nodes/edge-1")?;
        let node = &answer["node"];
        let used = node["measurements"]["cpu"]["used_ratio"]
            .as_f64()
            .context("cpu")?;
        ensure!((0.0..=1.0).contains(&used), "{node}");
        ensure!(
            node["measurements"]["memory"]["total_bytes"].as_f64() > Some(1e8),
            "{node}"
        );
        ensure!(node["averages"][0]["minutes"] == 5, "{node}");
        let answer = ask(reader, "/v1/pods?namespace=default")?;
        let burn = answer["pods"].as_array().context("pods")?.iter();
        let burn = burn
            .clone()
            .find(|p| p["workload"]["name"] == "burn")
            .context("burn")?;
        // It may take a tenth of a core, and does.
        let cores = burn["measurements"]["cpu_used_cores"]
            .as_f64()
            .context("cores")?;
        ensure!((0.05..0.15).contains(&cores), "{burn}");
        ensure!(
            burn["measurements"]["cpu_throttled_ratio"].as_f64() > Some(0.25),
            "{burn}"
        );
        let answer = ask(reader, "/v1/namespaces")?;
        let all = answer["namespaces"]
            .as_array()
            .context("namespaces")?
            .iter();
        let default = all
            .clone()
            .find(|n| n["name"] == "default")
            .context("default")?;
        ensure!(
            default["measurements"]["cpu_used_cores"].as_f64() > Some(0.05),
            "{default}"
        );
        Ok(())
    });
}

/// A Prometheus that hangs: what was measured cannot be told, and that is said in time; what the objects say still is.
fn without_prometheus(c: &Cluster, reader: &Reader<'_>) {
    let pid = prometheus(c).unwrap_or_else(|| panic!("Prometheus does not run"));
    let pid = pid.to_string();
    let signal = |name| run(Command::new("kill").args([name, pid.as_str()]));
    signal("-STOP").unwrap_or_else(|e| panic!("{e:#}"));
    let hung = || {
        let (code, body) = reader.fetch("https://127.0.0.1:3000/monitoring?namespace=all");
        ensure!(
            code == "503" && body.contains("Prometheus is away"),
            "{code} {body}"
        );
        let pods = ask(reader, "/v1/pods?namespace=default")?;
        let missing = pods["missing"][0].as_str().unwrap_or_default();
        ensure!(missing.starts_with("Prometheus is away"), "{pods}");
        ensure!(
            pods["pods"].as_array().is_some_and(|p| p.len() == 4),
            "{pods}"
        );
        Ok(())
    };
    let told = hung();
    signal("-CONT").unwrap_or_else(|e| panic!("{e:#}"));
    told.unwrap_or_else(|e| panic!("{e:#}"));
    eventually("it is back", PATIENCE, || {
        ask(reader, "/monitoring?namespace=all").map(drop)
    });
}
