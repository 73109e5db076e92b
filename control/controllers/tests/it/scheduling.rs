//! The scheduler: what it says, what it waits for, how fast it is.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::harness::{Cluster, create, eventually, list, patch, until};

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "one", "resources": {"requests": {"cpu": cpu}}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_room_and_says_so() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "1").await;
    let pods = cluster.api::<Pod>();
    create(&pods, pod("big", "4")).await;
    let waiting = until(&pods, "big", "the condition says why", |p| {
        p["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "PodScheduled" && c["status"] == "False")
    })
    .await;
    let said = waiting["status"]["conditions"].to_string();
    assert!(
        said.contains("0/1 nodes are available: 1 Insufficient cpu."),
        "{said}"
    );
    eventually("an event says why", async || {
        let events = list(&cluster.api::<Event>()).await;
        let said: Vec<_> = events
            .iter()
            .filter_map(|e| Some((e.reason.clone()?, e.message.clone()?)))
            .collect();
        let found = said.iter().any(|(reason, message)| {
            reason == "FailedScheduling" && message.contains("Insufficient cpu")
        });
        if found {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
    cluster.node("n2", "8").await;
    until(&pods, "big", "it runs on the new node", |p| {
        p["spec"]["nodeName"] == "n2" && p["status"]["phase"] == "Running"
    })
    .await;
    // Nothing goes to a node that is cordoned; uncordoning is news.
    for node in ["n1", "n2"] {
        patch(
            &cluster.all::<Node>(),
            node,
            json!({"spec": {"unschedulable": true}}),
        )
        .await;
        until(&cluster.all::<Node>(), node, "the cordon is a taint", |n| {
            n["spec"]["taints"].to_string().contains("unschedulable")
        })
        .await;
    }
    create(&pods, pod("late", "100m")).await;
    until(&pods, "late", "it waits", |p| {
        p["status"]["conditions"]
            .to_string()
            .contains("Unschedulable")
    })
    .await;
    patch(
        &cluster.all::<Node>(),
        "n1",
        json!({"spec": {"unschedulable": null}}),
    )
    .await;
    until(&pods, "late", "it runs", |p| p["spec"]["nodeName"] == "n1").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_pods_are_placed_within_seconds() {
    let cluster = Cluster::start().await;
    for n in 0..5 {
        cluster.node(&format!("silent{n}"), "64").await;
    }
    let pods = cluster.api::<Pod>();
    let start = Instant::now();
    let mut made = futures::stream::iter(0..500)
        .map(|n| {
            let pod: Pod = serde_json::from_value(pod(&format!("p{n}"), "100m")).unwrap();
            let pods = pods.clone();
            async move { pods.create(&PostParams::default(), &pod).await.map(drop) }
        })
        .buffer_unordered(16);
    while let Some(result) = made.next().await {
        result.unwrap();
    }
    let created = start.elapsed();
    eventually("all are placed", async || {
        let all = list(&pods).await;
        let placed = all
            .iter()
            .filter(|p| p.spec.as_ref().unwrap().node_name.is_some())
            .count();
        if placed == 500 {
            Ok(())
        } else {
            Err(format!("{placed} of 500"))
        }
    })
    .await;
    let all = start.elapsed();
    println!("created in {created:?}, placed in {all:?}");
    assert!(all < Duration::from_secs(40), "{all:?}");
    cluster.stop().await;
}
