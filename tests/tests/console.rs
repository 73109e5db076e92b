//! The console in a real browser: `console/ui/e2e/console.mjs` drives it inside the cluster's network, and asks here for what
//! only the one who started the server can do.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::images::busybox;
use minicloud_tests::{Cluster, eventually};

/// The page that may show the console in a frame is served here, one that may not on the next port.
const EMBEDDER: u16 = 8081;

const APPLICATION: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: minicloud.local/busybox:1
        command: [sh, -c, "i=0; while true; do i=$((i+1)); echo request $i served; sleep 0.2; done"]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: broken, namespace: shop }
spec:
  selector: { matchLabels: { app: broken } }
  template:
    metadata: { labels: { app: broken } }
    spec:
      containers:
      - name: main
        image: minicloud.local/busybox:1
        command: [sh, -c, "echo cannot open the database; exit 3"]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: spare, namespace: shop }
spec:
  selector: { matchLabels: { app: spare } }
  template:
    metadata: { labels: { app: spare } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - { name: main, image: "minicloud.local/busybox:1", command: [sleep, "100000"] }
"#;

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/ui")
}

#[test]
fn the_console_in_a_browser() {
    let embedder = format!("http://127.0.0.1:{EMBEDDER}");
    let mut c = Cluster::start_with(&[
        "--console-embed-origins",
        &embedder,
        "--prometheus-scrape-interval",
        "1s",
    ]);
    let image = busybox(c.scratch());
    c.import(&image);
    c.k("create namespace shop");
    c.apply(APPLICATION);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/console");
    c.k(&format!("apply -f {}", examples.display()));
    for name in ["admin", "guest"] {
        c.k(&format!("-n kube-system create serviceaccount {name}"));
    }
    c.k("create clusterrolebinding admin --clusterrole=cluster-admin --serviceaccount=kube-system:admin");
    c.k("-n shop create rolebinding guest --clusterrole=view --serviceaccount=kube-system:guest");
    eventually("the application", Duration::from_secs(60), || {
        let ready = c.try_k("-n shop get deployment web -o jsonpath={.status.readyReplicas}")?;
        ensure!(ready == "2", "{ready}");
        let broken = c.try_k("-n shop get pods -l app=broken")?;
        ensure!(broken.contains("CrashLoopBackOff"), "{broken}");
        Ok(())
    });
    let settings = settings(&c);
    drive(&mut c, &settings);
}

/// What the browser's side has to know; tokens are in a file, not in arguments.
fn settings(c: &Cluster) -> PathBuf {
    let token = |name: &str| c.k(&format!("-n kube-system create token {name}"));
    let settings = serde_json::json!({
        "origin": "https://127.0.0.1:3000",
        "embedder": EMBEDDER,
        "kubectl": minicloud_tests::programs::kubectl(),
        // Pictures of all screens, for whoever wants to look at them.
        "shots": std::env::var("MINICLOUD_SHOTS").ok(),
        "only": std::env::var("MINICLOUD_CONSOLE_ONLY").ok(),
        "tokens": {
            "admin": token("admin").trim(),
            "guest": token("guest").trim(),
            "reader": token("console-reader").trim(),
        },
    });
    let file = c.scratch().join("console.json");
    std::fs::write(&file, settings.to_string()).unwrap_or_else(|e| panic!("{e}"));
    file
}

/// Runs the browser's side, and does what it asks for.
fn drive(c: &mut Cluster, settings: &Path) {
    let node = std::env::var_os("MINICLOUD_NODE").unwrap_or_else(|| "node".into());
    let mut child = c
        .command(node)
        .arg(ui().join("e2e/console.mjs"))
        .arg(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("node cannot be started: {e}"));
    let mut input = child.stdin.take().unwrap_or_else(|| panic!("no input"));
    let output = child.stdout.take().unwrap_or_else(|| panic!("no output"));
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("{line}");
        match line.as_str() {
            ">stop the server" => c.stop_server(),
            ">start the server without Prometheus" => {
                c.extra(&["--prometheus", "off"]);
                c.start_server();
                c.wait_ready();
            }
            _ => continue,
        }
        writeln!(input, "done").unwrap_or_else(|e| panic!("{e}"));
    }
    let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
    assert!(
        status.success(),
        "{status}; see above, and the server's log"
    );
}
