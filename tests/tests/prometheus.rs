//! The supervised Prometheus of a cluster: what it scrapes, `/prometheus` on port 3000, and that it goes on.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use minicloud_tests::images::busybox;
use minicloud_tests::processes::prometheus;
use minicloud_tests::programs::run;
use minicloud_tests::walk::timed;
use minicloud_tests::{Background, Cluster, eventually};
use serde_json::Value;

const QUICK: &[&str] = &["--prometheus-scrape-interval", "1s"];

const WEB: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {metrics: "shop_carts 7\n", index.html: "not_metrics\n"}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: minicloud.local/busybox:1
    command: [httpd, -f, -p, "8080", -h, /page]
    ports: [{containerPort: 8080}, {containerPort: 9999}]
    volumeMounts: [{name: page, mountPath: /page}]
  volumes: [{name: page, configMap: {name: page}}]
---
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {prometheus.io/scrape: "true"}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

#[test]
fn the_cluster_is_measured() {
    let mut c = Cluster::start_with(QUICK);
    timed("targets", || targets(&c));
    timed("annotations", || annotations(&c));
    let token = timed("permissions", || permissions(&c));
    timed("Grafana", || grafana(&c, &token));
    timed("federation", || federation(&c, &token));
    timed("restart", || {
        a_restart_of_the_server_is_none_of_prometheus(&mut c)
    });
    timed("off", || switched_off(&mut c));
    timed("one's own", || of_ones_own(&mut c));
}

/// [`try_ask`] where somebody listens.
fn ask(c: &Cluster, token: &str, path: &str, more: &[&str]) -> (String, String) {
    try_ask(c, token, path, more).unwrap_or_else(|e| panic!("{path}: {e:#}"))
}

/// curl on port 3000: code and body.
fn try_ask(
    c: &Cluster,
    token: &str,
    path: &str,
    more: &[&str],
) -> anyhow::Result<(String, String)> {
    let ca = c.data_dir().join("pki/ca.crt");
    let mut curl = c.command("curl");
    curl.args([
        "--silent",
        "--globoff",
        "--max-time",
        "20",
        "--write-out",
        "\n%{http_code}",
    ])
    .arg("--cacert")
    .arg(ca)
    .args(more)
    .arg(format!("https://127.0.0.1:3000/prometheus{path}"));
    match token {
        "" => {}
        "admin" => drop(curl.arg("--cert").arg(c.data_dir().join("pki/admin.pem"))),
        token => drop(curl.args(["--header", &format!("Authorization: Bearer {token}")])),
    }
    let said = run(&mut curl)?;
    let (body, code) = said.rsplit_once('\n').unwrap_or_default();
    Ok((code.to_owned(), body.to_owned()))
}

/// What a query answers: labels and value of each sample.
fn query(c: &Cluster, promql: &str) -> anyhow::Result<Vec<(Value, String)>> {
    let form = format!("query={promql}");
    let (code, body) = try_ask(c, "admin", "/api/v1/query", &["--data-urlencode", &form])?;
    ensure!(code == "200", "{code}: {body}");
    let answer: Value = serde_json::from_str(&body)?;
    let result = answer["data"]["result"].as_array().context("no result")?;
    let sample = |sample: &Value| {
        let value = sample["value"][1].as_str().unwrap_or_default();
        (sample["metric"].clone(), value.to_owned())
    };
    Ok(result.iter().map(sample).collect())
}

/// Every job of the site answers, and nodes are known by name.
fn targets(c: &Cluster) {
    let jobs = [
        "node",
        "kube-state-metrics",
        "apiserver",
        "minicloud",
        "prometheus",
    ];
    eventually("all targets are up", Duration::from_secs(60), || {
        for job in jobs {
            let up = query(c, &format!("up{{job=\"{job}\"}}"))?;
            ensure!(up.len() == 1 && up[0].1 == "1", "{job}: {up:?}");
        }
        Ok(())
    });
    let memory = query(c, "node_memory_MemTotal_bytes").unwrap_or_default();
    assert_eq!(memory[0].0["node"], "edge-1", "{memory:?}");
    assert_eq!(memory[0].0["instance"], "10.99.0.1:9100", "{memory:?}");
    let info = query(c, "kube_node_info").unwrap_or_default();
    assert_eq!(info[0].0["node"], "edge-1", "{info:?}");
    let status = run(&mut c.minicloud(&["status", "--output", "json"])).unwrap_or_default();
    let status: Value = serde_json::from_str(&status).unwrap_or_default();
    let components = status["components"].as_array().cloned().unwrap_or_default();
    let prometheus = components
        .iter()
        .find(|component| component["name"] == "prometheus");
    assert_eq!(
        prometheus.map(|p| &p["healthy"]),
        Some(&Value::Bool(true)),
        "{status}"
    );
}

