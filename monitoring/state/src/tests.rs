//! Objects as the API lists them, and the samples that they give.

mod pods;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Compares the samples of one object, without HELP and TYPE; long ones have a line for each label.
///
/// Left out are `common`, the labels that all of them have, and labels without a value, which are none to Prometheus.
fn check(kind: Kind, object: Value, common: &str, expected: Expect) {
    expected.assert_eq(&samples(kind, object, common).concat());
}

fn samples(kind: Kind, object: Value, common: &str) -> Vec<String> {
    let mut out = Families::default();
    write(kind, &[object], &mut out);
    let text = out.text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| shown(line, common)).collect()
}

fn shown(sample: &str, common: &str) -> String {
    let (name, rest) = sample.split_once('{').unwrap();
    let (labels, value) = rest.rsplit_once("} ").unwrap();
    let labels = labels.strip_prefix(common).expect("the common labels");
    // Names and values in turn: no value here has a quotation mark.
    let parts: Vec<_> = labels.split_terminator('"').collect();
    let full = parts.chunks(2).filter(|label| !label[1].is_empty());
    let label = |label: &[&str]| format!("{}\"{}\"", label[0].trim_matches(','), label[1]);
    let labels: Vec<_> = full.map(label).collect();
    let line = format!("{name}{{{}}} {value}\n", labels.join(","));
    if line.len() <= 100 {
        return line;
    }
    let labels: String = labels
        .iter()
        .map(|label| format!("    {label},\n"))
        .collect();
    format!("{name}{{\n{labels}}} {value}\n")
}

