//! Priority and default tolerations of pods. Pure.

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Map, Value, json};

/// How long a pod stays on a node that is not ready or not reachable, unless it says otherwise.
const TOLERATION_SECONDS: i64 = 300;

pub(crate) fn complete(pod: &mut Value) -> Result<(), ApiStatus> {
    let name = meta::name(pod).to_owned();
    let spec = meta::child_mut(meta::root_mut(pod), "spec");
    priority(&name, spec)?;
    tolerate(spec, "node.kubernetes.io/not-ready");
    tolerate(spec, "node.kubernetes.io/unreachable");
    Ok(())
}

/// The two classes that Kubernetes brings along; PriorityClass objects are not served.
fn priority(name: &str, spec: &mut Map<String, Value>) -> Result<(), ApiStatus> {
    let class = spec
        .get("priorityClassName")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let value = match class.as_str() {
        "" => 0,
        "system-cluster-critical" => 2_000_000_000,
        "system-node-critical" => 2_000_001_000,
        other => {
            let why = format!("no PriorityClass with name {other} was found");
            return Err(ApiStatus::forbidden("", "pods", name, &why));
        }
    };
    match spec.get("priority").and_then(Value::as_i64) {
        Some(given) if given != value => {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {value} from the given PriorityClass name"
            );
            return Err(ApiStatus::forbidden("", "pods", name, &why));
        }
        _ => spec.insert("priority".into(), value.into()),
    };
    spec.entry("preemptionPolicy")
        .or_insert_with(|| "PreemptLowerPriority".into());
    Ok(())
}

fn tolerate(spec: &mut Map<String, Value>, key: &str) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else {
        return;
    };
    let covered = tolerations.iter().any(|t| {
        let text = |field: &str| t.get(field).and_then(Value::as_str).unwrap_or_default();
        let key_fits =
            text("key") == key || (text("key").is_empty() && text("operator") == "Exists");
        key_fits && matches!(text("effect"), "" | "NoExecute")
    });
    if !covered {
        tolerations.push(json!({
            "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_completed() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {}});
        complete(&mut pod).unwrap();
        assert_eq!(pod["spec"]["priority"], 0);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        let again = pod.clone();
        complete(&mut pod).unwrap();
        assert_eq!(pod, again);
        let mut all =
            json!({"metadata": {"name": "p"}, "spec": {"tolerations": [{"operator": "Exists"}]}});
        complete(&mut all).unwrap();
        assert_eq!(all["spec"]["tolerations"].as_array().unwrap().len(), 1);
        let mut bad = json!({"metadata": {"name": "p"}, "spec": {"priorityClassName": "x"}});
        assert_eq!(complete(&mut bad).unwrap_err().code, 403);
        let mut critical = json!({"spec": {"priorityClassName": "system-node-critical"}});
        complete(&mut critical).unwrap();
        assert_eq!(critical["spec"]["priority"], 2_000_001_000);
    }
}
