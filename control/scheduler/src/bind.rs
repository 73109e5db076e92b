//! The scheduler's writes: bindings, what volumes need first, conditions and events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Binding, Event, EventSource, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tracing::debug;

use crate::pod::PodInfo;
use crate::queue::Told;
use crate::volumes::{Plan, SELECTED_NODE};

const COMPONENT: &str = "default-scheduler";

/// Binds the pod to the node and says so in an event.
pub(crate) async fn bind(client: Client, pod: &PodInfo, node: &str) -> kube::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Node".into()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let _: Value = api
        .create_subresource("binding", &pod.name, &PostParams::default(), &binding)
        .await?;
    let message = format!("Successfully assigned {} to {node}", pod.path());
    create_event(client, pod, "Normal", "Scheduled", "Binding", &message).await;
    Ok(())
}

/// Reserves the chosen volumes and asks the provisioner for the others. The claims are bound by the controllers; the pod
/// waits for that.
pub(crate) async fn ask_for_volumes(client: Client, plan: &Plan, node: &str) -> kube::Result<()> {
    for ((namespace, name), volume) in &plan.bind {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let claim = claims.get_metadata(name).await?;
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        let current = volumes.get(volume).await?;
        // With the version that was seen: somebody else may have taken it a moment ago.
        let patch = json!({
            "metadata": {
                "resourceVersion": current.metadata.resource_version,
                "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
            },
            "spec": {"claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name,
                "uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version,
            }},
        });
        if current
            .spec
            .as_ref()
            .and_then(|s| s.claim_ref.as_ref())
            .is_none_or(|c| {
                c.namespace.as_deref() == Some(namespace) && c.name.as_deref() == Some(name)
            })
        {
            volumes
                .patch(volume, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
        }
    }
    for (namespace, name) in &plan.provision {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let patch = json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
        claims
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
    }
    Ok(())
}

/// Says that the pod fits nowhere: an event that counts, and the condition when its message is new. Returns what has been
/// told now.
pub(crate) async fn tell_unschedulable(
    client: Client,
    pod: &PodInfo,
    message: String,
    told: Told,
) -> Told {
    let news = told.message != message;
    let event = match told.event.filter(|_| !news) {
        Some((name, count)) => {
            let api: Api<Event> = Api::namespaced(client.clone(), &pod.namespace);
            let count = count.saturating_add(1);
            let patch = json!({"count": count, "lastTimestamp": time(Timestamp::now())});
            match api
                .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Ok(_) => Some((name, count)),
                Err(_) => None,
            }
        }
        None => create_event(
            client.clone(),
            pod,
            "Warning",
            "FailedScheduling",
            "Scheduling",
            &message,
        )
        .await
        .map(|name| (name, 1)),
    };
    if news {
        let mut condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        });
        if told.message.is_empty() {
            condition["lastTransitionTime"] = json!(time(Timestamp::now()));
        }
        let patch = json!({"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}});
        let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
        if let Err(error) = api
            .patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
        {
            debug!(pod = pod.path(), %error, "cannot write the PodScheduled condition");
            return Told {
                message: String::new(),
                event,
            };
        }
    }
    Told { message, event }
}

fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

async fn create_event(
    client: Client,
    pod: &PodInfo,
    kind: &str,
    reason: &str,
    action: &str,
    message: &str,
) -> Option<String> {
    let now = Timestamp::now();
    let name = format!("{}.{:x}", pod.name, now.as_nanosecond());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some(kind.into()),
        reason: Some(reason.into()),
        action: Some(action.into()),
        message: Some(message.chars().take(1024).collect()),
        count: Some(1),
        first_timestamp: Some(time(now)),
        last_timestamp: Some(time(now)),
        event_time: Some(MicroTime(now)),
        source: Some(EventSource {
            component: Some(COMPONENT.into()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.into()),
        reporting_instance: Some(COMPONENT.into()),
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client, &pod.namespace);
    match api.create(&PostParams::default(), &event).await {
        Ok(_) => Some(name),
        Err(error) => {
            debug!(pod = pod.path(), %error, "cannot write an event");
            None
        }
    }
}
