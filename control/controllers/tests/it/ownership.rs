//! The garbage collector: background, foreground, orphaning, custom resources.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::harness::{Cluster, create, delete, dynamic, eventually, list, until, until_gone};

fn set(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
        "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn foreground_waits_and_orphaning_lets_go() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let (sets, pods) = (cluster.api::<ReplicaSet>(), cluster.api::<Pod>());
    for name in ["foreground", "orphan"] {
        create(&sets, set(name)).await;
        until(&sets, name, "the set has its pods", |s| {
            s["status"]["readyReplicas"] == 2
        })
        .await;
    }
    delete(&sets, "foreground", &DeleteParams::foreground()).await;
    until_gone(&sets, "foreground").await;
    let left = list(&pods).await;
    assert!(
        left.iter().all(|p| p.labels()["app"] == "orphan"),
        "the pods went before their owner"
    );
    delete(&sets, "orphan", &DeleteParams::orphan()).await;
    until_gone(&sets, "orphan").await;
    let left = list(&pods).await;
    assert_eq!(left.len(), 2);
    assert!(
        left.iter().all(|p| p.owner_references().is_empty()),
        "{left:?}"
    );
    // A set that matches takes the orphans in.
    create(&sets, set("orphan")).await;
    until(&sets, "orphan", "the orphans are adopted", |s| {
        s["status"]["readyReplicas"] == 2
    })
    .await;
    let names = |pods: &[Pod]| {
        let mut n: Vec<_> = pods.iter().map(|p| p.name_any()).collect();
        n.sort();
        n
    };
    assert_eq!(names(&list(&pods).await), names(&left));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_custom_resources_own_goes_with_them() {
    let cluster = Cluster::start().await;
    let crd = json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    create(&cluster.all::<CustomResourceDefinition>(), crd).await;
    let things = dynamic(&cluster.admin, "example.com", "Thing", "things");
    let thing: DynamicObject = serde_json::from_value(
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}}),
    )
    .unwrap();
    let made = eventually("the new kind is served", async || {
        things
            .create(&PostParams::default(), &thing)
            .await
            .map_err(|e| e.to_string())
    })
    .await;
    let owner =
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": made.uid()});
    let maps = cluster.api::<ConfigMap>();
    create(
        &maps,
        json!({"metadata": {"name": "owned", "ownerReferences": [owner]}}),
    )
    .await;
    // One whose owner never was: the same name, another UID.
    let never = json!({"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "not-that-one"});
    create(
        &maps,
        json!({"metadata": {"name": "stray", "ownerReferences": [never]}}),
    )
    .await;
    create(
        &maps,
        json!({"metadata": {"name": "shared", "ownerReferences": [owner, never]}}),
    )
    .await;
    until_gone(&maps, "stray").await;
    until(&maps, "shared", "the dead reference is dropped", |m| {
        m["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|o| o.len() == 1)
    })
    .await;
    assert!(maps.get_opt("owned").await.unwrap().is_some());
    delete(&things, "t", &DeleteParams::default()).await;
    until_gone(&maps, "owned").await;
    until_gone(&maps, "shared").await;
    cluster.stop().await;
}
