//! kube-rs's runtime, which all other parts use.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event as Seen, watcher};
use serde_json::json;

use crate::harness::Server;

async fn follow(config: watcher::Config) {
    let server = Server::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(server.admin().await);
    let make = |name: &str| {
        serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).unwrap()
    };
    maps.create(&PostParams::default(), &make("before"))
        .await
        .unwrap();
    let mut seen = watcher(maps.clone(), config).boxed();
    let mut next = async || {
        let event = tokio::time::timeout(Duration::from_secs(10), seen.next())
            .await
            .expect("an event")
            .unwrap();
        let name = |m: ConfigMap| m.metadata.name.unwrap_or_default();
        match event.expect("no error") {
            Seen::Init => "init".to_owned(),
            Seen::InitApply(m) => format!("there {}", name(m)),
            Seen::InitDone => "done".to_owned(),
            Seen::Apply(m) => format!("apply {}", name(m)),
            Seen::Delete(m) => format!("delete {}", name(m)),
        }
    };
    assert_eq!(next().await, "init");
    assert_eq!(next().await, "there before");
    assert_eq!(next().await, "done");
    maps.create(&PostParams::default(), &make("after"))
        .await
        .unwrap();
    assert_eq!(next().await, "apply after");
    maps.patch(
        "after",
        &PatchParams::default(),
        &Patch::Merge(json!({"data": {"x": "y"}})),
    )
    .await
    .unwrap();
    assert_eq!(next().await, "apply after");
    maps.delete("after", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(next().await, "delete after");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_lists() {
    follow(watcher::Config::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_streams() {
    follow(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_both_groups_are_the_same() {
    let server = Server::start().await;
    let client = server.admin().await;
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let event = serde_json::from_value(json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "test/it",
        "reportingInstance": "it-0", "action": "Testing", "reason": "Test", "type": "Normal", "note": "hello",
        "regarding": {"kind": "Namespace", "name": "default", "namespace": "default", "apiVersion": "v1"},
    }))
    .unwrap();
    let made = events.create(&PostParams::default(), &event).await.unwrap();
    assert_eq!(made.note.as_deref(), Some("hello"));
    let core: Api<CoreEvent> = Api::default_namespaced(client);
    let same = core.get("e").await.unwrap();
    assert_eq!(same.message.as_deref(), Some("hello"));
    assert_eq!(same.involved_object.kind.as_deref(), Some("Namespace"));
    let selected = kube::api::ListParams::default().fields("involvedObject.kind=Namespace");
    assert_eq!(core.list(&selected).await.unwrap().items.len(), 1);
    let selected = kube::api::ListParams::default().fields("regarding.kind=Pod");
    assert_eq!(events.list(&selected).await.unwrap().items.len(), 0);
    events
        .patch(
            "e",
            &PatchParams::default(),
            &Patch::Merge(json!({"note": "again"})),
        )
        .await
        .unwrap();
    assert_eq!(
        core.get("e").await.unwrap().message.as_deref(),
        Some("again")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_pod_goes_with_a_typed_client() {
    let server = Server::start().await;
    let client = server.admin().await;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::default_namespaced(client.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod = json!({"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = pods
        .create(
            &PostParams::default(),
            &serde_json::from_value(pod).unwrap(),
        )
        .await
        .unwrap();
    let name = made.metadata.name.unwrap();
    pods.evict(&name, &kube::api::EvictParams::default())
        .await
        .unwrap();
    assert!(pods.get_opt(&name).await.unwrap().is_none());
    server.stop().await;
}
