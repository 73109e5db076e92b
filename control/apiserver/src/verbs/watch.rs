//! Following a collection: what happened, as one selection sees it.
//!
//! The pure half ([`seen`]) decides what a change in the store is to a watcher with a selector; the rest turns it into lines of
//! JSON. A watch ends by its time, by shutdown, when the client is too slow, or when the definition of what it shows changes,
//! and the client then goes on from the last version it saw.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use minicloud_api::status::ApiStatus;
use minicloud_store::{Entry, Event, EventKind, StoreError, Watch};
use serde_json::{Value, json};
use tokio::sync::watch as signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output;
use crate::api::Api;
use crate::codec;
use crate::http::body::{Body, BodyError};
use crate::http::limits::Place;
use crate::http::respond::{self, Answer};
use crate::http::service::{Call, watch_duration};
use crate::negotiate::{self, Form};
use crate::objects;
use crate::path::ResourceRequest;
use crate::query::{ListOptions, Query};
use crate::registry::Resource;
use crate::selection::Selection;

/// What a change is to a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Added,
    Modified,
    Deleted,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// What `event` is to someone who sees what `matches` selects: an object that leaves the selection is deleted to them, in its
/// last state that was selected.
fn seen(event: &Event, matches: impl Fn(&Entry) -> bool) -> Option<(Kind, &Entry)> {
    let before = event.previous.as_ref().filter(|e| matches(e));
    match event.kind {
        EventKind::Delete => before.map(|_| (Kind::Deleted, &event.entry)),
        EventKind::Put => match (before, matches(&event.entry)) {
            (None, true) => Some((Kind::Added, &event.entry)),
            (Some(_), true) => Some((Kind::Modified, &event.entry)),
            (Some(before), false) => Some((Kind::Deleted, before)),
            (None, false) => None,
        },
    }
}

/// How often a quiet watch gets a bookmark.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How much is sent at once at most.
const BATCH_BYTES: usize = 64 << 10;

struct Watcher {
    resource: Arc<Resource>,
    selection: Selection,
    form: Form,
    query: Query,
    bookmarks: bool,
    /// What is there at the beginning, to be sent as ADDED.
    initial: std::vec::IntoIter<Entry>,
    /// The version of the initial list, while the bookmark that ends it is owed.
    initial_end: Option<u64>,
    watch: Watch,
    /// Events up to here were in the initial list, or are not wanted.
    after: u64,
    ends_at: Instant,
    next_bookmark: Instant,
    last_bookmark: u64,
    ending: signal::Receiver<bool>,
    /// Cancelled when `resource` no longer tells how objects are served.
    outdated: CancellationToken,
    /// Tables define their columns once.
    headers_sent: bool,
    over: bool,
    _permit: Option<Place>,
}

