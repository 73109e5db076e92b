//! What runs in the machine whose power is cut: pods that last, and pods that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hyper::{Method, StatusCode};
use minicloud_tests::api::Credentials;
use serde_json::{Value, json};

/// Where pods are.
pub const PODS: &str = "/api/v1/namespaces/default/pods";

/// What a pod does when it starts: it tells the outside what `say` prints.
fn pod_spec(name: &str, say: &str, data: Option<Value>) -> Value {
    let command =
        format!("({say}) > /soak/.{name}; mv /soak/.{name} /soak/{name}; exec sleep 1000000");
    let mut mounts = vec![json!({"name": "soak", "mountPath": "/soak"})];
    let mut volumes = vec![
        json!({"name": "soak", "hostPath": {"path": "/run/soak", "type": "DirectoryOrCreate"}}),
    ];
    if let Some(data) = data {
        mounts.push(json!({"name": "data", "mountPath": "/data"}));
        volumes.push(data);
    }
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main",
            "image": "minicloud.local/busybox:1",
            "command": ["sh", "-c", command],
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    })
}

/// What runs all the time: two replicas, and a pod that counts its own starts on a volume.
pub fn workload() -> [(&'static str, Value); 3] {
    let spec = pod_spec("$HOSTNAME", "echo up", None);
    let counter = pod_spec(
        "counter",
        "cat /proc/sys/kernel/random/boot_id >> /data/starts; sync; wc -l < /data/starts",
        Some(json!({"name": "data", "persistentVolumeClaim": {"claimName": "counter"}})),
    );
    [
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "steady"}, "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "steady"}},
                "template": {"metadata": {"labels": {"app": "steady"}}, "spec": spec}}}),
        ),
        (
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "counter"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}),
        ),
        (
            PODS,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "counter"}, "spec": counter}),
        ),
    ]
}

/// What was acknowledged of the pods that come and go.
#[derive(Debug, Default)]
pub struct Churn {
    pub there: BTreeSet<String>,
    pub gone: BTreeSet<String>,
    pub next: u32,
}

/// Creates pods and deletes the oldest, until the connection breaks.
pub async fn churn(credentials: Credentials, mut known: Churn) -> Churn {
    let Ok(mut connection) = credentials.connect().await else {
        return known;
    };
    loop {
        known.next += 1;
        let name = format!("churn-{:04}", known.next);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(&name, "echo up", None)});
        match connection
            .request(Method::POST, PODS, pod.to_string().into())
            .await
        {
            Ok((StatusCode::CREATED, _)) => known.there.insert(name),
            _ => return known,
        };
        if known.there.len() > 3 {
            let Some(oldest) = known.there.pop_first() else {
                continue;
            };
            match connection
                .request(Method::DELETE, &format!("{PODS}/{oldest}"), "".into())
                .await
            {
                Ok((status, _)) if status.is_success() => known.gone.insert(oldest),
                // Sent and not answered: either is right.
                _ => return known,
            };
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

/// Every pod by name: `None` while it does not run and is not ready.
pub async fn pods(credentials: &Credentials) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let get = async { credentials.connect().await?.get(PODS).await };
    let list = tokio::time::timeout(Duration::from_secs(20), get).await??;
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array()?;
        let ready = conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        (ready
            && pod["status"]["phase"] == "Running"
            && pod["metadata"]["deletionTimestamp"].is_null())
        .then(|| {
            pod["status"]["containerStatuses"][0]["containerID"]
                .as_str()
                .map(str::to_owned)
        })
        .flatten()
    };
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .iter()
        .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?.to_owned(), ready(pod))))
        .collect())
}

/// Prints the states of the pods and what happened to them.
pub async fn tell_why(credentials: &Credentials) {
    let Ok(mut connection) = credentials.connect().await else {
        return;
    };
    for path in [PODS, "/api/v1/namespaces/default/events"] {
        let list = connection.get(path).await.unwrap_or_default();
        for item in list["items"].as_array().into_iter().flatten() {
            println!(
                "{} {} {} {} {}",
                item["metadata"]["name"],
                item["metadata"]["deletionTimestamp"],
                item["status"],
                item["reason"],
                item["message"]
            );
        }
    }
}
