//! Deployments, ReplicaSets, Services and namespaces.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::harness::{Cluster, create, delete, eventually, list, patch, until, until_gone};

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}]}}}
    })
}

fn complete(replicas: i64, revision: &'static str) -> impl Fn(&Value) -> bool {
    move |d| {
        let n = |field: &str| d["status"][field].as_i64().unwrap_or(0);
        [
            "replicas",
            "updatedReplicas",
            "availableReplicas",
            "readyReplicas",
        ]
        .iter()
        .all(|f| n(f) == replicas)
            && d["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == revision
            && n("observedGeneration") == d["metadata"]["generation"].as_i64().unwrap_or(-1)
            && d["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|c| c["reason"] == "NewReplicaSetAvailable")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_rolls_out_scales_and_is_undone() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let deployments = cluster.api::<Deployment>();
    create(&deployments, deployment("web", 3, "one")).await;
    until(
        &deployments,
        "web",
        "the first version is complete",
        complete(3, "1"),
    )
    .await;
    patch(
        &deployments,
        "web",
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}),
    )
    .await;
    until(
        &deployments,
        "web",
        "the second version is complete",
        complete(3, "2"),
    )
    .await;
    let sets = list(&cluster.api::<ReplicaSet>()).await;
    assert_eq!(sets.len(), 2);
    patch(&deployments, "web", json!({"spec": {"replicas": 5}})).await;
    until(&deployments, "web", "it has five", complete(5, "2")).await;
    // A version that never becomes ready takes none of what works beyond what the strategy allows.
    patch(
        &deployments,
        "web",
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "broken"}]}}}}),
    )
    .await;
    let stuck = until(&deployments, "web", "the bad version is stuck", |d| {
        d["status"]["updatedReplicas"] == 3
    })
    .await;
    assert!(
        stuck["status"]["availableReplicas"].as_i64() >= Some(4),
        "{stuck}"
    );
    // Undo, as kubectl does it: the old template again.
    let old = sets
        .iter()
        .find(|s| s.annotations()["deployment.kubernetes.io/revision"] == "1")
        .unwrap();
    let template = serde_json::to_value(old.spec.as_ref().unwrap().template.as_ref()).unwrap();
    let undo = json!([{"op": "replace", "path": "/spec/template/spec", "value": template["spec"]}]);
    let undo: kube::api::Patch<()> = kube::api::Patch::Json(serde_json::from_value(undo).unwrap());
    deployments
        .patch("web", &Default::default(), &undo)
        .await
        .unwrap();
    until(
        &deployments,
        "web",
        "the first version is back as the fourth",
        complete(5, "4"),
    )
    .await;
    let images: Vec<_> = list(&cluster.api::<Pod>())
        .await
        .into_iter()
        .map(|p| p.spec.unwrap().containers[0].image.clone())
        .collect();
    assert!(
        images.iter().all(|i| i.as_deref() == Some("one")),
        "{images:?}"
    );
    assert_eq!(list(&cluster.api::<ReplicaSet>()).await.len(), 3);
    // With the deployment all goes.
    delete(&deployments, "web", &DeleteParams::background()).await;
    eventually("sets and pods are gone", async || {
        let left = list(&cluster.api::<ReplicaSet>()).await.len()
            + list(&cluster.api::<Pod>()).await.len();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left"))
        }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recreate_stops_all_before_it_starts_any() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let deployments = cluster.api::<Deployment>();
    let mut web = deployment("web", 2, "one");
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    create(&deployments, web).await;
    until(
        &deployments,
        "web",
        "the first version is complete",
        complete(2, "1"),
    )
    .await;
    patch(
        &deployments,
        "web",
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}),
    )
    .await;
    until(
        &deployments,
        "web",
        "the second version is complete",
        complete(2, "2"),
    )
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_follow_their_pods() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    create(&cluster.api::<Deployment>(), deployment("web", 3, "one")).await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"name": "h", "port": 80, "targetPort": "http"}]}});
    create(&cluster.api::<Service>(), service).await;
    let addresses = |slices: &[EndpointSlice]| -> usize {
        let ours = slices.iter().filter(|s| {
            s.labels()
                .get("kubernetes.io/service-name")
                .is_some_and(|n| n == "web")
        });
        ours.flat_map(|s| s.endpoints.iter().flatten())
            .filter(|e| e.conditions.as_ref().is_some_and(|c| c.ready == Some(true)))
            .count()
    };
    let count = |wanted: usize| {
        let cluster = &cluster;
        eventually("the slices have the ready pods", async move || {
            let slices = list(&cluster.api::<EndpointSlice>()).await;
            let got = addresses(&slices);
            if got == wanted {
                Ok(slices)
            } else {
                Err(format!("{got} of {wanted}: {slices:?}"))
            }
        })
    };
    let slices = count(3).await;
    let slice = slices
        .iter()
        .find(|s| s.name_any().starts_with("web-"))
        .unwrap();
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
    let endpoints = cluster.api::<Endpoints>();
    until(
        &endpoints,
        "web",
        "the endpoints have three addresses",
        |e| {
            e["subsets"][0]["addresses"]
                .as_array()
                .is_some_and(|a| a.len() == 3)
        },
    )
    .await;
    patch(
        &cluster.api::<Deployment>(),
        "web",
        json!({"spec": {"replicas": 1}}),
    )
    .await;
    count(1).await;
    patch(
        &cluster.api::<Deployment>(),
        "web",
        json!({"spec": {"replicas": 0}}),
    )
    .await;
    count(0).await;
    // A service without a selector is mirrored from what is written by hand.
    create(
        &cluster.api::<Service>(),
        json!({"metadata": {"name": "manual"}, "spec": {"ports": [{"port": 80}]}}),
    )
    .await;
    let manual = json!({"metadata": {"name": "manual"}, "subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 80}]}]});
    create(&endpoints, manual).await;
    eventually("the endpoints are mirrored", async || {
        let slices = list(&cluster.api::<EndpointSlice>()).await;
        let is = |s: &EndpointSlice| {
            s.endpoints
                .iter()
                .flatten()
                .any(|e| e.addresses == ["192.0.2.9"])
        };
        if slices.iter().any(is) {
            Ok(())
        } else {
            Err(format!("{slices:?}"))
        }
    })
    .await;
    delete(&cluster.api::<Service>(), "web", &DeleteParams::default()).await;
    until_gone(&endpoints, "web").await;
    eventually("the slices are collected", async || {
        let slices = list(&cluster.api::<EndpointSlice>()).await;
        let left = slices
            .iter()
            .filter(|s| s.name_any().starts_with("web-"))
            .count();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left"))
        }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_furnished_and_deleted_with_all_in_it() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let namespaces: Api<Namespace> = cluster.all();
    create(&namespaces, json!({"metadata": {"name": "team"}})).await;
    let client = || cluster.admin.clone();
    let accounts: Api<ServiceAccount> = Api::namespaced(client(), "team");
    until(&accounts, "default", "there is a default account", |a| {
        !a.is_null()
    })
    .await;
    let maps: Api<ConfigMap> = Api::namespaced(client(), "team");
    until(&maps, "kube-root-ca.crt", "the CA is published", |m| {
        m["data"]["ca.crt"]
            .as_str()
            .is_some_and(|pem| pem.contains("BEGIN CERTIFICATE"))
    })
    .await;
    delete(&maps, "kube-root-ca.crt", &DeleteParams::default()).await;
    until(
        &maps,
        "kube-root-ca.crt",
        "the CA is published again",
        |m| !m.is_null(),
    )
    .await;
    let deployments: Api<Deployment> = Api::namespaced(client(), "team");
    create(&deployments, deployment("web", 2, "one")).await;
    until(&deployments, "web", "it runs", complete(2, "1")).await;
    create(
        &maps,
        json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}),
    )
    .await;
    delete(&namespaces, "team", &DeleteParams::default()).await;
    let held = until(
        &namespaces,
        "team",
        "the namespace says what holds it up",
        |n| {
            n["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|c| c["reason"] == "SomeFinalizersRemain")
        },
    )
    .await;
    let said = held["status"]["conditions"].to_string();
    assert!(
        said.contains("Some resources are remaining: configmaps has 1 resource instances"),
        "{said}"
    );
    patch(&maps, "held", json!({"metadata": {"finalizers": null}})).await;
    until_gone(&namespaces, "team").await;
    assert!(
        list(&Api::<Pod>::namespaced(client(), "team"))
            .await
            .is_empty()
    );
    cluster.stop().await;
}