pub(crate) async fn watch(
    api: &Arc<Api>,
    call: &Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    permit: Option<Place>,
) -> Result<Answer, ApiStatus> {
    let form = negotiate::object_form(&call.parts.headers)?;
    let options = ListOptions::from_query(&call.query, true)?;
    if form == Form::Table {
        output::table_options(&call.query, true)?;
    }
    let selection = Selection::new(resource, &options, &wanted.name)?;
    let namespace = match selection.namespace() {
        Some(selected) if wanted.namespace.is_empty() => selected,
        _ => wanted.namespace.as_str(),
    };
    let prefix = match selection.name() {
        // One object: its key is its own prefix (other names that begin with it are filtered out).
        Some(name) if !resource.namespaced || !namespace.is_empty() => {
            resource.key(namespace, name)
        }
        _ => resource.collection(namespace),
    };
    let asked = options.revision()?;
    let initial_wanted = options.send_initial_events.unwrap_or(asked.is_none());
    if let (Some(true), Some(revision)) = (options.send_initial_events, asked) {
        let current = api.store.revision();
        if revision > current {
            return Err(objects::too_large_version(revision, current));
        }
    }
    let (initial, after) = if initial_wanted {
        let page = api
            .store
            .list(&prefix, None, 0, None)
            .await
            .map_err(|e| objects::store_error(resource, "", e))?;
        let mut entries = page.entries;
        if !selection.is_empty() {
            entries.retain(|e| selection.matches(resource, e));
        }
        (entries, page.revision)
    } else {
        (Vec::new(), asked.unwrap_or_else(|| api.store.revision()))
    };
    let watch = match api.store.watch(&prefix, after).await {
        Ok(watch) => watch,
        Err(error @ StoreError::Compacted { .. }) => {
            // Kubernetes says this inside the stream, and every client looks for it there.
            let status = objects::store_error(resource, "", error);
            return Ok(respond::json_bytes(
                200,
                line("ERROR", status.to_value().to_string().as_bytes()),
            ));
        }
        Err(error) => return Err(objects::store_error(resource, "", error)),
    };
    let now = Instant::now();
    let lasts = watch_duration(options.timeout_seconds);
    let watcher = Watcher {
        resource: Arc::clone(resource),
        selection,
        form,
        query: call.query.clone(),
        bookmarks: options.bookmarks,
        initial: initial.into_iter(),
        initial_end: (options.send_initial_events == Some(true) && options.bookmarks)
            .then_some(after),
        watch,
        after,
        ends_at: now + lasts,
        next_bookmark: now + BOOKMARK_INTERVAL.min(lasts.mul_f32(0.9)),
        last_bookmark: 0,
        ending: api.ending(),
        outdated: resource
            .custom()
            .map_or_else(CancellationToken::new, |c| c.outdated.clone()),
        headers_sent: false,
        over: false,
        _permit: permit,
    };
    let stream = stream::unfold(watcher, |mut watcher| async move {
        let piece = watcher.next().await?;
        Some((Ok::<Bytes, BodyError>(piece), watcher))
    });
    Ok(respond::json_bytes(200, Body::Stream(stream.boxed())))
}

/// One line of a watch.
fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 48);
    put_line(&mut out, kind, object);
    out.freeze()
}

fn put_line(out: &mut BytesMut, kind: &str, object: &[u8]) {
    begin_line(out, kind);
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}

fn begin_line(out: &mut BytesMut, kind: &str) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
}

/// Why a waiting watcher goes on.
enum Woken {
    Event(Result<Arc<Event>, minicloud_store::WatchEnd>),
    Time,
    Ending,
}

