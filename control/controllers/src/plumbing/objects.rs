//! Small questions to typed objects, answered once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, ObjectMeta, OwnerReference, Time,
};
use kube::Resource;
use minicloud_api::selector::{self, Requirement};

/// Labels or annotations.
pub(crate) type Labels = BTreeMap<String, String>;

/// The present in whole seconds, as Kubernetes writes it.
pub(crate) fn now() -> Time {
    Time(seconds(Timestamp::now()))
}

/// `at` without its fraction of a second.
pub(crate) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A typed selector in the form that matches. One that cannot be read selects nothing: the API server refuses those, and
/// controlling too little is safer than too much.
pub(crate) fn selector(selector: &LabelSelector) -> Option<selector::LabelSelector> {
    let mut all: Vec<Requirement> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(k, v)| Requirement::In(k.clone(), vec![v.clone()]))
        .collect();
    for e in selector.match_expressions.iter().flatten() {
        let key = e.key.clone();
        let values = e.values.clone().unwrap_or_default();
        all.push(match e.operator.as_str() {
            "In" => Requirement::In(key, values),
            "NotIn" => Requirement::NotIn(key, values),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::DoesNotExist(key),
            _ => return None,
        });
    }
    Some(selector::LabelSelector::new(all))
}

/// True when `labels` satisfy `selector`.
pub(crate) fn selects(selector: &selector::LabelSelector, labels: Option<&Labels>) -> bool {
    selector.matches(|key| Some(labels?.get(key)?.as_str()))
}

/// The owner that controls the object.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// True when the object's controller is the one with this UID.
pub(crate) fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller(meta).is_some_and(|owner| owner.uid == uid)
}

/// A reference that makes `owner` the controller of what carries it.
pub(crate) fn controlled_by<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    owner
        .controller_owner_ref(&())
        .map(|reference| OwnerReference {
            block_owner_deletion: Some(true),
            ..reference
        })
}

/// A reference to an object, for events.
pub(crate) fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    object.object_ref(&())
}

/// An annotation's value.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    Some(meta.annotations.as_ref()?.get(key)?.as_str())
}

/// A label's value.
pub(crate) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    Some(meta.labels.as_ref()?.get(key)?.as_str())
}

/// UID, empty when there is none.
pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// True when deletion has begun.
pub(crate) fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// Creation in order of age: what has no time is the newest.
pub(crate) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |t| t.0)
}

/// A pod's condition.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == kind)
}

/// `status.phase`, empty when there is none.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or_default()
}

/// True when the pod has run to its end.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// True when the pod counts for its controller: neither finished nor being deleted.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_deleting(&pod.metadata)
}

/// True when the pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod_condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// When a ready pod becomes available: none when it is not ready, zero or less when it is available already.
pub(crate) fn available_in(
    pod: &Pod,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Option<SignedDuration> {
    let ready = pod_condition(pod, "Ready").filter(|c| c.status == "True")?;
    if min_ready_seconds == 0 {
        return Some(SignedDuration::ZERO);
    }
    let since = ready.last_transition_time.as_ref()?.0;
    Some(SignedDuration::from_secs(i64::from(min_ready_seconds)) - now.duration_since(since))
}

/// True when the pod has been ready for long enough.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready_seconds, now).is_some_and(|left| left <= SignedDuration::ZERO)
}

/// The node that the pod is bound to, empty when it is not.
pub(crate) fn node_name(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|s| s.node_name.as_deref())
        .unwrap_or_default()
}

/// Five letters that follow from the parts, in the alphabet of Kubernetes' generated names. For names that must come out the
/// same when a stale cache makes a controller create a thing twice.
pub(crate) fn short_hash(parts: &[&str]) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The high bits of FNV are the better mixed ones.
    let mut rest = hash ^ (hash >> 32);
    let mut letter = || {
        let index = usize::try_from(rest % 27).unwrap_or(0);
        rest /= 27;
        char::from(ALPHABET[index])
    };
    (0..5).map(|_| letter()).collect()
}