#[test]
fn a_node_with_taints_and_pressure() {
    let node = json!({
        "metadata": {
            "name": "edge-1",
            "creationTimestamp": "2026-11-01T08:00:00Z",
            "labels": {"node-role.kubernetes.io/control-plane": "true", "kubernetes.io/arch": "arm64"}
        },
        "spec": {
            "podCIDR": "10.42.0.0/24",
            "providerID": "minicloud://edge-1",
            "unschedulable": true,
            "taints": [
                {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
                {"key": "dedicated", "value": "gpu", "effect": "NoExecute"}
            ]
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "192.168.1.10"},
                {"type": "Hostname", "address": "edge-1"}
            ],
            "allocatable": {"cpu": "3800m", "memory": "3Gi", "pods": "110"},
            "capacity": {
                "cpu": "4", "memory": "4015380Ki", "ephemeral-storage": "29Gi", "hugepages-2Mi": "0", "pods": "110",
                "nvidia.com/gpu": "1", "odd": "1"
            },
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "MemoryPressure", "status": "True"},
                {"type": "DiskPressure", "status": "Unknown"}
            ],
            "nodeInfo": {
                "kernelVersion": "6.1.0", "osImage": "Debian GNU/Linux 12", "containerRuntimeVersion": "containerd://1.6.20",
                "kubeletVersion": "v1.36.0", "kubeProxyVersion": "", "systemUUID": "4c4c4544"
            }
        }
    });
    check(
        Kind::Node,
        node,
        "node=\"edge-1\"",
        expect![[r#"
        kube_node_created{} 1793520000
        kube_node_info{
            kernel_version="6.1.0",
            os_image="Debian GNU/Linux 12",
            container_runtime_version="containerd://1.6.20",
            kubelet_version="v1.36.0",
            provider_id="minicloud://edge-1",
            pod_cidr="10.42.0.0/24",
            system_uuid="4c4c4544",
            internal_ip="192.168.1.10",
        } 1
        kube_node_role{role="control-plane"} 1
        kube_node_spec_taint{key="node.kubernetes.io/unschedulable",effect="NoSchedule"} 1
        kube_node_spec_taint{key="dedicated",value="gpu",effect="NoExecute"} 1
        kube_node_spec_unschedulable{} 1
        kube_node_status_addresses{type="InternalIP",address="192.168.1.10"} 1
        kube_node_status_addresses{type="Hostname",address="edge-1"} 1
        kube_node_status_allocatable{resource="cpu",unit="core"} 3.8
        kube_node_status_allocatable{resource="memory",unit="byte"} 3221225472
        kube_node_status_allocatable{resource="pods",unit="integer"} 110
        kube_node_status_capacity{resource="cpu",unit="core"} 4
        kube_node_status_capacity{resource="ephemeral_storage",unit="byte"} 31138512896
        kube_node_status_capacity{resource="hugepages_2Mi",unit="byte"} 0
        kube_node_status_capacity{resource="memory",unit="byte"} 4111749120
        kube_node_status_capacity{resource="nvidia_com_gpu",unit="integer"} 1
        kube_node_status_capacity{resource="pods",unit="integer"} 110
        kube_node_status_condition{condition="Ready",status="true"} 1
        kube_node_status_condition{condition="Ready",status="false"} 0
        kube_node_status_condition{condition="Ready",status="unknown"} 0
        kube_node_status_condition{condition="MemoryPressure",status="true"} 1
        kube_node_status_condition{condition="MemoryPressure",status="false"} 0
        kube_node_status_condition{condition="MemoryPressure",status="unknown"} 0
        kube_node_status_condition{condition="DiskPressure",status="true"} 0
        kube_node_status_condition{condition="DiskPressure",status="false"} 0
        kube_node_status_condition{condition="DiskPressure",status="unknown"} 1
    "#]],
    );
}

#[test]
fn a_deployment_in_a_rollout() {
    let deployment = json!({
        "metadata": {"namespace": "shop", "name": "web", "generation": 7, "creationTimestamp": "2026-11-01T08:00:00Z"},
        "spec": {
            "replicas": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
        },
        "status": {
            "observedGeneration": 7, "replicas": 7, "updatedReplicas": 3, "readyReplicas": 4, "availableReplicas": 4,
            "unavailableReplicas": 3,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
                {"type": "Ours", "status": "False", "reason": "pod web-1 is late"}
            ]
        }
    });
    check(
        Kind::Deployment,
        deployment,
        "namespace=\"shop\",deployment=\"web\"",
        expect![[r#"
            kube_deployment_created{} 1793520000
            kube_deployment_metadata_generation{} 7
            kube_deployment_spec_paused{} 0
            kube_deployment_spec_replicas{} 5
            kube_deployment_spec_strategy_rollingupdate_max_surge{} 2
            kube_deployment_spec_strategy_rollingupdate_max_unavailable{} 1
            kube_deployment_status_condition{
                reason="MinimumReplicasAvailable",
                condition="Available",
                status="true",
            } 1
            kube_deployment_status_condition{
                reason="MinimumReplicasAvailable",
                condition="Available",
                status="false",
            } 0
            kube_deployment_status_condition{
                reason="MinimumReplicasAvailable",
                condition="Available",
                status="unknown",
            } 0
            kube_deployment_status_condition{
                reason="ReplicaSetUpdated",
                condition="Progressing",
                status="true",
            } 1
            kube_deployment_status_condition{
                reason="ReplicaSetUpdated",
                condition="Progressing",
                status="false",
            } 0
            kube_deployment_status_condition{
                reason="ReplicaSetUpdated",
                condition="Progressing",
                status="unknown",
            } 0
            kube_deployment_status_condition{reason="unknown",condition="Ours",status="true"} 0
            kube_deployment_status_condition{reason="unknown",condition="Ours",status="false"} 1
            kube_deployment_status_condition{reason="unknown",condition="Ours",status="unknown"} 0
            kube_deployment_status_observed_generation{} 7
            kube_deployment_status_replicas{} 7
            kube_deployment_status_replicas_available{} 4
            kube_deployment_status_replicas_ready{} 4
            kube_deployment_status_replicas_unavailable{} 3
            kube_deployment_status_replicas_updated{} 3
        "#]],
    );
}

#[test]
fn a_new_deployment_has_zeros() {
    let deployment = json!({
        "metadata": {"namespace": "shop", "name": "web", "generation": 1},
        "spec": {"strategy": {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}, "paused": true}
    });
    check(
        Kind::Deployment,
        deployment,
        "namespace=\"shop\",deployment=\"web\"",
        expect![[r#"
            kube_deployment_metadata_generation{} 1
            kube_deployment_spec_paused{} 1
            kube_deployment_spec_replicas{} 1
            kube_deployment_spec_strategy_rollingupdate_max_surge{} 2
            kube_deployment_spec_strategy_rollingupdate_max_unavailable{} 0
            kube_deployment_status_observed_generation{} 0
            kube_deployment_status_replicas{} 0
            kube_deployment_status_replicas_available{} 0
            kube_deployment_status_replicas_ready{} 0
            kube_deployment_status_replicas_unavailable{} 0
            kube_deployment_status_replicas_updated{} 0
        "#]],
    );
}

#[test]
fn a_replica_set_and_its_owner() {
    let set = json!({
        "metadata": {
            "namespace": "shop", "name": "web-5d", "generation": 2, "creationTimestamp": "2026-11-01T08:00:00Z",
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]
        },
        "spec": {"replicas": 3},
        "status": {"replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 1, "observedGeneration": 2}
    });
    check(
        Kind::ReplicaSet,
        set,
        "namespace=\"shop\",replicaset=\"web-5d\"",
        expect![[r#"
            kube_replicaset_created{} 1793520000
            kube_replicaset_metadata_generation{} 2
            kube_replicaset_owner{owner_kind="Deployment",owner_name="web",owner_is_controller="true"} 1
            kube_replicaset_spec_replicas{} 3
            kube_replicaset_status_fully_labeled_replicas{} 3
            kube_replicaset_status_observed_generation{} 2
            kube_replicaset_status_ready_replicas{} 1
            kube_replicaset_status_replicas{} 3
        "#]],
    );
}

#[test]
fn services() {
    let service = json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u1", "creationTimestamp": "2026-11-01T08:00:00Z"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.43.0.7", "externalTrafficPolicy": "Local",
            "externalIPs": ["192.0.2.7"]
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "web.example"}]}}
    });
    check(
        Kind::Service,
        service,
        "namespace=\"shop\",service=\"web\",uid=\"u1\"",
        expect![[r#"
            kube_service_created{} 1793520000
            kube_service_info{cluster_ip="10.43.0.7",external_traffic_policy="Local"} 1
            kube_service_spec_external_ip{external_ip="192.0.2.7"} 1
            kube_service_spec_type{type="LoadBalancer"} 1
            kube_service_status_load_balancer_ingress{ip="192.0.2.1"} 1
            kube_service_status_load_balancer_ingress{hostname="web.example"} 1
        "#]],
    );
}

#[test]
fn a_namespace_that_goes() {
    let namespace = json!({
        "metadata": {"name": "old", "creationTimestamp": "2026-11-01T08:00:00Z"},
        "status": {
            "phase": "Terminating",
            "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain"}]
        }
    });
    check(
        Kind::Namespace,
        namespace,
        "namespace=\"old\"",
        expect![[r#"
            kube_namespace_created{} 1793520000
            kube_namespace_status_condition{condition="NamespaceContentRemaining",status="true"} 1
            kube_namespace_status_condition{condition="NamespaceContentRemaining",status="false"} 0
            kube_namespace_status_condition{condition="NamespaceContentRemaining",status="unknown"} 0
            kube_namespace_status_phase{phase="Active"} 0
            kube_namespace_status_phase{phase="Terminating"} 1
        "#]],
    );
}

#[test]
fn volumes_and_claims() {
    let volume = json!({
        "metadata": {"name": "pv-1", "creationTimestamp": "2026-11-01T08:00:00Z"},
        "spec": {
            "capacity": {"storage": "10Gi"}, "storageClassName": "local-path", "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": "/var/lib/x", "type": "DirectoryOrCreate"},
            "fc": {"wwids": ["w1", "w2"], "lun": 0},
            "claimRef": {"namespace": "shop", "name": "data"}
        },
        "status": {"phase": "Bound"}
    });
    check(
        Kind::PersistentVolume,
        volume,
        "persistentvolume=\"pv-1\"",
        expect![[r#"
            kube_persistentvolume_capacity_bytes{} 10737418240
            kube_persistentvolume_claim_ref{name="data",claim_namespace="shop"} 1
            kube_persistentvolume_created{} 1793520000
            kube_persistentvolume_info{
                storageclass="local-path",
                fc_wwids="w1,w2",
                fc_lun="0",
                host_path="/var/lib/x",
                host_path_type="DirectoryOrCreate",
                reclaim_policy="Delete",
            } 1
            kube_persistentvolume_status_phase{phase="Pending"} 0
            kube_persistentvolume_status_phase{phase="Available"} 0
            kube_persistentvolume_status_phase{phase="Bound"} 1
            kube_persistentvolume_status_phase{phase="Released"} 0
            kube_persistentvolume_status_phase{phase="Failed"} 0
            kube_persistentvolume_volume_mode{volumemode="Filesystem"} 1
        "#]],
    );
    let claim = json!({
        "metadata": {"namespace": "shop", "name": "data", "deletionTimestamp": "2026-11-02T08:00:00.5Z"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "volumeName": "pv-1",
            "storageClassName": "local-path", "volumeMode": "Filesystem"
        },
        "status": {"phase": "Bound", "conditions": [{"type": "Resizing", "status": "False"}]}
    });
    let common = "namespace=\"shop\",persistentvolumeclaim=\"data\"";
    check(
        Kind::PersistentVolumeClaim,
        claim,
        common,
        expect![[r#"
        kube_persistentvolumeclaim_access_mode{access_mode="ReadWriteOnce"} 1
        kube_persistentvolumeclaim_deletion_timestamp{} 1793606400
        kube_persistentvolumeclaim_info{
            storageclass="local-path",
            volumename="pv-1",
            volumemode="Filesystem",
        } 1
        kube_persistentvolumeclaim_resource_requests_storage_bytes{} 5368709120
        kube_persistentvolumeclaim_status_condition{condition="Resizing",status="true"} 0
        kube_persistentvolumeclaim_status_condition{condition="Resizing",status="false"} 1
        kube_persistentvolumeclaim_status_condition{condition="Resizing",status="unknown"} 0
        kube_persistentvolumeclaim_status_phase{phase="Lost"} 0
        kube_persistentvolumeclaim_status_phase{phase="Bound"} 1
        kube_persistentvolumeclaim_status_phase{phase="Pending"} 0
    "#]],
    );
    let annotated = json!({
        "metadata": {"name": "data", "annotations": {"volume.beta.kubernetes.io/storage-class": "slow"}},
        "spec": {"storageClassName": "fast"}
    });
    check(
        Kind::PersistentVolumeClaim,
        annotated,
        "",
        expect![[r#"
        kube_persistentvolumeclaim_info{persistentvolumeclaim="data",storageclass="slow"} 1
    "#]],
    );
    let class =
        json!({"metadata": {"name": "local-path"}, "provisioner": "minicloud.io/local-path"});
    check(
        Kind::StorageClass,
        class,
        "",
        expect![[r#"
        kube_storageclass_info{
            storageclass="local-path",
            provisioner="minicloud.io/local-path",
            reclaim_policy="Delete",
            volume_binding_mode="Immediate",
        } 1
    "#]],
    );
}

#[test]
fn config_maps_and_secrets_tell_nothing_of_their_content() {
    let meta = json!({
        "namespace": "shop", "name": "db", "resourceVersion": "4711", "creationTimestamp": "2026-11-01T08:00:00Z"
    });
    let map = json!({"metadata": meta, "data": {"key": "hidden"}});
    check(
        Kind::ConfigMap,
        map,
        "",
        expect![[r#"
        kube_configmap_created{namespace="shop",configmap="db"} 1793520000
        kube_configmap_info{namespace="shop",configmap="db"} 1
        kube_configmap_metadata_resource_version{namespace="shop",configmap="db"} 4711
    "#]],
    );
    let secret = json!({"metadata": meta, "type": "Opaque", "data": {"key": "aGlkZGVu"}});
    check(
        Kind::Secret,
        secret,
        "",
        expect![[r#"
        kube_secret_created{namespace="shop",secret="db"} 1793520000
        kube_secret_info{namespace="shop",secret="db"} 1
        kube_secret_metadata_resource_version{namespace="shop",secret="db"} 4711
        kube_secret_type{namespace="shop",secret="db",type="Opaque"} 1
    "#]],
    );
}

#[test]
fn leases_of_one_name_in_two_namespaces_are_two_series() {
    let lease = |namespace: &str| {
        json!({
            "metadata": {
                "namespace": namespace, "name": "edge-1", "ownerReferences": [{"kind": "Node", "name": "edge-1"}]
            },
            "spec": {"holderIdentity": "edge-1", "renewTime": "2026-11-01T08:00:00.123456Z"}
        })
    };
    let both =
        ["kube-node-lease", "other"].map(|namespace| samples(Kind::Lease, lease(namespace), ""));
    expect![[r#"
        kube_lease_owner{
            lease="edge-1",
            namespace="kube-node-lease",
            owner_kind="Node",
            owner_name="edge-1",
            lease_holder="edge-1",
        } 1
        kube_lease_renew_time{lease="edge-1",namespace="kube-node-lease"} 1793520000
        kube_lease_owner{
            lease="edge-1",
            namespace="other",
            owner_kind="Node",
            owner_name="edge-1",
            lease_holder="edge-1",
        } 1
        kube_lease_renew_time{lease="edge-1",namespace="other"} 1793520000
    "#]]
    .assert_eq(&both.concat().concat());
}

#[test]
fn endpoints_and_slices() {
    let endpoints = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "subsets": [{
            "addresses": [{"ip": "10.42.0.5"}], "notReadyAddresses": [{"ip": "10.42.0.6"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
        }]
    });
    check(
        Kind::Endpoints,
        endpoints,
        "namespace=\"shop\",endpoint=\"web\"",
        expect![[r#"
            kube_endpoint_address{
                port_protocol="TCP",
                port_number="8080",
                port_name="http",
                ip="10.42.0.5",
                ready="true",
            } 1
            kube_endpoint_address{
                port_protocol="TCP",
                port_number="8080",
                port_name="http",
                ip="10.42.0.6",
                ready="false",
            } 1
            kube_endpoint_info{} 1
        "#]],
    );
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "web-x"},
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.42.0.5"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "edge-1", "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"}
        }],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]
    });
    check(
        Kind::EndpointSlice,
        slice,
        "endpointslice=\"web-x\",namespace=\"shop\"",
        expect![[r#"
            kube_endpointslice_endpoints{
                ready="true",
                serving="true",
                terminating="false",
                targetref_kind="Pod",
                targetref_name="web-1",
                targetref_namespace="shop",
                endpoint_nodename="edge-1",
                address="10.42.0.5",
            } 1
            kube_endpointslice_info{addresstype="IPv4"} 1
            kube_endpointslice_ports{port_name="http",port_protocol="TCP",port_number="8080"} 1
        "#]],
    );
}

/// Any JSON, with the field names of real objects, so that it reaches what reads them.
fn any_json() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        Just("True"),
        Just("Running"),
        Just("PodScheduled"),
        Just("2026-11-01T08:00:00Z"),
        Just("25%"),
        Just("5Gi"),
        Just("9999-99-99T99:99:99Z"),
        Just("1e999"),
        Just("\"\\\n\u{0}é")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let fields = prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "conditions",
        "containers",
        "containerStatuses",
        "initContainers",
        "resources",
        "limits",
        "requests",
        "cpu",
        "state",
        "lastState",
        "terminated",
        "waiting",
        "reason",
        "type",
        "name",
        "labels",
        "node-role.kubernetes.io/x",
        "ownerReferences",
        "strategy",
        "rollingUpdate",
        "maxSurge",
        "replicas",
        "capacity",
        "storage",
        "subsets",
        "addresses",
        "ports",
        "endpoints",
        "volumes",
        "persistentVolumeClaim",
        "claimName",
        "taints",
    ]);
    leaf.prop_recursive(6, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((fields.clone(), inner), 0..8).prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::from(pairs.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// One sample per line: name, labels with escaped values, a number.
fn is_sample(line: &str) -> bool {
    let Some((name, rest)) = line.split_once('{') else {
        return false;
    };
    let Some((labels, value)) = rest.rsplit_once("} ") else {
        return false;
    };
    let mut inside = false;
    let mut escaped = false;
    for c in labels.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
    }
    name.starts_with("kube_")
        && !inside
        && !escaped
        && value.parse::<f64>().is_ok_and(f64::is_finite)
}

proptest! {
    #[test]
    fn garbage_never_panics_and_the_text_stays_text(mut object in any_json(), name in "\\PC{0,20}") {
        if let Some(object) = object.as_object_mut() {
            let meta = object.entry("metadata").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                meta.insert("name".to_owned(), Value::from(name));
            }
        }
        for kind in Kind::ALL {
            let mut out = Families::default();
            write(kind, std::slice::from_ref(&object), &mut out);
            let text = out.text();
            for line in text.split_terminator('\n') {
                prop_assert!(line.starts_with("# HELP kube_") || line.starts_with("# TYPE kube_") || is_sample(line), "{line:?}");
            }
            let mut series: Vec<_> = text.split_terminator('\n').filter_map(|line| line.rsplit_once(' ')).collect();
            let all = series.len();
            series.sort_unstable();
            series.dedup_by_key(|(series, _)| *series);
            prop_assert_eq!(all, series.len());
        }
    }
}

#[test]
fn every_kind_is_once_in_the_table() {
    let mut resources = Kind::ALL.map(Kind::resource);
    resources.sort_unstable();
    assert!(resources.windows(2).all(|pair| pair[0] != pair[1]));
}