/// Pods and Services that ask for it are scraped while they are there.
fn annotations(c: &Cluster) {
    c.import(&busybox(c.scratch()));
    c.apply(WEB);
    let carts = |job: &str| {
        let found = query(c, &format!("shop_carts{{job=\"{job}\"}}"))?;
        ensure!(
            found.len() == 1 && found[0].1 == "7",
            "{found:?}; {}; {}",
            c.try_k("get pods -o wide")?,
            std::fs::read_to_string(c.run_dir().join("prometheus/targets/pods.json"))?
        );
        Ok(found[0].0.clone())
    };
    let pod = eventually("the pod is scraped", Duration::from_secs(60), || {
        carts("kubernetes-pods")
    });
    for (label, value) in [("namespace", "default"), ("pod", "web"), ("node", "edge-1")] {
        assert_eq!(pod[label], value, "{pod}");
    }
    let service = eventually("the Service is scraped", Duration::from_secs(30), || {
        carts("kubernetes-services")
    });
    for (label, value) in [("namespace", "default"), ("service", "web"), ("pod", "web")] {
        assert_eq!(service[label], value, "{service}");
    }
    c.k("delete pod web");
    eventually("it is forgotten", Duration::from_secs(30), || {
        let left = query(c, "shop_carts")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    });
}

/// Who may query is said by RBAC; what could harm is served to nobody. Returns the token of one who may.
fn permissions(c: &Cluster) -> String {
    const UP: &str = "/api/v1/query?query=up";
    assert_eq!(ask(c, "", UP, &[]).0, "401");
    c.k("create serviceaccount grafana");
    let token = c.k("create token grafana").trim().to_owned();
    let (code, body) = ask(c, &token, UP, &[]);
    assert_eq!(code, "403", "{body}");
    assert!(body.contains("get /prometheus/api/v1/query"), "{body}");
    c.k("create clusterrolebinding grafana --clusterrole=minicloud:monitoring-view --serviceaccount=default:grafana");
    eventually("the right is given", Duration::from_secs(15), || {
        let (code, body) = ask(c, &token, UP, &[]);
        ensure!(code == "200", "{code}: {body}");
        Ok(())
    });
    for (path, method) in [
        ("/-/quit", "POST"),
        ("/-/reload", "POST"),
        ("/api/v1/admin/tsdb/delete_series?match[]=up", "POST"),
        ("/api/v1/admin/tsdb/snapshot", "PUT"),
        ("/api/v1/write", "POST"),
        ("/api/v1/status/config", "GET"),
        ("/../metrics", "GET"),
        ("/api/v1/label/../../../-/quit/values", "GET"),
        ("/graph", "GET"),
        ("", "GET"),
    ] {
        for who in [token.as_str(), "admin"] {
            let (code, body) = ask(c, who, path, &["--request", method, "--path-as-is"]);
            assert_eq!(code, "404", "{method} {path}: {body}");
        }
    }
    // It lives on.
    assert_eq!(ask(c, &token, UP, &[]).0, "200");
    token
}

