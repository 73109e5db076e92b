//! The service account of a pod: which one, its token as a volume in every container, its image pull secrets.

use std::time::Duration;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::verbs::create::suffix;

/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// As Kubernetes: an hour and a little, by which tokens of this admission are told from others.
const TOKEN_SECONDS: i64 = 3607;

/// Completes a new pod.
pub(crate) async fn complete(api: &Api, namespace: &str, pod: &mut Value) -> Result<(), ApiStatus> {
    if meta::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let name = super::shown_name(pod).to_owned();
    let spec = meta::child_mut(meta::root_mut(pod), "spec");
    let text = |spec: &Map<String, Value>, field: &str| {
        spec.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut account_name = text(spec, "serviceAccountName");
    if account_name.is_empty() {
        account_name = text(spec, "serviceAccount");
    }
    if account_name.is_empty() {
        account_name = "default".to_owned();
    }
    let Some(account) = find(api, namespace, &account_name).await else {
        let why = format!(
            "error looking up service account {namespace}/{account_name}: serviceaccount {account_name:?} not found"
        );
        return Err(ApiStatus::forbidden("", "pods", &name, &why));
    };
    spec.insert("serviceAccountName".into(), account_name.clone().into());
    spec.insert("serviceAccount".into(), account_name.into());
    apply(spec, &account, &format!("{VOLUME_PREFIX}{}", suffix()));
    Ok(())
}

/// How long the account that every namespace gets is waited for: a pod may be made right after its namespace.
const DEFAULT_ATTEMPTS: u32 = 20;
const DEFAULT_PAUSE: Duration = Duration::from_millis(50);

async fn find(api: &Api, namespace: &str, name: &str) -> Option<Value> {
    let look = || api.find("", "serviceaccounts", namespace, name);
    let attempts = if name == "default" {
        DEFAULT_ATTEMPTS
    } else {
        0
    };
    for _ in 0..attempts {
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::sleep(DEFAULT_PAUSE).await;
    }
    look()
}

/// Adds what `account` brings to a pod's specification.
fn apply(spec: &mut Map<String, Value>, account: &Value, volume: &str) {
    let secrets = spec
        .get("imagePullSecrets")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty);
    if secrets
        && let Some(of_account) = account
            .get("imagePullSecrets")
            .filter(|s| s.as_array().is_some_and(|a| !a.is_empty()))
    {
        spec.insert("imagePullSecrets".into(), of_account.clone());
    }
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
    let mount = flag(spec.get("automountServiceAccountToken"))
        .or_else(|| flag(account.get("automountServiceAccountToken")))
        .unwrap_or(true);
    if !mount {
        return;
    }
    // A pod that came with the volume (copied from another) keeps it.
    let present = spec
        .get("volumes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.get("name")?.as_str())
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let name = present.clone().unwrap_or_else(|| volume.to_owned());
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if mounts
                .iter()
                .any(|m| m.get("mountPath").and_then(Value::as_str) == Some(MOUNT_PATH))
            {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            mounted = true;
        }
    }
    if !mounted || present.is_some() {
        return;
    }
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(json!({
            "name": name,
            "projected": {
                "defaultMode": 420,
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                    ]}},
                ],
            },
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_mounted() {
        let check = |spec: Value, account: Value, mounts: usize, volumes: usize| {
            let mut spec = spec.as_object().unwrap().clone();
            apply(&mut spec, &account, "kube-api-access-x");
            let count = |list: &str| spec.get(list).and_then(Value::as_array).map_or(0, Vec::len);
            let mounted: usize = spec["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| {
                    c.get("volumeMounts")
                        .and_then(Value::as_array)
                        .map_or(0, Vec::len)
                })
                .sum();
            assert_eq!((mounted, count("volumes")), (mounts, volumes), "{spec:?}");
        };
        let two = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        check(two.clone(), json!({}), 2, 1);
        check(
            two.clone(),
            json!({"automountServiceAccountToken": false}),
            0,
            0,
        );
        let own = json!({"containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": MOUNT_PATH}]}]});
        check(own, json!({}), 1, 0);
        let mut off = two;
        off["automountServiceAccountToken"] = false.into();
        check(off, json!({"automountServiceAccountToken": true}), 0, 0);
    }
}
