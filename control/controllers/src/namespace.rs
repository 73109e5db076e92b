//! Namespaces that are being deleted: everything in them goes, pods first, and then the namespace itself.
//!
//! Conditions on the namespace say what is left. What finalizers hold back is waited for, never forced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::discovery::{Served, discover};
use crate::plumbing::objects::{is_deleting, seconds};
use crate::plumbing::patch::{is_code, message, or_gone, update_status};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "namespace-controller";
const FINALIZER: &str = "kubernetes";
const PARALLEL: usize = 4;

// ---- decide ----

/// What a round of deleting came to.
#[derive(Debug, Default, PartialEq)]
struct Report {
    /// How many objects are left, by resource.
    content: BTreeMap<String, usize>,
    /// How many objects wait for a finalizer, by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// What could not be deleted, and why.
    failures: Vec<String>,
    /// Groups whose resources are not known now.
    undiscovered: Vec<String>,
}

impl Report {
    fn is_done(&self) -> bool {
        self.content.is_empty() && self.failures.is_empty() && self.undiscovered.is_empty()
    }
}

/// The namespace's conditions, with Kubernetes' reasons and messages.
fn conditions(
    old: &[NamespaceCondition],
    report: &Report,
    now: Timestamp,
) -> Vec<NamespaceCondition> {
    let each = |map: &BTreeMap<String, usize>, what: &str| {
        map.iter()
            .map(|(name, n)| format!("{name} {what} {n} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let state = |kind: &str, bad: Option<(&str, String)>, fine: (&str, &str)| {
        let status = if bad.is_some() { "True" } else { "False" };
        let (reason, message) = bad.unwrap_or_else(|| (fine.0, fine.1.to_owned()));
        (kind.to_owned(), status, reason.to_owned(), message)
    };
    let failed = !report.undiscovered.is_empty();
    let wanted = [
        state(
            "NamespaceDeletionDiscoveryFailure",
            failed.then(|| {
                let groups = report.undiscovered.join(", ");
                let count = report.undiscovered.len();
                (
                    "DiscoveryFailed",
                    format!("Discovery failed for some groups, {count} failing: {groups}"),
                )
            }),
            (
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
        ),
        state(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            (
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
        ),
        state(
            "NamespaceDeletionContentFailure",
            (!report.failures.is_empty()).then(|| {
                let why = report.failures.join(", ");
                let count = report.failures.len();
                (
                    "ContentDeletionFailed",
                    format!("Failed to delete all resource types, {count} remaining: {why}"),
                )
            }),
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        state(
            "NamespaceContentRemaining",
            (!report.content.is_empty()).then(|| {
                let left = each(&report.content, "has");
                (
                    "SomeResourcesRemain",
                    format!("Some resources are remaining: {left}"),
                )
            }),
            ("ContentRemoved", "All content successfully removed"),
        ),
        state(
            "NamespaceFinalizersRemaining",
            (!report.finalizers.is_empty()).then(|| {
                let left = each(&report.finalizers, "in");
                (
                    "SomeFinalizersRemain",
                    format!("Some content in the namespace has finalizers remaining: {left}"),
                )
            }),
            (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ),
    ];
    let mut all: Vec<NamespaceCondition> = old
        .iter()
        .filter(|c| !wanted.iter().any(|(kind, ..)| *kind == c.type_))
        .cloned()
        .collect();
    for (kind, status, reason, message) in wanted {
        let before = old.iter().find(|c| c.type_ == kind);
        let since = before
            .filter(|c| c.status == status)
            .and_then(|c| c.last_transition_time.clone());
        all.push(NamespaceCondition {
            type_: kind,
            status: status.to_owned(),
            reason: Some(reason),
            message: Some(message),
            last_transition_time: since.or(Some(Time(seconds(now)))),
        });
    }
    all
}

fn is_ours(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|s| s.finalizers.as_ref());
    is_deleting(&namespace.metadata)
        && finalizers.is_some_and(|all| all.iter().any(|f| f == FINALIZER))
}

// ---- act ----

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    queue: Arc<Queue<String>>,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let this = Arc::new(Controller {
        shared: shared.clone(),
        client: shared.client(NAME),
        queue: Arc::default(),
    });
    let queue = this.queue.clone();
    shared.namespaces.on_change(move |change| {
        if let Some(namespace) = &change.new
            && is_ours(namespace)
            // Our own status writes are no news.
            && change.old.as_ref().is_none_or(|old| !is_ours(old))
        {
            queue.add(namespace.name_any());
        }
    });
    let on = this.clone();
    shared.pods.on_change(move |change| {
        if let (Some(old), None) = (&change.old, &change.new) {
            let name = old.namespace().unwrap_or_default();
            if on
                .shared
                .namespaces
                .get("", &name)
                .is_some_and(|n| is_ours(&n))
            {
                on.queue.add(name);
            }
        }
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.namespaces.wait_synced().await;
        let work = |name| {
            let this = this.clone();
            async move { this.sync(name).await }
        };
        this.queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    async fn sync(&self, name: String) -> anyhow::Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let Some(namespace) = api.get_opt(&name).await? else {
            return Ok(());
        };
        if !is_ours(&namespace) {
            return Ok(());
        }
        let report = self.delete_content(&name).await?;
        let mut new = namespace.clone();
        let status = new.status.get_or_insert_default();
        let old = status.conditions.take().unwrap_or_default();
        status.conditions = Some(conditions(&old, &report, Timestamp::now()));
        if !report.is_done() {
            update_status(&api, &namespace, &new).await?;
            // What is left goes by its own finalizers, of which nobody tells us but pods.
            self.queue.add_after(
                name,
                Duration::from_secs(if report.failures.is_empty() { 2 } else { 5 }),
            );
            return Ok(());
        }
        let mut last = namespace;
        if let Some(finalizers) = last.spec.as_mut().and_then(|s| s.finalizers.as_mut()) {
            finalizers.retain(|f| f != FINALIZER);
        }
        match api
            .replace_subresource("finalize", &name, &PostParams::default(), &last)
            .await
        {
            Err(error) if !is_code(&error, 404) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn delete_content(&self, namespace: &str) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let found = match discover(&self.client).await {
            Ok(found) => found,
            Err(error) => {
                report.undiscovered.push(message(&error));
                return Ok(report);
            }
        };
        report.undiscovered = found.failed;
        let served: Vec<Served> = found
            .served
            .into_iter()
            .filter(|s| s.namespaced && s.can(&["list", "delete"]))
            .collect();
        let is_pods = |s: &Served| s.resource.group.is_empty() && s.resource.plural == "pods";
        let (pods, others): (Vec<_>, Vec<_>) = served.into_iter().partition(is_pods);
        // What pods use goes only when they are gone: network policies, claims, secrets for their last breath.
        self.delete_all(namespace, pods, &mut report).await;
        if report.content.is_empty() && report.failures.is_empty() {
            self.delete_all(namespace, others, &mut report).await;
        }
        Ok(report)
    }

    async fn delete_all(&self, namespace: &str, served: Vec<Served>, report: &mut Report) {
        let mut results = futures::stream::iter(served)
            .map(|served| async move {
                let result = self.delete_kind(namespace, &served).await;
                (served.name(), result)
            })
            .buffer_unordered(PARALLEL);
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(left) if left.is_empty() => {}
                Ok(left) => {
                    report.content.insert(name, left.len());
                    for finalizer in left.into_iter().flatten() {
                        *report.finalizers.entry(finalizer).or_default() += 1;
                    }
                }
                Err(error) => report.failures.push(format!("{name}: {}", message(&error))),
            }
        }
        report.failures.sort();
    }

    /// Deletes all objects of a kind; returns the finalizers of each that is left.
    async fn delete_kind(
        &self,
        namespace: &str,
        served: &Served,
    ) -> kube::Result<Vec<Vec<String>>> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &served.resource);
        let list = || async {
            match api.list_metadata(&ListParams::default()).await {
                Ok(list) => Ok(list.items),
                // Served a moment ago and not any more, or not a kind that can be listed here.
                Err(error) if is_code(&error, 404) || is_code(&error, 405) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let there = list().await?;
        let fresh: Vec<_> = there.iter().filter(|o| !is_deleting(&o.metadata)).collect();
        if there.is_empty() {
            return Ok(Vec::new());
        }
        if !fresh.is_empty() {
            let options = DeleteParams::background();
            if served.can(&["deletecollection"]) {
                api.delete_collection(&options, &ListParams::default())
                    .await?;
            } else {
                for object in fresh {
                    or_gone(api.delete(&object.name_any(), &options).await)?;
                }
            }
        }
        Ok(list()
            .await?
            .into_iter()
            .map(|o| o.metadata.finalizers.unwrap_or_default())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_conditions_say_what_is_left() {
        let at = |n: i64| Timestamp::from_second(n).unwrap();
        let short = |all: &[NamespaceCondition]| {
            let each = all.iter().map(|c| {
                let since = c.last_transition_time.as_ref().unwrap().0.as_second();
                format!(
                    "{} {} {since}: {}",
                    c.type_,
                    c.reason.as_deref().unwrap(),
                    c.message.as_deref().unwrap()
                )
            });
            each.collect::<Vec<_>>()
        };
        let report = Report {
            content: BTreeMap::from([("pods".into(), 2), ("as.x.io".into(), 1)]),
            finalizers: BTreeMap::from([("x.io/f".into(), 1)]),
            failures: vec!["as.x.io: no".into()],
            undiscovered: vec!["y.io/v1".into()],
        };
        let first = conditions(&[], &report, at(1));
        assert_eq!(
            short(&first),
            [
                "NamespaceDeletionDiscoveryFailure DiscoveryFailed 1: Discovery failed for some groups, 1 failing: y.io/v1",
                "NamespaceDeletionGroupVersionParsingFailure ParsedGroupVersions 1: All legacy kube types successfully parsed",
                "NamespaceDeletionContentFailure ContentDeletionFailed 1: Failed to delete all resource types, 1 remaining: as.x.io: no",
                "NamespaceContentRemaining SomeResourcesRemain 1: Some resources are remaining: as.x.io has 1 resource instances, pods has 2 resource instances",
                "NamespaceFinalizersRemaining SomeFinalizersRemain 1: Some content in the namespace has finalizers remaining: x.io/f in 1 resource instances",
            ]
        );
        let left = Report {
            content: BTreeMap::from([("pods".into(), 1)]),
            ..Report::default()
        };
        let second = conditions(&first, &left, at(2));
        let since: Vec<_> = second
            .iter()
            .map(|c| {
                (
                    c.status.as_str(),
                    c.last_transition_time.as_ref().unwrap().0.as_second(),
                )
            })
            .collect();
        assert_eq!(
            since,
            [
                ("False", 2),
                ("False", 1),
                ("False", 2),
                ("True", 1),
                ("False", 2)
            ]
        );
        assert!(!left.is_done() && !report.is_done() && Report::default().is_done());
    }

    #[test]
    fn only_terminating_namespaces_with_our_finalizer_are_ours() {
        let check = |value: serde_json::Value, expect: bool| {
            assert_eq!(is_ours(&from_value(value).unwrap()), expect)
        };
        let gone = "2026-01-01T00:00:00Z";
        check(json!({"spec": {"finalizers": ["kubernetes"]}}), false);
        check(
            json!({"metadata": {"deletionTimestamp": gone}, "spec": {"finalizers": ["kubernetes"]}}),
            true,
        );
        check(
            json!({"metadata": {"deletionTimestamp": gone}, "spec": {"finalizers": ["other"]}}),
            false,
        );
    }
}
