//! The server goes away, the agent restarts, the power is cut: the workload goes on.

use std::time::Duration;

use serde_json::json;

use crate::bench::Bench;

fn with_secret() -> serde_json::Value {
    json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]})
}

#[tokio::test]
async fn a_restarted_agent_takes_over_what_runs() {
    let mut bench = Bench::new().await;
    let probe = json!({"exec": {"command": ["x"]}, "periodSeconds": 1, "initialDelaySeconds": 0});
    bench.api.set_pod(
        "p",
        json!({"containers": [{"name": "c", "readinessProbe": probe}]}),
    );
    bench.ready("p").await;
    bench.stop().await;
    assert!(
        bench.sim.running("p", "c").is_some(),
        "it runs on without an agent"
    );
    bench.api.set("configmaps", "marker", json!({}));
    bench.start();
    // A second pod shows that the agent is at work again.
    bench
        .api
        .set_pod("q", json!({"containers": [{"name": "c"}]}));
    bench.ready("q").await;
    bench.ready("p").await;
    assert_eq!(
        (
            bench.sim.count("create p"),
            bench.sim.count("stop container")
        ),
        (1, 0)
    );
    // What was deleted meanwhile is stopped.
    bench.stop().await;
    bench.api.drop_object("pods", "p");
    bench.start();
    bench
        .until("the pod is stopped", || {
            (!bench.sim.state().pods.contains_key("u-p")).then_some(())
        })
        .await;
    assert!(bench.sim.running("q", "c").is_some());
    bench
        .until("its directory goes", || {
            (!bench.path("data/checkpoints/u-p.json").exists()).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_server_that_is_away_stops_nothing() {
    let bench = Bench::new().await;
    bench
        .api
        .set("secrets", "s", json!({"data": {"k": "MQ=="}}));
    bench.api.set_pod("p", with_secret());
    bench.ready("p").await;
    bench.api.set_up(false);
    // What crashes meanwhile is restarted without the server.
    bench.sim.exit("p", "c", 1);
    bench
        .until("it is restarted", || {
            (bench.sim.count("create p c#1") == 1).then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.sim.count("stop container"), 0);
    bench.api.set_up(true);
    bench
        .pod("p", "reported", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    bench.ready("p").await;
    assert_eq!(bench.sim.count("create p"), 2);
}

#[tokio::test]
async fn pods_come_back_after_a_power_cut_with_no_server() {
    let mut bench = Bench::new().await;
    bench
        .api
        .set("secrets", "s", json!({"data": {"k": "MQ=="}}));
    bench.api.set_pod("p", with_secret());
    bench.api.set_pod(
        "job",
        json!({"restartPolicy": "Never", "containers": [{"name": "c"}]}),
    );
    bench.ready("p").await;
    bench.ready("job").await;
    bench.sim.exit("job", "c", 0);
    bench
        .pod("job", "over", |p| p["status"]["phase"] == "Succeeded")
        .await;
    bench.stop().await;
    bench.api.set_up(false);
    bench.sim.power_cut();
    std::fs::remove_dir_all(bench.path("run")).expect("a tmpfs forgets");
    bench.start();
    let spec = bench
        .until("it runs again", || bench.sim.running("p", "c"))
        .await;
    let mount = spec
        .mounts
        .iter()
        .find(|m| m.container_path.ends_with("v"))
        .expect("a mount");
    assert_eq!(
        std::fs::read_to_string(mount.host_path.join("k")).expect("a file"),
        "1"
    );
    assert_eq!(bench.sim.count("create job"), 1, "what was over stays so");
    bench.api.set_up(true);
    bench
        .pod("p", "reported", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    bench.ready("p").await;
}

#[tokio::test]
async fn a_pod_that_only_the_runtime_knows_is_stopped() {
    let mut bench = Bench::new().await;
    bench.api.set_pod(
        "p",
        json!({"containers": [{"name": "c"}], "terminationGracePeriodSeconds": 7}),
    );
    bench.ready("p").await;
    bench.stop().await;
    bench.api.drop_object("pods", "p");
    std::fs::remove_dir_all(bench.path("data")).expect("removes");
    bench.start();
    bench
        .until("it is stopped", || {
            bench.sim.state().pods.is_empty().then_some(())
        })
        .await;
    assert!(
        bench
            .sim
            .state()
            .calls
            .iter()
            .any(|c| c.starts_with("stop container") && c.ends_with(" 7"))
    );
}

#[tokio::test]
async fn a_silent_runtime_decides_nothing() {
    let bench = Bench::new().await;
    bench
        .api
        .set_pod("p", json!({"containers": [{"name": "c"}]}));
    bench.ready("p").await;
    let calls = bench.sim.state().calls.len();
    bench.sim.state().down = true;
    bench.sim.exit("p", "c", 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.sim.state().calls.len(), calls);
    bench.sim.state().down = false;
    bench
        .until("it is restarted", || {
            (bench.sim.count("create p c#1") == 1).then_some(())
        })
        .await;
}
