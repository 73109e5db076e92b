//! Pods on a real containerd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_agent::runtime::PodRuntime;
use minicloud_agent::volumes::unmount_beneath;
use minicloud_containers::Runtime;
use serde_json::{Value, json};

use crate::api::Api;
use crate::bench::{self, Pki, Running, condition};
use crate::site::{IMAGE, Site, shell};

struct Node {
    api: Arc<Api>,
    pki: Pki,
    site: Site,
    runtime: Arc<Runtime>,
    agent: Running,
}

impl Node {
    async fn new() -> Self {
        let site = Site::new();
        let runtime = Arc::new(site.start_with_image().await);
        let (api, pki) = (Api::new(), Pki::new());
        let agent = bench::start(&site.dir.path().join("agent"), &pki, runtime.clone(), &api);
        Self {
            api,
            pki,
            site,
            runtime,
            agent,
        }
    }

    async fn ready(&self, name: &str) -> Value {
        self.api
            .until_pod(name, "ready", |p| condition(p, "Ready") == "True")
            .await
    }

    /// What a shell in a pod's container `c` prints.
    async fn shell(&self, pod: &str, script: &str) -> String {
        let found = self
            .runtime
            .pod(&format!("u-{pod}"))
            .await
            .expect("answers")
            .expect("the pod is there");
        let newest = found
            .containers
            .iter()
            .filter(|c| c.name == "c")
            .max_by_key(|c| c.attempt);
        shell(
            &self.runtime,
            &newest.expect("the container is there").id,
            script,
        )
        .await
    }

    async fn finish(self) {
        bench::stop(self.agent).await;
        unmount_beneath(&self.site.dir.path().join("agent")).expect("unmounts");
        let runtime = alone(self.runtime).await;
        self.site.finish(runtime).await;
    }
}

/// The runtime when nobody else has it any more: tasks that were cut off let go of it a moment later.
async fn alone(runtime: Arc<Runtime>) -> Runtime {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Arc::strong_count(&runtime) > 1 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Arc::into_inner(runtime).expect("nobody else has it")
}

