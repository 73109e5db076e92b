//! How an object goes: at once, after a grace period, or when its finalizers have run. Pure; the rules are those of
//! Kubernetes' `rest.BeforeDelete` and its generic store.

use jiff::{SignedDuration, Timestamp};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::Value;

use super::delete_options::{DeleteOptions, Propagation};
use crate::registry::Resource;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What to do about an object that is to be deleted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// It is on its way already: answer with it as it is.
    Leave,
    /// Store it like this; it goes later.
    Mark(Value),
    /// Remove it; this is its last state.
    Remove(Value),
}

/// Checks the preconditions.
pub(crate) fn check(
    resource: &Resource,
    old: &Value,
    options: &DeleteOptions,
) -> Result<(), ApiStatus> {
    let (kind, name) = (resource.kind.as_str(), meta::name(old));
    let (uid, version) = (meta::uid(old), meta::resource_version(old));
    // Namespaces and definitions delete in their own ways, and say this in theirs.
    let own = resource.is("", "namespaces") || resource.group == "apiextensions.k8s.io";
    let failed = |generic: String, what: &str, wanted: &str, present: &str| {
        let (of, why) = if own {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {present}"
            );
            (resource.plural.as_str(), why)
        } else {
            (kind, generic)
        };
        Err(ApiStatus::conflict(&resource.group, of, name, &why))
    };
    match (&options.uid, &options.resource_version) {
        (Some(wanted), _) if wanted != uid => {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been \
                 deleted and then recreated"
            );
            failed(why, "UID", wanted, uid)
        }
        (_, Some(wanted)) if wanted != version => {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). \
                 The object might have been modified"
            );
            failed(why, "ResourceVersion", wanted, version)
        }
        _ => Ok(()),
    }
}

/// Decides about one object. Namespaces have a life of their own, see [`decide_namespace`].
pub(crate) fn decide(
    resource: &Resource,
    old: &Value,
    options: &DeleteOptions,
    now: Timestamp,
) -> Decision {
    let mut new = old.clone();
    let mut grace = None;
    if resource.is("", "pods") {
        match pod_grace(old, options) {
            Grace::Shortened(seconds) => {
                let begin = meta::text(old, "deletionTimestamp")
                    .parse::<Timestamp>()
                    .unwrap_or(now);
                let before = grace_of(old).unwrap_or(0);
                mark(
                    &mut new,
                    begin
                        .saturating_add(seconds_of(seconds - before))
                        .unwrap_or(now),
                    seconds,
                );
                grace = Some(seconds);
            }
            Grace::Pending => return Decision::Leave,
            Grace::First(seconds) => {
                mark(
                    &mut new,
                    now.saturating_add(seconds_of(seconds)).unwrap_or(now),
                    seconds,
                );
                bump_generation(&mut new);
                grace = Some(seconds);
            }
        }
    }
    set_finalizers(&mut new, options.propagation);
    let pending = meta::finalizers(&new).next().is_some();
    match grace {
        Some(_) if pending && new == *old => Decision::Leave,
        Some(seconds) if seconds > 0 || pending => Decision::Mark(new),
        Some(_) => Decision::Remove(new),
        None if pending => {
            if !meta::is_deleting(&new) {
                mark(&mut new, now, 0);
                bump_generation(&mut new);
            } else if grace_of(&new).is_none() {
                meta::metadata_mut(&mut new).insert("deletionGracePeriodSeconds".into(), 0.into());
            }
            if new == *old {
                Decision::Leave
            } else {
                Decision::Mark(new)
            }
        }
        None => Decision::Remove(new),
    }
}

enum Grace {
    /// The deletion is under way and does not get shorter.
    Pending,
    /// The deletion is under way and ends after this many seconds instead.
    Shortened(i64),
    /// The deletion begins.
    First(i64),
}

fn pod_grace(pod: &Value, options: &DeleteOptions) -> Grace {
    if meta::is_deleting(pod) {
        let Some(present) = grace_of(pod) else {
            return Grace::First(0);
        };
        return match options.grace_seconds {
            Some(seconds) if seconds < present => Grace::Shortened(seconds),
            // The agent's last word: the pod has stopped.
            Some(0) => Grace::Shortened(0),
            _ => Grace::Pending,
        };
    }
    let text = |pointer: &str| {
        pod.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let over = matches!(text("/status/phase"), "Succeeded" | "Failed");
    if text("/spec/nodeName").is_empty() || over {
        return Grace::First(0);
    }
    let of_spec = pod
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64)
        .unwrap_or(30);
    Grace::First(options.grace_seconds.unwrap_or(of_spec).max(0))
}

fn grace_of(object: &Value) -> Option<i64> {
    object
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64)
}

fn seconds_of(seconds: i64) -> SignedDuration {
    // A day more or less than a million years changes nothing, an overflow would.
    SignedDuration::from_secs(seconds.clamp(-(1 << 40), 1 << 40))
}

fn mark(object: &mut Value, at: Timestamp, grace_seconds: i64) {
    let metadata = meta::metadata_mut(object);
    metadata.insert("deletionTimestamp".into(), meta::time(at).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace_seconds.into());
}

fn bump_generation(object: &mut Value) {
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if generation > 0 {
        meta::metadata_mut(object).insert("generation".into(), (generation + 1).into());
    }
}

