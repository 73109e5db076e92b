//! What the server keeps up while it runs: events do not live for ever, aggregated roles show what they gather, definitions get
//! the names that others let go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use minicloud_api::meta;
use minicloud_api::part::Shutdown;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::Api;
use crate::strategy::Part;
use crate::verbs::change::{self, Change};

/// How long an event is kept after it was last seen.
const EVENT_AGE: SignedDuration = SignedDuration::from_secs(3600);
/// More events than this are too many, however young: the oldest go.
const EVENTS_MAX: usize = 10_000;
/// How often to look whether the Service `kubernetes` is still there: three look-ups in memory.
const SERVICE_EVERY: Duration = Duration::from_secs(15);
const EVENTS_EVERY: Duration = Duration::from_secs(300);
/// How long to wait for further roles before aggregated ones are written: they mostly come many at once.
const ROLES_REST: Duration = Duration::from_secs(1);

pub(super) async fn run(api: Arc<Api>, address: SocketAddr, mut shutdown: Shutdown) {
    let mut events = tokio::time::interval(EVENTS_EVERY);
    events.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut service = tokio::time::interval(SERVICE_EVERY);
    service.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut roles_due: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = events.tick() => sweep_events(&api, Timestamp::now()).await,
            _ = service.tick() => {
                if super::bootstrap::kubernetes_service_lacks(&api)
                    && let Err(error) = super::bootstrap::kubernetes_service(&api, address).await
                {
                    tracing::warn!(%error, "cannot put the Service kubernetes back; trying again");
                }
            }
            () = api.roles_changed.notified(), if roles_due.is_none() => {
                roles_due = Some(Instant::now() + ROLES_REST);
            }
            () = tokio::time::sleep_until(roles_due.unwrap_or_else(Instant::now)), if roles_due.is_some() => {
                roles_due = None;
                aggregate(&api).await;
            }
            () = api.claims.changed() => crate::crds::settle(&api).await,
            () = shutdown.wait() => return,
        }
    }
}

async fn sweep_events(api: &Arc<Api>, now: Timestamp) {
    let Some(resource) = api.registry.built_in("", "events") else {
        return;
    };
    let Ok(page) = api.store.list(&resource.prefix, None, 0, None).await else {
        return;
    };
    let mut aged: Vec<(Timestamp, _)> = page
        .entries
        .into_iter()
        .filter_map(|entry| {
            let event: Value = serde_json::from_slice(&entry.value).ok()?;
            Some((last_seen(&event).unwrap_or(now), entry))
        })
        .collect();
    aged.sort_by_key(|(seen, _)| *seen);
    let surplus = aged.len().saturating_sub(EVENTS_MAX);
    for (i, (seen, entry)) in aged.iter().enumerate() {
        if i >= surplus && now.duration_since(*seen) < EVENT_AGE {
            break;
        }
        // A conflict is an event that was just seen again: it stays.
        let _ = api
            .store_delete(&resource, &entry.key, entry.mod_revision)
            .await;
    }
}

/// When an event happened last.
fn last_seen(event: &Value) -> Option<Timestamp> {
    [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .iter()
    .filter_map(|pointer| event.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok())
    .max()
}

/// Writes the gathered rules of aggregated roles back, for those who read them. Decisions do not wait for it.
async fn aggregate(api: &Arc<Api>) {
    let outdated = api.authorizer.outdated_aggregates();
    if outdated.is_empty() {
        return;
    }
    let Some(resource) = api
        .registry
        .built_in("rbac.authorization.k8s.io", "clusterroles")
    else {
        return;
    };
    let user = super::bootstrap::server_user();
    for (name, rules) in outdated {
        let wish = Change {
            user: &user,
            resource: &resource,
            namespace: "",
            name: &name,
            part: Part::Main,
            dry_run: false,
            trusted: true,
        };
        let result = change::apply(api, &wish, |old| {
            let mut new = old.clone();
            meta::root_mut(&mut new).insert("rules".into(), json!(&*rules));
            Ok(new)
        })
        .await;
        if let Err(error) = result {
            tracing::debug!(name, %error, "cannot write the rules of an aggregated role back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_age_from_when_they_were_last_seen() {
        let event = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "lastTimestamp": "2026-01-01T02:00:00Z",
            "eventTime": null});
        assert_eq!(
            last_seen(&event),
            Some("2026-01-01T02:00:00Z".parse().unwrap())
        );
        assert_eq!(last_seen(&json!({})), None);
    }
}
