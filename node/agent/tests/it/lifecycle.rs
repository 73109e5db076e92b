//! Pods come, change and go.

use serde_json::json;

use crate::bench::{Bench, condition, waiting};

fn one(more: serde_json::Value) -> serde_json::Value {
    let mut container = more;
    container["name"] = "c".into();
    json!({"containers": [container]})
}

#[tokio::test]
async fn a_life() {
    let bench = Bench::new().await;
    bench.api.set_pod(
        "p",
        json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}),
    );
    bench
        .until("the init container runs", || bench.sim.running("p", "i"))
        .await;
    assert!(bench.sim.running("p", "c").is_none());
    bench.sim.exit("p", "i", 0);
    let pod = bench.ready("p").await;
    let status = &pod["status"];
    assert_eq!(
        (&status["phase"], &status["qosClass"]),
        (&json!("Running"), &json!("BestEffort"))
    );
    assert_eq!(status["hostIP"], "127.0.0.1");
    assert!(
        status["podIP"]
            .as_str()
            .expect("an address")
            .starts_with("10.42.0.")
    );
    let id = status["containerStatuses"][0]["containerID"]
        .as_str()
        .expect("an id");
    assert!(id.starts_with("sim://container-"), "{id}");

    bench.api.delete_pod("p", 5);
    bench.gone("p").await;
    bench
        .until("nothing is left", || {
            bench.sim.state().pods.is_empty().then_some(())
        })
        .await;
    bench
        .until("no directory is left", || {
            (!bench.path("data/pods/u-p").exists()).then_some(())
        })
        .await;
    bench
        .until("no checkpoint is left", || {
            (!bench.path("data/checkpoints/u-p.json").exists()).then_some(())
        })
        .await;
    assert!(
        bench
            .sim
            .state()
            .calls
            .iter()
            .any(|c| c.starts_with("stop container-") && c.ends_with(" 5"))
    );
    let events = bench.api.events("p");
    assert_eq!(
        events,
        [
            "Pulled", "Created", "Started", "Pulled", "Created", "Started", "Killing"
        ]
    );
}

#[tokio::test]
async fn crashes_are_restarted_with_back_off() {
    let bench = Bench::new().await;
    bench
        .api
        .set_pod("p", one(json!({"terminationMessagePolicy": "File"})));
    bench.ready("p").await;
    let spec = bench.sim.running("p", "c").expect("runs");
    let message = spec
        .mounts
        .iter()
        .find(|m| m.container_path.ends_with("termination-log"))
        .expect("a message file");
    std::fs::write(&message.host_path, "out of luck").expect("writes");
    bench.sim.exit("p", "c", 3);
    let pod = bench
        .pod("p", "restarted once", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["message"], &last["reason"]),
        (&json!(3), &json!("out of luck"), &json!("Error"))
    );
    bench
        .until("it runs again", || bench.sim.running("p", "c"))
        .await;
    bench.sim.exit("p", "c", 3);
    bench.waiting("p", "CrashLoopBackOff").await;
    assert!(bench.api.events("p").contains(&"BackOff".to_owned()));
}

