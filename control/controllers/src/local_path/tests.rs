use serde_json::{Value, from_value, json};

use super::*;

fn claim(annotations: Value, spec: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": {"namespace": "ns", "name": "data", "uid": "1", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "resources": {"requests": {"storage": "1Gi"}}}
    });
    claim["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    from_value(claim).unwrap()
}

fn node(annotations: Value) -> Node {
    from_value(json!({"metadata": {"name": "n", "labels": {HOSTNAME: "host"}, "annotations": annotations}})).unwrap()
}

const DIR: &str = "pvc-1_ns_data";

#[test]
fn a_claim_gets_a_directory_on_its_node() {
    let check = |claim: PersistentVolumeClaim, node: Option<Node>, asked: Asked, expect: &str| {
        let got = match provision(
            &claim,
            Some(&class(true)),
            node.as_ref(),
            asked,
            Path::new("/fallback"),
        ) {
            ClaimStep::Create(volume) => volume.spec.unwrap().host_path.unwrap().path,
            other => format!("{other:?}"),
        };
        assert!(got.starts_with(expect), "{got} is not {expect}");
    };
    let ours = || json!({STORAGE_PROVISIONER: PROVISIONER, SELECTED_NODE: "n"});
    let plain = || claim(ours(), json!({}));
    check(claim(json!({}), json!({})), None, Asked::No, "Nothing");
    check(
        claim(ours(), json!({"volumeName": "v"})),
        Some(node(json!({}))),
        Asked::No,
        "Nothing",
    );
    check(
        claim(json!({STORAGE_PROVISIONER: PROVISIONER}), json!({})),
        None,
        Asked::No,
        "Refuse",
    );
    check(
        claim(ours(), json!({"volumeMode": "Block"})),
        None,
        Asked::No,
        "Refuse",
    );
    check(plain(), None, Asked::No, "Reschedule");
    // No helper on the node: the kubelet makes the directory.
    check(
        plain(),
        Some(node(json!({}))),
        Asked::No,
        "/fallback/pvc-1_ns_data",
    );
    check(
        plain(),
        Some(node(json!({node::DIRECTORY: "/base"}))),
        Asked::No,
        "Ask(\"pvc-1_ns_data\")",
    );
    check(
        plain(),
        Some(node(json!({node::DIRECTORY: "/base", node::CREATE: DIR}))),
        Asked::Seen,
        "Nothing",
    );
    check(
        plain(),
        Some(node(
            json!({node::DIRECTORY: "/base", node::CREATE: "pvc-2"}),
        )),
        Asked::Seen,
        "/base/pvc-1_ns_data",
    );
}

#[test]
fn the_volume_is_tied_to_claim_and_node() {
    let claim = claim(json!({}), json!({}));
    let volume = volume(
        &claim,
        &class(true),
        &node(json!({})),
        Path::new("/base/d"),
        "d",
    );
    let expect = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": "pvc-1", "finalizers": [FINALIZER], "annotations": {PROVISIONED_BY: PROVISIONER, NODE: "n/d"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": CLASS, "volumeMode": "Filesystem",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "data", "uid": "1"},
            "hostPath": {"path": "/base/d", "type": "DirectoryOrCreate"}, "persistentVolumeReclaimPolicy": "Delete",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": ["host"]}]}]}}
        }
    });
    assert_eq!(serde_json::to_value(volume).unwrap(), expect);
}

#[test]
fn a_released_volume_goes_with_its_directory() {
    let volume = |phase: &str, policy: &str, deleting: bool, held: bool| -> PersistentVolume {
        let finalizers = if held { json!([FINALIZER]) } else { json!([]) };
        let deleted = deleting.then_some("2026-01-01T00:00:00Z");
        from_value(json!({
            "metadata": {"name": "v", "finalizers": finalizers, "deletionTimestamp": deleted,
                "annotations": {PROVISIONED_BY: PROVISIONER, NODE: "n/pvc-1_ns_data"}},
            "spec": {"persistentVolumeReclaimPolicy": policy}, "status": {"phase": phase}
        }))
        .unwrap()
    };
    let check = |volume: PersistentVolume, node: Option<Value>, asked: Asked, expect: &str| {
        let node = node.map(self::node);
        assert_eq!(
            format!("{:?}", reclaim(&volume, node.as_ref(), asked)),
            expect,
            "{volume:?}"
        );
    };
    let helper = || Some(json!({node::DIRECTORY: "/base"}));
    let busy = || Some(json!({node::DIRECTORY: "/base", node::REMOVE: DIR}));
    let (ask, go, gone) = (
        "Ask { node: \"n\", name: \"pvc-1_ns_data\" }",
        "LetGo { delete: true }",
        "LetGo { delete: false }",
    );
    check(
        volume("Bound", "Delete", false, true),
        helper(),
        Asked::No,
        "Nothing",
    );
    check(
        volume("Bound", "Delete", true, true),
        helper(),
        Asked::No,
        "Nothing",
    );
    check(
        volume("Released", "Retain", false, true),
        helper(),
        Asked::No,
        "Nothing",
    );
    check(
        volume("Released", "Retain", true, true),
        helper(),
        Asked::No,
        gone,
    );
    check(
        volume("Released", "Delete", false, true),
        helper(),
        Asked::No,
        ask,
    );
    check(
        volume("Released", "Delete", false, true),
        busy(),
        Asked::Seen,
        "Nothing",
    );
    check(
        volume("Released", "Delete", false, true),
        helper(),
        Asked::Seen,
        go,
    );
    check(
        volume("Released", "Delete", true, true),
        helper(),
        Asked::Seen,
        gone,
    );
    check(
        volume("Released", "Delete", false, false),
        helper(),
        Asked::Seen,
        go,
    );
    check(
        volume("Released", "Delete", true, false),
        helper(),
        Asked::Seen,
        "Nothing",
    );
    check(
        volume("Released", "Delete", false, true),
        None,
        Asked::No,
        go,
    );
    check(
        volume("Released", "Delete", false, true),
        Some(json!({})),
        Asked::No,
        "Refuse",
    );
}
