//! Claims from their first consumer to their directory's end.

use std::os::unix::fs::PermissionsExt;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::{Cluster, create, delete, until, until_gone};

fn consumer(name: &str, claim: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "containers": [{"name": "c", "image": "one", "volumeMounts": [{"name": "v", "mountPath": "/data"}]}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_path_volume_lives_and_dies_with_its_claim() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let base = cluster.dir.path().join("volumes");
    let node = minicloud_controllers::run_node_provisioner(
        cluster.node_client("n1").await,
        "n1".into(),
        base.clone(),
        cluster.shutdown(),
    );
    tokio::spawn(node);
    let classes = cluster.all::<StorageClass>();
    until(&classes, "local-path", "there is a default class", |c| {
        c["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    })
    .await;
    let (claims, pods) = (cluster.api::<PersistentVolumeClaim>(), cluster.api::<Pod>());
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    create(&claims, claim).await;
    until(
        &claims,
        "data",
        "the claim waits with the default class",
        |c| c["spec"]["storageClassName"] == "local-path" && c["status"]["phase"] == "Pending",
    )
    .await;
    create(&pods, consumer("first", "data")).await;
    until(&pods, "first", "the pod runs", |p| {
        p["status"]["phase"] == "Running"
    })
    .await;
    let bound = until(&claims, "data", "the claim is bound", |c| {
        c["status"]["phase"] == "Bound"
    })
    .await;
    let volumes = cluster.all::<PersistentVolume>();
    let name = bound["spec"]["volumeName"].as_str().unwrap().to_owned();
    let volume = until(&volumes, &name, "the volume is bound", |v| {
        v["status"]["phase"] == "Bound"
    })
    .await;
    let path = std::path::PathBuf::from(volume["spec"]["hostPath"]["path"].as_str().unwrap());
    assert!(path.starts_with(&base), "{path:?}");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o777
    );
    std::fs::write(path.join("file"), "kept").unwrap();
    // The claim stays while a pod uses it.
    delete(&claims, "data", &DeleteParams::default()).await;
    let held = until(&claims, "data", "the claim is being deleted", |c| {
        c["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    assert!(
        held["metadata"]["finalizers"]
            .to_string()
            .contains("kubernetes.io/pvc-protection"),
        "{held}"
    );
    assert!(path.join("file").exists());
    delete(&pods, "first", &DeleteParams::default()).await;
    until_gone(&claims, "data").await;
    until_gone(&volumes, &name).await;
    assert!(!path.exists());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_made_by_hand_is_bound_released_and_kept() {
    let cluster = Cluster::start().await;
    cluster.node("n1", "8").await;
    let volumes = cluster.all::<PersistentVolume>();
    let volume = json!({"metadata": {"name": "disk"}, "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "manual", "hostPath": {"path": "/mnt/disk"}}});
    create(&volumes, volume).await;
    until(&volumes, "disk", "the volume is available", |v| {
        v["status"]["phase"] == "Available"
    })
    .await;
    let claims = cluster.api::<PersistentVolumeClaim>();
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
        "resources": {"requests": {"storage": "1Gi"}}}});
    create(&claims, claim).await;
    let bound = until(&claims, "data", "the claim is bound", |c| {
        c["status"]["phase"] == "Bound"
    })
    .await;
    assert_eq!(
        (
            bound["spec"]["volumeName"].as_str(),
            &bound["status"]["capacity"]["storage"]
        ),
        (Some("disk"), &json!("5Gi"))
    );
    create(&cluster.api::<Pod>(), consumer("user", "data")).await;
    until(&cluster.api::<Pod>(), "user", "the pod runs", |p| {
        p["status"]["phase"] == "Running"
    })
    .await;
    delete(&cluster.api::<Pod>(), "user", &DeleteParams::default()).await;
    delete(&claims, "data", &DeleteParams::default()).await;
    until_gone(&claims, "data").await;
    until(&volumes, "disk", "the volume is released", |v| {
        v["status"]["phase"] == "Released"
    })
    .await;
    delete(&volumes, "disk", &DeleteParams::default()).await;
    until_gone(&volumes, "disk").await;
    cluster.stop().await;
}
