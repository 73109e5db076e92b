//! Elasticity: `kubectl top`, autoscalers on all three metrics APIs, and what they do when Prometheus is away.
//!
//! An autoscaler looks at its metrics every 15 seconds, so the three of them are awaited at the same time.

use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::images::busybox;
use minicloud_tests::walk::timed;
use minicloud_tests::{Cluster, eventually};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// `burner` burns as long as there is a file, `shop` has seven carts in each pod, `worker` works off the queue that `broker` tells of.
const SITE: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: burner}
spec:
  selector: {matchLabels: {app: burner}}
  template:
    metadata: {labels: {app: burner}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: burner
        image: minicloud.local/busybox:1
        command: [sh, -c, "while true; do [ -e /tmp/burn ] || sleep 0.2; done"]
        resources: {requests: {cpu: 100m}, limits: {cpu: 300m}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata:
      labels: {app: shop}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: shop
        image: minicloud.local/busybox:1
        command: [sh, -c, "echo shop_carts 7 > /www/metrics; exec httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Pod
metadata:
  name: broker
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: broker
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo 'queue_length{queue=\"mail\"} 5' > /www/metrics; exec httpd -f -p 8080 -h /www"]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: worker, image: "minicloud.local/busybox:1", command: [sleep, "100000"]}
"#;

const AUTOSCALERS: &str = r#"
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: burner}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: burner}
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  maxReplicas: 2
  metrics: [{type: Pods, pods: {metric: {name: shop_carts}, target: {type: AverageValue, averageValue: "3"}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}
  maxReplicas: 9
  metrics:
  - type: External
    external:
      metric: {name: queue_length, selector: {matchLabels: {queue: mail}}}
      target: {type: AverageValue, averageValue: "2"}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
"#;

#[test]
fn pods_follow_their_load() {
    let mut c = Cluster::start_with(&["--prometheus-scrape-interval", "1s"]);
    c.import(&busybox(c.scratch()));
    c.apply(SITE);
    for name in ["burner", "shop", "worker"] {
        c.k(&format!("rollout status deployment/{name} --timeout=60s"));
    }
    timed("top", || top(&c));
    timed("up", || up(&c));
    timed("down", || down(&c));
    timed("resizer", || requests_follow_the_number_of_nodes(&c));
    timed("refused", || what_is_wrong_is_said(&c));
    timed("away", || nothing_is_measured(&mut c));
}

/// `kubectl top` prints what nodes, pods and containers use.
fn top(c: &Cluster) {
    let rows = |words: &str| -> anyhow::Result<Vec<Vec<String>>> {
        let text = c.try_k(words)?;
        let row = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        Ok(text.lines().map(row).collect())
    };
    let nodes = eventually("the node was measured", PATIENCE, || {
        rows("top nodes --no-headers")
    });
    assert_eq!(
        (nodes.len(), nodes[0][0].as_str()),
        (1, "edge-1"),
        "{nodes:?}"
    );
    assert!(
        nodes[0][1].ends_with('m') && nodes[0][3].ends_with("Mi"),
        "{nodes:?}"
    );
    let (pods, containers) = eventually("the pods were measured", PATIENCE, || {
        let pods = rows("top pods --no-headers")?;
        let containers = rows("top pods --containers --no-headers")?;
        ensure!(
            pods.len() == 4 && containers.len() == 4,
            "{pods:?} {containers:?}"
        );
        Ok((pods, containers))
    });
    for row in &pods {
        let memory: Option<u64> = row[2].strip_suffix("Mi").and_then(|n| n.parse().ok());
        assert!(memory.is_some_and(|mebibytes| mebibytes < 100), "{pods:?}");
    }
    assert!(
        containers.iter().any(|row| row[1] == "burner"),
        "{containers:?}"
    );
}

fn autoscaler(c: &Cluster, name: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(
        &c.try_k(&format!("get hpa {name} -o json"))?,
    )?)
}

fn condition(autoscaler: &Value, kind: &str) -> String {
    let conditions = autoscaler["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|c| c["type"] == kind);
    let text = |field: &str| found.and_then(|c| c[field].as_str()).unwrap_or_default();
    format!("{} {}", text("status"), text("reason"))
}

/// The target has so many replicas, and they are available.
fn has(c: &Cluster, name: &str, replicas: u64) -> anyhow::Result<()> {
    let now: Value = serde_json::from_str(&c.try_k(&format!("get deployment {name} -o json"))?)?;
    let autoscaler = autoscaler(c, name)?;
    ensure!(
        now["spec"]["replicas"] == replicas && now["status"]["availableReplicas"] == replicas,
        "{name}: {} of {}: {autoscaler:#}",
        now["status"]["availableReplicas"],
        now["spec"]["replicas"],
    );
    Ok(())
}

/// Under load each becomes more: by CPU, by a metric of the pods, by one that belongs to no object.
fn up(c: &Cluster) {
    let pod = c.k("get pods -l app=burner -o name");
    c.sh(pod.trim().trim_start_matches("pod/"), "touch /tmp/burn")
        .unwrap_or_else(|e| panic!("{e:#}"));
    c.apply(AUTOSCALERS);
    for (name, replicas) in [("burner", 3), ("shop", 2), ("worker", 3)] {
        eventually("it grew", PATIENCE, || has(c, name, replicas));
    }
    eventually("the table", PATIENCE, || {
        let table = c.try_k("get hpa")?;
        let row = |name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
        };
        let cells: Vec<&str> = row("shop").split_whitespace().collect();
        ensure!(
            cells.len() == 7 && cells[1..6] == ["Deployment/shop", "7/3", "1", "2", "2"],
            "{table}"
        );
        ensure!(
            row("burner").contains("cpu: ") && row("burner").contains("%/80%"),
            "{table}"
        );
        ensure!(row("worker").contains("/2 (avg)"), "{table}");
        Ok(())
    });
    let shop = autoscaler(c, "shop").unwrap_or_default();
    assert_eq!(
        condition(&shop, "AbleToScale"),
        "True ReadyForNewScale",
        "{shop:#}"
    );
    assert_eq!(
        condition(&shop, "ScalingActive"),
        "True ValidMetricFound",
        "{shop:#}"
    );
    assert_eq!(
        condition(&shop, "ScalingLimited"),
        "True TooManyReplicas",
        "{shop:#}"
    );
    c.says(
        "describe hpa burner",
        &[
            "Reference:",
            "Deployment/burner",
            "resource cpu on pods",
            "Behavior:",
            "Conditions:",
            "SuccessfulRescale",
            "New size: 3; reason: cpu resource utilization (percentage of request) above target",
        ],
    );
}

/// When the load goes, they go.
fn down(c: &Cluster) {
    for pod in c.k("get pods -l app=burner -o name").split_whitespace() {
        c.sh(pod.trim_start_matches("pod/"), "rm -f /tmp/burn")
            .unwrap_or_else(|e| panic!("{e:#}"));
    }
    c.sh(
        "broker",
        "echo 'queue_length{queue=\"mail\"} 3' > /www/metrics",
    )
    .unwrap_or_else(|e| panic!("{e:#}"));
    eventually("it shrank", PATIENCE, || has(c, "burner", 1));
    eventually("it shrank", PATIENCE, || has(c, "worker", 2));
    // It may shrink no sooner than five minutes after it was told to be more.
    has(c, "shop", 2).unwrap_or_else(|e| panic!("{e:#}"));
}

const RESIZER: &str = r#"
apiVersion: minicloud.io/v1
kind: Resizer
metadata: {name: worker}
spec:
  target: {name: worker}
  container: worker
  resources:
    cpu: {base: 10m, perNode: 5m}
    memory: {base: 16Mi, perNode: 4Mi}
  limits: Follow
"#;

/// A Resizer sets what a container requests, more of it for a second node, and changes nothing within its tolerance.
fn requests_follow_the_number_of_nodes(c: &Cluster) {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/scaling");
    c.k("create namespace application");
    c.says(
        &format!("apply --dry-run=server -f {examples}"),
        &[
            "horizontalpodautoscaler.autoscaling/wordpress created",
            "resizer.minicloud.io/mariadb created",
        ],
    );
    let resources = || {
        c.try_k("get deployment worker -o jsonpath={.spec.template.spec.containers[0].resources}")
    };
    let becomes = |cpu: &str, memory: &str| {
        let expect = format!(r#"{{"cpu":"{cpu}","memory":"{memory}"}}"#);
        let expect = format!(r#"{{"limits":{expect},"requests":{expect}}}"#);
        eventually("it is resized", PATIENCE, || {
            let now = resources()?;
            ensure!(now == expect, "{now} instead of {expect}");
            Ok(())
        });
    };
    c.apply(RESIZER);
    becomes("15m", "20Mi");
    c.apply("apiVersion: v1\nkind: Node\nmetadata: {name: edge-2}");
    becomes("20m", "24Mi");
    c.k("delete node edge-2");
    becomes("15m", "20Mi");
    eventually("it says so", PATIENCE, || {
        let table = c.try_k("get resizers")?;
        let cells: Vec<&str> = table
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        ensure!(
            cells.len() == 8 && cells[..6] == ["worker", "worker", "worker", "1", "15m", "20Mi"],
            "{table}"
        );
        Ok(())
    });
    // Its pods may go on as they are.
    let version = "get deployment worker -o jsonpath={.metadata.generation}";
    let before = c.k(version);
    c.k("patch resizer worker --type=merge -p '{\"spec\":{\"tolerancePercent\":50,\"resources\":{\"memory\":{\"base\":\"20Mi\"}}}}'");
    eventually("it is computed", PATIENCE, || {
        let now = c.try_k("get resizer worker -o jsonpath={.status.requests.memory},{.status.conditions[0].reason}")?;
        ensure!(now == "24Mi,Fits", "{now}");
        Ok(())
    });
    assert_eq!(c.k(version), before);
    c.k("patch resizer worker --type=merge -p '{\"spec\":{\"container\":\"none\"}}'");
    eventually("it is missed", PATIENCE, || {
        let table = c.try_k("get resizers")?;
        ensure!(table.contains("ContainerNotFound"), "{table}");
        Ok(())
    });
    c.refuses(
        "patch resizer worker --type=merge -p '{\"spec\":{\"tolerancePercent\":500}}'",
        1,
        &["spec.tolerancePercent"],
    );
}

/// What cannot be is refused, what is not there is said.
fn what_is_wrong_is_said(c: &Cluster) {
    c.refuses(
        "patch hpa shop --type=merge -p '{\"spec\":{\"minReplicas\":0,\"maxReplicas\":0}}'",
        1,
        &[
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Invalid value: 0: must be greater than 0",
        ],
    );
    c.k("patch hpa shop --type=merge -p '{\"spec\":{\"scaleTargetRef\":{\"name\":\"none\"}}}'");
    eventually("the target is missed", PATIENCE, || {
        let shop = autoscaler(c, "shop")?;
        ensure!(
            condition(&shop, "AbleToScale") == "False FailedGetScale",
            "{shop:#}"
        );
        Ok(())
    });
    c.k("delete hpa shop");
    let edit = c.k("describe clusterrole edit");
    for resource in [
        "horizontalpodautoscalers.autoscaling",
        "resizers.minicloud.io",
    ] {
        assert!(edit.contains(resource), "{edit}");
    }
    // This kubectl speaks v1 there, and only there.
    c.refuses(
        "autoscale deployment shop --max=3",
        1,
        &["could not find the requested resource"],
    );
}

/// Without Prometheus nothing is scaled, and it is said why.
fn nothing_is_measured(c: &mut Cluster) {
    c.stop_server();
    c.extra(&["--prometheus", "off"]);
    c.start_server();
    c.wait_ready();
    eventually("it is said", PATIENCE, || {
        for (name, reason) in [
            ("burner", "FailedGetResourceMetric"),
            ("worker", "FailedGetExternalMetric"),
        ] {
            let autoscaler = autoscaler(c, name)?;
            ensure!(
                condition(&autoscaler, "ScalingActive") == format!("False {reason}"),
                "{autoscaler:#}"
            );
            ensure!(
                autoscaler["status"]["conditions"]
                    .to_string()
                    .contains("switched off"),
                "{autoscaler:#}"
            );
        }
        Ok(())
    });
    has(c, "worker", 2).unwrap_or_else(|e| panic!("{e:#}"));
    c.refuses("top nodes", 1, &["ServiceUnavailable"]);
}
