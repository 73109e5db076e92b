//! Nodes that report trouble or are removed.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{Cluster, create, delete, until, until_gone};

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_a_node_that_is_not_ready() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    cluster.node("n2", "8").await;
    let pods = cluster.api::<Pod>();
    let on_n1 = |name: &str, tolerations: serde_json::Value| {
        json!({"metadata": {"name": name}, "spec": {"nodeName": "n1", "tolerations": tolerations,
            "containers": [{"name": "c", "image": "one"}]}})
    };
    let tolerate = |seconds: Option<i64>| json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
    create(&pods, on_n1("leaves", tolerate(Some(1)))).await;
    create(&pods, on_n1("stays", tolerate(None))).await;
    for name in ["leaves", "stays"] {
        until(&pods, name, "it runs", |p| {
            p["status"]["phase"] == "Running"
        })
        .await;
    }
    let nodes: Api<Node> = cluster.all();
    let ready = |status: &str| {
        let now = jiff::Timestamp::now().to_string();
        Patch::Strategic(
            json!({"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": now}]}}),
        )
    };
    nodes
        .patch_status("n1", &PatchParams::default(), &ready("False"))
        .await
        .unwrap();
    until(&nodes, "n1", "the node is tainted", |n| {
        let taints = n["spec"]["taints"].to_string();
        taints.contains("NoExecute")
            && taints.contains("NoSchedule")
            && taints.contains("not-ready")
    })
    .await;
    until_gone(&pods, "leaves").await;
    let stays = until(&pods, "stays", "the other is marked unready", |p| {
        p["status"]["conditions"][0]["status"] == "False"
    })
    .await;
    assert!(stays["metadata"]["deletionTimestamp"].is_null());
    nodes
        .patch_status("n1", &PatchParams::default(), &ready("True"))
        .await
        .unwrap();
    until(&nodes, "n1", "the taints are gone", |n| {
        n["spec"]["taints"].is_null()
    })
    .await;
    delete(&nodes, "n2", &DeleteParams::default()).await;
    until_gone(&nodes, "n2").await;
    cluster.stop().await;
}