impl Watcher {
    /// The next piece to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        loop {
            self.fill(&mut out);
            if !out.is_empty() {
                return Some(out.freeze());
            }
            if self.over {
                return None;
            }
            // Only what happened leaves the select: handling it needs all of the watcher.
            let woken = tokio::select! {
                biased;
                event = self.watch.next() => Woken::Event(event),
                () = tokio::time::sleep_until(self.ends_at.min(self.next_bookmark)) => Woken::Time,
                _ = self.ending.wait_for(|ending| *ending) => Woken::Ending,
                () = self.outdated.cancelled() => Woken::Ending,
            };
            match woken {
                Woken::Event(Ok(event)) => self.put(&mut out, &event),
                Woken::Event(Err(end)) => {
                    tracing::debug!(%end, resource = self.resource.plural, "a watch ended");
                    return None;
                }
                Woken::Time => {
                    let now = Instant::now();
                    self.next_bookmark = if self.bookmarks {
                        now + BOOKMARK_INTERVAL
                    } else {
                        self.ends_at
                    };
                    self.over = now >= self.ends_at;
                    if self.bookmarks {
                        self.bookmark(&mut out, None);
                    }
                }
                Woken::Ending => self.over = true,
            }
        }
    }

    /// True when nothing more may be shown.
    fn ended(&mut self) -> bool {
        self.over |= self.outdated.is_cancelled();
        self.over
    }

    /// Adds all that is there already, up to the size of a batch.
    fn fill(&mut self, out: &mut BytesMut) {
        if self.ended() {
            return;
        }
        while out.len() < BATCH_BYTES {
            let Some(entry) = self.initial.next() else {
                break;
            };
            self.put_entry(out, Kind::Added, &entry, entry.mod_revision);
        }
        if out.len() >= BATCH_BYTES {
            return;
        }
        if let Some(revision) = self.initial_end.take() {
            self.bookmark(out, Some(revision));
        }
        while out.len() < BATCH_BYTES && !self.over {
            match self.watch.try_next() {
                Ok(Some(event)) => self.put(out, &event),
                Ok(None) => break,
                Err(_) => {
                    self.over = true;
                    break;
                }
            }
        }
    }

    fn put(&mut self, out: &mut BytesMut, event: &Event) {
        // The second: what has been taken may have been written through a newer definition. The client gets it when it
        // watches again.
        if event.revision() <= self.after || self.ended() {
            return;
        }
        let (resource, selection) = (&self.resource, &self.selection);
        let all = selection.is_empty();
        let seen = seen(event, |entry| all || selection.matches(resource, entry));
        if let Some((kind, entry)) = seen {
            // An object that left the selection is shown as it was, at the version of the change.
            self.put_entry(out, kind, entry, event.revision());
        }
    }

    fn put_entry(&mut self, out: &mut BytesMut, kind: Kind, entry: &Entry, revision: u64) {
        begin_line(out, kind.word());
        if self.form == Form::Object && !self.resource.reshapes(entry.mod_revision) {
            codec::render_into(out, &self.resource.head, &entry.value, revision);
        } else {
            let headers = !std::mem::replace(&mut self.headers_sent, true);
            match output::bytes(
                &self.resource,
                self.form,
                &self.query,
                &entry.value,
                revision,
                headers,
            ) {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(status) => out.extend_from_slice(status.to_value().to_string().as_bytes()),
            }
        }
        out.extend_from_slice(b"}\n");
    }

    /// A bookmark at the progress of the watch, or the one that ends the initial events.
    fn bookmark(&mut self, out: &mut BytesMut, initial_end: Option<u64>) {
        let revision = initial_end.unwrap_or_else(|| self.watch.progress().max(self.after));
        if revision == self.last_bookmark && initial_end.is_none() {
            return;
        }
        self.last_bookmark = revision;
        put_line(
            out,
            "BOOKMARK",
            bookmark(&self.resource, self.form, revision, initial_end.is_some())
                .to_string()
                .as_bytes(),
        );
    }
}

/// An object that carries a version and nothing else.
fn bookmark(resource: &Resource, form: Form, revision: u64, initial_end: bool) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    match form {
        Form::Table => json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision.to_string()},
            "columnDefinitions": null,
            "rows": [{"cells": [], "object": output::partial(metadata)}],
        }),
        Form::Metadata => output::partial(metadata),
        Form::Object | Form::AggregatedDiscovery => {
            json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_watcher_sees() {
        let entry = |label: &str, revision: u64| Entry {
            key: "/registry/x/a".into(),
            value: Bytes::copy_from_slice(label.as_bytes()),
            create_revision: 1,
            mod_revision: revision,
        };
        let check =
            |kind: EventKind, before: Option<&str>, after: &str, expect: Option<(Kind, &str)>| {
                let event = Event {
                    kind,
                    entry: entry(after, 2),
                    previous: before.map(|b| entry(b, 1)),
                };
                let got = seen(&event, |e| e.value.as_ref() == b"in");
                assert_eq!(
                    got.map(|(k, e)| (k, std::str::from_utf8(&e.value).unwrap())),
                    expect,
                    "{before:?} {after}"
                );
            };
        use EventKind::{Delete, Put};
        check(Put, None, "in", Some((Kind::Added, "in")));
        check(Put, None, "out", None);
        check(Put, Some("in"), "in", Some((Kind::Modified, "in")));
        check(Put, Some("out"), "in", Some((Kind::Added, "in")));
        check(Put, Some("in"), "out", Some((Kind::Deleted, "in")));
        check(Put, Some("out"), "out", None);
        check(Delete, Some("in"), "in", Some((Kind::Deleted, "in")));
        check(Delete, Some("out"), "out", None);
    }
}