fn sleeper(more: Value) -> Value {
    let mut container = more;
    container["name"] = "c".into();
    container["image"] = IMAGE.into();
    if container["command"].is_null() {
        container["command"] = json!([
            "/bin/sh",
            "-c",
            "trap 'exit 0' TERM; while true; do sleep 0.1; done"
        ]);
    }
    container
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_with_volumes() {
    let node = Node::new().await;
    node.api
        .set("configmaps", "cm", json!({"data": {"file": "1"}}));
    node.api
        .set("secrets", "s", json!({"data": {"password": "czNjcmV0"}}));
    let mounts = json!([
        {"name": "e", "mountPath": "/e"}, {"name": "m", "mountPath": "/m"}, {"name": "cm", "mountPath": "/cm"},
        {"name": "s", "mountPath": "/s"}, {"name": "e", "mountPath": "/sub", "subPath": "a/b"},
        {"name": "cm", "mountPath": "/one", "subPath": "file"},
    ]);
    let main = sleeper(json!({
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "volumeMounts": mounts, "securityContext": {"runAsUser": 1000},
        "readinessProbe": {"exec": {"command": ["cat", "/e/from-init"]}, "periodSeconds": 1},
        "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", "echo hook > /e/hook"]}}},
    }));
    let init = json!({"name": "i", "image": IMAGE, "command": ["/bin/sh", "-c", "id -u > /e/from-init"],
        "volumeMounts": [{"name": "e", "mountPath": "/e"}]});
    let volumes = json!([
        {"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "cm", "configMap": {"name": "cm"}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 256}},
    ]);
    let spec = json!({"initContainers": [init], "containers": [main], "volumes": volumes, "hostname": "web",
        "securityContext": {"fsGroup": 2000}, "terminationGracePeriodSeconds": 5});
    node.api.set_pod("p", spec);
    let pod = node.ready("p").await;
    let ip = pod["status"]["podIP"]
        .as_str()
        .expect("an address")
        .to_owned();
    for (script, expect) in [
        ("cat /e/from-init /e/hook", "0\nhook"),
        ("cat /cm/file /s/password /one", "1s3cret1"),
        ("echo $IP", ip.as_str()),
        ("hostname", "web"),
        ("id -u; id -G", "1000\n1000 2000"),
        ("echo x > /sub/f && cat /e/a/b/f", "x"),
        ("echo y > /m/f && cat /m/f", "y"),
        ("ls /m | cat", "f"),
    ] {
        assert_eq!(node.shell("p", script).await, expect, "{script}");
    }
    let hosts = node.shell("p", "cat /etc/hosts").await;
    assert!(hosts.contains(&format!("{ip}\tweb")), "{hosts}");
    // Nobody writes into what is generated.
    node.shell("p", "! echo x > /cm/file").await;

    node.api
        .set("configmaps", "cm", json!({"data": {"file": "2"}}));
    let until = tokio::time::Instant::now() + bench::LONGEST;
    while node.shell("p", "cat /cm/file").await != "2" {
        assert!(
            tokio::time::Instant::now() < until,
            "the volume never follows its ConfigMap"
        );
    }
    node.api.delete_pod("p", 5);
    node.api.until_pod("p", "gone", Value::is_null).await;
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_as_they_are() {
    let node = Node::new().await;
    let one = |command: &str, more: Value| {
        let mut container = more;
        container["command"] = json!(["/bin/sh", "-c", command]);
        json!({"restartPolicy": "Never", "containers": [sleeper(container)]})
    };
    node.api.set_pod(
        "exit",
        one(
            "echo why; exit 3",
            json!({"terminationMessagePolicy": "FallbackToLogsOnError"}),
        ),
    );
    node.api.set_pod(
        "said",
        one("echo -n because > /dev/termination-log; exit 1", json!({})),
    );
    node.api.set_pod(
        "oom",
        one(
            "tail /dev/zero",
            json!({"resources": {"limits": {"memory": "16Mi"}}}),
        ),
    );
    node.api.set_pod("good", one("true", json!({})));
    for (name, phase, code, reason, message) in [
        ("exit", "Failed", 3, "Error", "why\n"),
        ("said", "Failed", 1, "Error", "because"),
        ("oom", "Failed", 137, "OOMKilled", ""),
        ("good", "Succeeded", 0, "Completed", ""),
    ] {
        let pod = node
            .api
            .until_pod(name, phase, |p| p["status"]["phase"] == phase)
            .await;
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (&ended["exitCode"], &ended["reason"]),
            (&json!(code), &json!(reason)),
            "{name}: {ended}"
        );
        assert_eq!(
            ended["message"].as_str().unwrap_or_default(),
            message,
            "{name}"
        );
    }
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_outlive_the_agent_and_come_back_after_a_power_cut() {
    let mut node = Node::new().await;
    node.api.set("secrets", "s", json!({"data": {"k": "MQ=="}}));
    let main = sleeper(
        json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e"}]}),
    );
    let volumes =
        json!([{"name": "v", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {}}]);
    node.api
        .set_pod("p", json!({"containers": [main], "volumes": volumes}));
    node.ready("p").await;
    node.shell("p", "echo kept > /e/f; echo $$ > /e/pid").await;
    let id = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
    let before = id(&node.api.read("pods", "p"));

    bench::stop(node.agent).await;
    let dir = node.site.dir.path().join("agent");
    node.agent = bench::start(&dir, &node.pki, node.runtime.clone(), &node.api);
    node.api
        .set_pod("q", json!({"containers": [sleeper(json!({}))]}));
    node.ready("q").await;
    assert_eq!(
        id(&node.ready("p").await),
        before,
        "a restarted agent takes over what runs"
    );

    // The power is cut, and the server does not come back with it.
    bench::stop(node.agent).await;
    node.api.set_up(false);
    drop(alone(node.runtime).await);
    unmount_beneath(&dir).expect("unmounts");
    node.site.lose_power();
    node.runtime = Arc::new(node.site.start().await);
    node.agent = bench::start(&dir, &node.pki, node.runtime.clone(), &node.api);
    let until = tokio::time::Instant::now() + bench::LONGEST;
    let back = loop {
        let found = node
            .runtime
            .pod("u-p")
            .await
            .expect("answers")
            .unwrap_or_default();
        let running = found.containers.into_iter().find(|c| {
            matches!(
                c.state,
                minicloud_agent::runtime::ContainerState::Running { .. }
            )
        });
        if let Some(container) = running {
            break container;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "the pod never comes back"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(back.attempt, 1);
    assert_eq!(node.shell("p", "cat /v/k /e/f").await, "1kept");
    node.api.set_up(true);
    node.api
        .until_pod("p", "reported", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    node.ready("p").await;
    node.finish().await;
}