/// The calls that Grafana's Prometheus data source makes, with what it reads of the answers.
fn grafana(c: &Cluster, token: &str) {
    let now = query(c, "vector(time())").unwrap_or_default();
    let now: f64 = now[0].1.parse().unwrap_or_default();
    let (start, end) = (format!("start={}", now - 60.0), format!("end={now}"));
    let call = |path: &str, form: &[&str]| -> Value {
        let mut more = vec!["--compressed"];
        for field in form {
            more.extend(["--data-urlencode", field]);
        }
        let (code, body) = ask(c, token, path, &more);
        assert_eq!(code, "200", "{path}: {body}");
        let answer: Value =
            serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    };
    // The button "Save & test".
    let sum = call("/api/v1/query", &["query=1+1", &format!("time={now}")]);
    assert_eq!(sum["result"][1], "2", "{sum}");
    let version = call("/api/v1/status/buildinfo", &[]);
    assert!(
        version["version"]
            .as_str()
            .is_some_and(|v| v.starts_with("2.")),
        "{version}"
    );
    // A panel.
    let range = call(
        "/api/v1/query_range",
        &[
            "query=rate(node_cpu_seconds_total[30s])",
            &start,
            &end,
            "step=15",
        ],
    );
    assert_eq!(range["resultType"], "matrix");
    let point = &range["result"][0]["values"][0][1];
    assert!(point.is_string(), "{range}");
    // Variables and the query builder.
    let jobs = call(
        &format!("/api/v1/label/job/values?{start}&{end}&match[]=up"),
        &[],
    );
    assert!(
        jobs.as_array()
            .is_some_and(|jobs| jobs.contains(&"node".into())),
        "{jobs}"
    );
    let names = call(&format!("/api/v1/label/__name__/values?{start}&{end}"), &[]);
    assert!(
        names.as_array().is_some_and(|names| names.len() > 100),
        "{names}"
    );
    let labels = call("/api/v1/labels", &[&start, &end, "match[]=node_load1"]);
    assert!(labels.to_string().contains("instance"), "{labels}");
    let series = call(
        "/api/v1/series",
        &[&start, &end, "match[]=up{job=\"node\"}"],
    );
    assert_eq!(series.as_array().map(Vec::len), Some(1), "{series}");
    let metadata = call("/api/v1/metadata?limit=2000", &[]);
    assert_eq!(metadata["node_load1"][0]["type"], "gauge");
    // Exemplars, rules and alerts.
    let exemplars = call("/api/v1/query_exemplars", &["query=up", &start, &end]);
    assert!(exemplars.is_array(), "{exemplars}");
    assert!(call("/api/v1/rules", &[])["groups"].is_array());
    assert!(call("/api/v1/alerts", &[])["alerts"].is_array());
    // What is wrong with an expression is shown to who wrote it.
    let (code, body) = ask(
        c,
        token,
        "/api/v1/query",
        &["--data-urlencode", "query=up{"],
    );
    assert_eq!(code, "400");
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!(body["errorType"], "bad_data", "{body}");
    assert!(
        body["error"]
            .as_str()
            .is_some_and(|e| e.contains("parse error")),
        "{body}"
    );
    // No page of another site can read the answers.
    let (_, head) = ask(
        c,
        token,
        "/api/v1/labels",
        &["--head", "--header", "Origin: https://evil.example"],
    );
    assert!(!head.to_lowercase().contains("access-control"), "{head}");
}

/// A second Prometheus, as a federation has one, collects from this one; and promtool queries it.
fn federation(c: &Cluster, token: &str) {
    let dir = c.scratch().join("aggregator");
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(dir.join(name), text))
            .unwrap_or_else(|e| panic!("{e}"));
    };
    write("token", token);
    let ca = c.data_dir().join("pki/ca.crt").display().to_string();
    let http = format!(
        "authorization: {{credentials_file: {}/token}}\ntls_config: {{ca_file: {ca}}}\n",
        dir.display()
    );
    write("http.yml", &http);
    let job = format!(
        "scrape_configs:\n- job_name: site\n  scrape_interval: 1s\n  honor_labels: true\n  metrics_path: /prometheus/federate\n  \
         params: {{'match[]': ['{{job=\"node\"}}']}}\n  scheme: https\n  static_configs: [{{targets: ['127.0.0.1:3000']}}]\n  {}",
        http.replace('\n', "\n  ")
    );
    write("prometheus.yml", job.trim_end());
    let mut aggregator = c.command("prometheus");
    aggregator
        .arg(format!("--config.file={}/prometheus.yml", dir.display()))
        .arg(format!("--storage.tsdb.path={}/data", dir.display()))
        .arg("--web.listen-address=127.0.0.1:9191");
    let aggregator = Background::start(aggregator);
    let instant = |server: &str, more: &[&str], expression: &str| {
        let mut promtool = c.command("promtool");
        promtool
            .args(["query", "instant"])
            .args(more)
            .args([server, expression]);
        run(&mut promtool)
    };
    eventually(
        "the aggregator has the site's metrics",
        Duration::from_secs(30),
        || {
            let said = instant("http://127.0.0.1:9191", &[], "node_memory_MemTotal_bytes")?;
            ensure!(
                said.contains("node=\"edge-1\"") && said.contains("job=\"node\""),
                "{said}"
            );
            Ok(())
        },
    );
    drop(aggregator);
}