#[tokio::test]
async fn what_is_missing_is_waited_for() {
    let bench = Bench::new().await;
    bench.api.set_pod(
        "p",
        json!({"volumes": [{"name": "v", "configMap": {"name": "files", "optional": true}}], "containers": [{"name": "c",
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "Y", "value": "$(X)!"}],
            "args": ["$(Y)"], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
    );
    let pod = bench.waiting("p", "CreateContainerConfigError").await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"],
        "secret \"s\" not found"
    );
    bench
        .api
        .set("secrets", "s", json!({"data": {"k": "dmFsdWU="}}));
    bench.ready("p").await;
    let spec = bench.sim.running("p", "c").expect("runs");
    assert_eq!(spec.args, ["value!"]);
    // The volume follows its ConfigMap, without a restart.
    let volume = spec
        .mounts
        .iter()
        .find(|m| m.container_path.ends_with("v"))
        .expect("a mount")
        .host_path
        .clone();
    assert!(!volume.join("a").exists());
    for text in ["1", "2"] {
        bench
            .api
            .set("configmaps", "files", json!({"data": {"a": text}}));
        bench
            .until(text, || {
                (std::fs::read_to_string(volume.join("a")).ok()? == text).then_some(())
            })
            .await;
    }
    assert_eq!(bench.sim.count("create"), 1);
}

#[tokio::test]
async fn images_that_cannot_be_had() {
    let bench = Bench::new().await;
    bench
        .sim
        .state()
        .missing
        .extend(["no:1".to_owned(), "never:1".to_owned()]);
    bench.api.set_pod(
        "p",
        one(json!({"image": "no:1", "imagePullPolicy": "IfNotPresent"})),
    );
    bench.api.set_pod(
        "q",
        one(json!({"image": "never:1", "imagePullPolicy": "Never"})),
    );
    let pod = bench.waiting("p", "ImagePullBackOff").await;
    let message = pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        .as_str()
        .expect("a message")
        .to_owned();
    assert_eq!(
        message,
        "Back-off pulling image \"no:1\": ErrImagePull: there is no registry"
    );
    bench.waiting("q", "ErrImageNeverPull").await;
    bench.api.delete_pod("p", 30);
    bench.gone("p").await;
}

#[tokio::test]
async fn probes_decide_readiness_and_restarts() {
    let bench = Bench::new().await;
    bench.sim.state().exec.insert("ready".into(), 1);
    let probe = |word: &str| json!({"exec": {"command": [word]}, "periodSeconds": 1, "failureThreshold": 1});
    bench.api.set_pod(
        "p",
        one(json!({"readinessProbe": probe("ready"), "livenessProbe": probe("live")})),
    );
    bench
        .until("it is asked", || {
            (bench.sim.count("exec ready") > 1).then_some(())
        })
        .await;
    assert_eq!(condition(&bench.api.read("pods", "p"), "Ready"), "False");
    bench.sim.state().exec.remove("ready");
    bench.ready("p").await;
    bench.sim.state().exec.insert("live".into(), 1);
    bench
        .until("it is stopped", || {
            (bench.sim.count("stop container") >= 1).then_some(())
        })
        .await;
    bench.sim.state().exec.remove("live");
    bench
        .pod("p", "restarted", |p| {
            p["status"]["containerStatuses"][0]["restartCount"].as_i64() >= Some(1)
        })
        .await;
    bench.ready("p").await;
    let events = bench.api.events("p");
    assert!(
        events.contains(&"Unhealthy".to_owned()) && events.contains(&"Killing".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn jobs_end() {
    let bench = Bench::new().await;
    for (name, code) in [("good", 0), ("bad", 2)] {
        bench.api.set_pod(name, json!({"restartPolicy": "Never", "containers": [{"name": "c"}], "volumes": [{"name": "e", "emptyDir": {}}]}));
        bench.ready(name).await;
        bench.sim.exit(name, "c", code);
    }
    bench
        .pod("good", "over", |p| p["status"]["phase"] == "Succeeded")
        .await;
    bench
        .pod("bad", "over", |p| p["status"]["phase"] == "Failed")
        .await;
    bench
        .until("its volume is gone", || {
            (!bench.path("data/pods/u-good/volumes").exists()).then_some(())
        })
        .await;
    assert_eq!(
        bench.sim.state().pods.len(),
        2,
        "logs stay until the pod goes"
    );
    bench.api.delete_pod("good", 0);
    bench.gone("good").await;
}

#[tokio::test]
async fn tokens_and_projected_volumes() {
    let bench = Bench::new().await;
    bench.api.set(
        "configmaps",
        "kube-root-ca.crt",
        json!({"data": {"ca.crt": "pem"}}),
    );
    bench.api.set_pod(
        "p",
        json!({"serviceAccountName": "sa", "volumes": [{"name": "t", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "t", "mountPath": "/t", "readOnly": true}]}]}),
    );
    bench.ready("p").await;
    let spec = bench.sim.running("p", "c").expect("runs");
    let mount = spec
        .mounts
        .iter()
        .find(|m| m.container_path.ends_with("t"))
        .expect("a mount");
    assert!(mount.read_only && mount.host_path.starts_with(bench.path("run")));
    let read = |name: &str| std::fs::read_to_string(mount.host_path.join(name)).expect("a file");
    assert_eq!(
        (read("token"), read("ca.crt"), read("namespace")),
        ("a-token".into(), "pem".into(), "n".into())
    );
    let kept =
        std::fs::read_to_string(bench.path("data/checkpoints/u-p.json")).expect("a checkpoint");
    assert!(kept.contains("kube-root-ca.crt") && !kept.contains("a-token"));
}

#[tokio::test]
async fn a_pod_that_does_not_fit_is_refused() {
    let bench = Bench::new().await;
    bench.api.set_pod(
        "p",
        one(json!({"resources": {"requests": {"cpu": "100000"}}})),
    );
    let pod = bench
        .pod("p", "refused", |p| p["status"]["phase"] == "Failed")
        .await;
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    assert_eq!(bench.sim.count("run "), 0);
    assert_eq!(waiting(&pod), "ContainerCreating");
}

#[tokio::test]
async fn the_node_registers_and_beats() {
    let bench = Bench::new().await;
    let node = bench
        .until("the node is ready", || {
            let node = bench.api.read("nodes", "node-1");
            (condition(&node, "Ready") == "True").then_some(node)
        })
        .await;
    assert_eq!(
        node["metadata"]["labels"]["kubernetes.io/hostname"],
        "node-1"
    );
    assert_eq!(
        node["status"]["nodeInfo"]["containerRuntimeVersion"],
        "sim://1"
    );
    assert_eq!(node["status"]["capacity"]["pods"], "110");
    assert_eq!(node["status"]["images"][0]["names"][0], "img:1");
    assert_eq!(
        bench.sim.state().calls.first().map(String::as_str),
        Some("cidr 10.42.0.0/24")
    );
    let leases = || {
        bench
            .api
            .requests
            .lock()
            .expect("a lock")
            .iter()
            .any(|r| r.contains("/kube-node-lease/leases"))
    };
    bench.until("a lease", || leases().then_some(())).await;
}