/// `deletionFinalizersForGarbageCollection`.
fn set_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut finalizers: Vec<String> = meta::finalizers(object)
        .filter(|f| *f != ORPHAN && *f != FOREGROUND)
        .map(str::to_owned)
        .collect();
    match propagation {
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    let metadata = meta::metadata_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}

/// A namespace becomes Terminating first, and goes when `spec.finalizers` are done.
pub(crate) fn decide_namespace(old: &Value, options: &DeleteOptions, now: Timestamp) -> Decision {
    if !meta::is_deleting(old) {
        let mut new = old.clone();
        mark(&mut new, now, 0);
        meta::metadata_mut(&mut new).remove("deletionGracePeriodSeconds");
        set_finalizers(&mut new, options.propagation);
        meta::child_mut(meta::root_mut(&mut new), "status")
            .insert("phase".into(), "Terminating".into());
        let done = spec_finalizers(&new) == 0 && meta::finalizers(&new).next().is_none();
        return if done {
            Decision::Remove(new)
        } else {
            Decision::Mark(new)
        };
    }
    if spec_finalizers(old) > 0 || meta::finalizers(old).next().is_some() {
        Decision::Leave
    } else {
        Decision::Remove(old.clone())
    }
}

fn spec_finalizers(namespace: &Value) -> usize {
    namespace
        .pointer("/spec/finalizers")
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

/// True when an update takes away what kept a deleted object: it goes with this write.
pub(crate) fn ends_with_update(resource: &Resource, new: &Value, old: &Value) -> bool {
    meta::is_deleting(old)
        && meta::finalizers(new).next().is_none()
        && grace_of(new).unwrap_or(0) == 0
        && (!resource.is("", "namespaces") || spec_finalizers(new) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn shown(decision: Decision) -> String {
        let describe = |v: &Value| {
            format!(
                "{} {} {:?}",
                meta::text(v, "deletionTimestamp"),
                grace_of(v).map_or("-".into(), |g| g.to_string()),
                meta::finalizers(v).collect::<Vec<_>>()
            )
        };
        match decision {
            Decision::Leave => "leave".into(),
            Decision::Mark(v) => format!("mark {}", describe(&v)),
            Decision::Remove(_) => "remove".into(),
        }
    }

    #[test]
    fn pods_get_their_grace() {
        let registry = Registry::new();
        let pods = registry.get("", "v1", "pods").unwrap();
        let check = |object: Value, options: DeleteOptions, expect: &str| {
            assert_eq!(
                shown(decide(&pods, &object, &options, now())),
                expect,
                "{object}"
            );
        };
        let seconds = |s: i64| DeleteOptions {
            grace_seconds: Some(s),
            ..DeleteOptions::default()
        };
        let none = DeleteOptions::default;
        check(
            json!({"metadata": {"name": "p"}, "spec": {}}),
            none(),
            "remove",
        );
        let on_node = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 5}});
        check(on_node.clone(), none(), "mark 2026-01-01T00:00:05Z 5 []");
        check(
            on_node.clone(),
            seconds(1),
            "mark 2026-01-01T00:00:01Z 1 []",
        );
        check(on_node.clone(), seconds(0), "remove");
        check(
            on_node,
            seconds(i64::MAX),
            "mark 9999-12-30T22:00:00Z 9223372036854775807 []",
        );
        let over = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Failed"}});
        check(over, none(), "remove");
        let going = json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:10Z",
            "deletionGracePeriodSeconds": 30}, "spec": {"nodeName": "n"}});
        check(going.clone(), none(), "leave");
        check(going.clone(), seconds(40), "leave");
        check(
            going.clone(),
            seconds(10),
            "mark 2025-12-31T23:59:50Z 10 []",
        );
        check(going, seconds(0), "remove");
        let held =
            json!({"metadata": {"name": "p", "finalizers": ["a/b"]}, "spec": {"nodeName": "n"}});
        check(held, seconds(0), "mark 2026-01-01T00:00:00Z 0 [\"a/b\"]");
    }

    #[test]
    fn finalizers_hold() {
        let registry = Registry::new();
        let maps = registry.get("", "v1", "configmaps").unwrap();
        let check = |object: Value, propagation: Option<Propagation>, expect: &str| {
            let options = DeleteOptions {
                propagation,
                ..DeleteOptions::default()
            };
            assert_eq!(
                shown(decide(&maps, &object, &options, now())),
                expect,
                "{object}"
            );
        };
        let plain = json!({"metadata": {"name": "c"}});
        check(plain.clone(), None, "remove");
        check(plain.clone(), Some(Propagation::Background), "remove");
        check(
            plain.clone(),
            Some(Propagation::Foreground),
            "mark 2026-01-01T00:00:00Z 0 [\"foregroundDeletion\"]",
        );
        check(
            plain,
            Some(Propagation::Orphan),
            "mark 2026-01-01T00:00:00Z 0 [\"orphan\"]",
        );
        let held = json!({"metadata": {"name": "c", "finalizers": ["x/y"], "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": 0}});
        check(held.clone(), None, "leave");
        let mut freed = held.clone();
        meta::metadata_mut(&mut freed).remove("finalizers");
        assert!(ends_with_update(&maps, &freed, &held) && !ends_with_update(&maps, &held, &held));
    }
}