/// The server comes and goes, Prometheus stays; Prometheus is killed, and comes back.
fn a_restart_of_the_server_is_none_of_prometheus(c: &mut Cluster) {
    let pid = prometheus(c);
    assert!(pid.is_some());
    c.kill_server();
    assert_eq!(prometheus(c), pid);
    c.start_server();
    c.wait_ready();
    eventually("it answers", Duration::from_secs(30), || query(c, "up"));
    assert_eq!(prometheus(c), pid);
    run(Command::new("kill")
        .arg("-9")
        .arg(pid.map(|pid| pid.to_string()).unwrap_or_default()))
    .unwrap_or_default();
    let refused = eventually("that is noticed", Duration::from_secs(10), || {
        let (code, body) = ask(c, "admin", "/api/v1/query?query=up", &[]);
        ensure!(code == "503", "{code}");
        Ok(body)
    });
    assert!(refused.contains("minicloud status"), "{refused}");
    eventually("it is back", Duration::from_secs(30), || {
        let node = query(c, "up{job=\"node\"} == 1")?;
        ensure!(node.len() == 1, "{node:?}");
        Ok(())
    });
    assert_ne!(prometheus(c), pid);
}

fn switched_off(c: &mut Cluster) {
    c.stop_server();
    c.extra(&["--prometheus", "off"]);
    c.start_server();
    c.wait_ready();
    eventually("it is ended", Duration::from_secs(30), || {
        ensure!(prometheus(c).is_none());
        Ok(())
    });
    let (code, body) = ask(c, "admin", "/api/v1/query?query=up", &[]);
    assert_eq!(code, "503", "{body}");
    assert!(
        body.contains("switched off by the setting prometheus"),
        "{body}"
    );
}

/// A Prometheus that somebody else runs, set up as the documentation says, answers instead.
fn of_ones_own(c: &mut Cluster) {
    let guide = include_str!("../../docs/monitoring.md");
    let guide = guide.split("## With a Prometheus of your own").nth(1);
    let mut blocks = guide.unwrap_or_default().split("```");
    let (commands, jobs) = (blocks.nth(1), blocks.nth(1));
    let (Some(commands), Some(jobs)) = (commands, jobs.and_then(|j| j.strip_prefix("yaml"))) else {
        panic!("the guide has no commands and jobs");
    };
    let dir = c.scratch().join("own");
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{e}"));
    for line in commands.lines() {
        let Some(line) = line.trim().strip_prefix("$ kubectl ") else {
            continue;
        };
        let (line, file) = line.split_once(" > ").unwrap_or((line, ""));
        let said = c.k(line);
        if !file.is_empty() {
            std::fs::write(dir.join(file), said.trim()).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    std::fs::copy(c.data_dir().join("pki/ca.crt"), dir.join("ca.crt"))
        .unwrap_or_else(|e| panic!("{e}"));
    // Nobody resolves names in this network.
    let jobs = jobs.replace("[\"edge-1:", "[\"127.0.0.1:");
    let config = format!("global: {{scrape_interval: 1s}}\n{jobs}");
    std::fs::write(dir.join("prometheus.yml"), config).unwrap_or_else(|e| panic!("{e}"));
    let mut own = c.command("prometheus");
    own.arg(format!("--config.file={}/prometheus.yml", dir.display()))
        .arg(format!("--storage.tsdb.path={}/data", dir.display()))
        .arg("--web.listen-address=127.0.0.1:9191");
    let own = Background::start(own);
    c.stop_server();
    c.extra(&["--prometheus", "http://127.0.0.1:9191"]);
    c.start_server();
    c.wait_ready();
    eventually("all jobs are scraped", Duration::from_secs(30), || {
        let up = query(c, "up == 1")?;
        ensure!(up.len() == 4, "{up:?}");
        Ok(())
    });
    for (path, part) in [
        ("/monitoring?metric=physical_metrics", "edge-1"),
        ("/v1/nodes", "used_ratio"),
    ] {
        eventually(path, Duration::from_secs(30), || {
            let mut curl = c.command("curl");
            curl.args(["--silent", "--fail-with-body", "--cacert"])
                .arg(c.data_dir().join("pki/ca.crt"))
                .arg("--cert")
                .arg(c.data_dir().join("pki/admin.pem"))
                .arg(format!("https://127.0.0.1:3000{path}"));
            let said = run(&mut curl)?;
            ensure!(said.contains(part), "{said}");
            Ok(())
        });
    }
    drop(own);
    let (code, body) = ask(c, "admin", "/api/v1/query?query=up", &[]);
    assert_eq!(code, "503", "{body}");
}
