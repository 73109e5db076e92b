//! GET of a collection: selectors, pages, consistent snapshots.
//!
//! A list without selectors is written out from the stored bytes, piece by piece: nothing is parsed and the whole is never in
//! memory at once.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use minicloud_api::status::ApiStatus;
use minicloud_store::{Entry, Page, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::output;
use crate::api::Api;
use crate::codec;
use crate::http::body::Body;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::negotiate::{self, Form};
use crate::objects;
use crate::path::ResourceRequest;
use crate::query::{ListOptions, VersionMatch};
use crate::registry::Resource;
use crate::selection::Selection;

/// What is listed, before it is written out.
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) revision: u64,
    /// The token of the next page, empty at the end.
    pub(crate) continue_token: String,
    /// How many more follow, where that is known.
    pub(crate) remaining: Option<usize>,
}

/// What a `continue` token holds. A `revision` of 0 means the newest state (an inconsistent list, which the client chose).
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Token {
    v: String,
    rv: u64,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Token {
    fn text(revision: u64, start: &str) -> String {
        let token = Self {
            v: TOKEN_VERSION.to_owned(),
            rv: revision,
            start: start.to_owned(),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, ApiStatus> {
        let bad = |why: String| ApiStatus::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|e| bad(e.to_string()))?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if token.v != TOKEN_VERSION || token.start.is_empty() || token.start.len() > 1024 {
            return Err(bad(format!("incorrect version or start: {}", token.v)));
        }
        Ok(token)
    }
}

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing \
with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
first chunk was returned and now may show up in the list.";

pub(crate) async fn list(
    api: &Api,
    call: &Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
) -> Result<Answer, ApiStatus> {
    let form = negotiate::object_form(&call.parts.headers)?;
    let options = ListOptions::from_query(&call.query, false)?;
    let selection = Selection::new(resource, &options, "")?;
    let listing = collect(api, resource, &wanted.namespace, &options, &selection).await?;
    write(call, resource, form, listing)
}

/// Gathers what is selected.
pub(crate) async fn collect(
    api: &Api,
    resource: &Resource,
    namespace: &str,
    options: &ListOptions,
    selection: &Selection,
) -> Result<Listing, ApiStatus> {
    let error = |e: StoreError| objects::store_error(resource, "", e);
    let namespace = match selection.namespace() {
        Some(selected) if namespace.is_empty() => selected,
        _ => namespace,
    };
    let prefix = resource.collection(namespace);
    let (mut at, mut start) = (at_revision(api, options)?, None);
    if !options.continue_token.is_empty() {
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(ApiStatus::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = Token::parse(&options.continue_token)?;
        at = Some(token.rv).filter(|rv| *rv > 0);
        start = Some(format!("{}{}", resource.prefix, token.start));
    } else if at.is_none()
        && let Some(name) = selection.name()
        && (!resource.namespaced || !namespace.is_empty())
    {
        // One object by name, as kubectl and informers of one object ask: no scan.
        let revision = api.store.revision();
        let entries = api
            .store
            .get(&resource.key(namespace, name))
            .filter(|e| selection.matches(resource, e))
            .into_iter()
            .collect();
        return Ok(Listing {
            entries,
            revision,
            continue_token: String::new(),
            remaining: None,
        });
    }
    let limit = options.limit.unwrap_or(0);
    if selection.is_empty() {
        let page = api.store.list(&prefix, start.as_deref(), limit, at).await;
        let page = page.map_err(|e| expired(resource, &options.continue_token, e))?;
        let continue_token = next(resource, &page, limit);
        let remaining = Some(page.remaining).filter(|r| *r > 0);
        return Ok(Listing {
            revision: page.revision,
            entries: page.entries,
            continue_token,
            remaining,
        });
    }
    // With a selector the page ends when it is full, so several pages of the store may be needed for one.
    let mut entries = Vec::new();
    let mut revision = at;
    loop {
        let chunk = if limit == 0 { 0 } else { limit.max(500) };
        let page = api
            .store
            .list(&prefix, start.as_deref(), chunk, revision)
            .await;
        let page = page.map_err(|e| expired(resource, &options.continue_token, e))?;
        revision = Some(page.revision);
        let last = page.entries.last().map(|e| e.key.clone());
        for entry in page.entries {
            if !selection.matches(resource, &entry) {
                continue;
            }
            if limit > 0 && entries.len() == limit {
                // There is one more than fits: the next page begins after the last that does.
                let continue_token = entries.last().map_or_else(String::new, |e: &Entry| {
                    Token::text(
                        page.revision,
                        e.key
                            .strip_prefix(resource.prefix.as_str())
                            .unwrap_or_default(),
                    )
                });
                return Ok(Listing {
                    entries,
                    revision: page.revision,
                    continue_token,
                    remaining: None,
                });
            }
            entries.push(entry);
        }
        match last {
            Some(key) if page.more => start = Some(key.to_string()),
            _ => {
                return Ok(Listing {
                    entries,
                    revision: page.revision,
                    continue_token: String::new(),
                    remaining: None,
                });
            }
        }
        if revision.is_none() {
            return Err(error(StoreError::Closed));
        }
    }
}

/// The revision to read at; `None` for the newest.
fn at_revision(api: &Api, options: &ListOptions) -> Result<Option<u64>, ApiStatus> {
    let Some(asked) = options.revision()? else {
        return Ok(None);
    };
    let current = api.store.revision();
    if asked > current {
        return Err(objects::too_large_version(asked, current));
    }
    let exact = match options.version_match {
        Some(VersionMatch::Exact) => true,
        Some(VersionMatch::NotOlderThan) => false,
        // Kubernetes' legacy rule: pages are consistent with the version asked for.
        None => options.limit.is_some(),
    };
    Ok(exact.then_some(asked))
}

fn next(resource: &Resource, page: &Page, limit: usize) -> String {
    match page.entries.last() {
        Some(last) if page.more && limit > 0 => Token::text(
            page.revision,
            last.key
                .strip_prefix(resource.prefix.as_str())
                .unwrap_or_default(),
        ),
        _ => String::new(),
    }
}

/// 410, with a token by which the client may go on inconsistently.
fn expired(resource: &Resource, token: &str, error: StoreError) -> ApiStatus {
    match (&error, Token::parse(token)) {
        (StoreError::Compacted { .. }, Ok(token)) => {
            let mut status = ApiStatus::expired(EXPIRED);
            status.details = Some(Box::new(json!({"continue": Token::text(0, &token.start)})));
            status
        }
        (StoreError::Compacted { requested, oldest }, Err(_)) => ApiStatus::expired(format!(
            "The resourceVersion for the provided list is too old: {requested} ({oldest})."
        )),
        _ => objects::store_error(resource, "", error),
    }
}

/// How much a piece of a streamed list holds at least.
const PIECE_BYTES: usize = 64 << 10;

/// Writes a listing out.
pub(crate) fn write(
    call: &Call,
    resource: &Arc<Resource>,
    form: Form,
    listing: Listing,
) -> Result<Answer, ApiStatus> {
    let mut metadata = json!({"resourceVersion": listing.revision.to_string()});
    if !listing.continue_token.is_empty() {
        metadata["continue"] = listing.continue_token.into();
        if let Some(remaining) = listing.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let decode = |entry: &Entry| output::value(resource, &entry.value, entry.mod_revision);
    match form {
        Form::Table => {
            let items = listing
                .entries
                .iter()
                .map(decode)
                .collect::<Result<Vec<Value>, _>>()?;
            let options = output::table_options(&call.query, true)?;
            Ok(respond::json(
                200,
                &resource.columns.list(items.iter(), &metadata, &options),
            ))
        }
        Form::Metadata => {
            let head = head("PartialObjectMetadataList", "meta.k8s.io/v1", &metadata);
            let item = |out: &mut BytesMut, entry: &Entry| {
                let metadata = Value::Object(codec::metadata(&entry.value, entry.mod_revision));
                out.extend_from_slice(output::partial(metadata).to_string().as_bytes());
            };
            Ok(respond::json_bytes(
                200,
                pieces(head, listing.entries, item),
            ))
        }
        Form::Object | Form::AggregatedDiscovery => {
            let head = head(&resource.list_kind, &resource.api_version(), &metadata);
            let resource = Arc::clone(resource);
            let item = move |out: &mut BytesMut, entry: &Entry| {
                if !resource.reshapes(entry.mod_revision) {
                    codec::render_into(out, &resource.item_head, &entry.value, entry.mod_revision);
                    return;
                }
                match output::value(&resource, &entry.value, entry.mod_revision) {
                    Ok(value) => out.extend_from_slice(value.to_string().as_bytes()),
                    // The list has begun, so the best that can be done is to hand out what lies there.
                    Err(_) => codec::render_into(
                        out,
                        &resource.item_head,
                        &entry.value,
                        entry.mod_revision,
                    ),
                }
            };
            Ok(respond::json_bytes(
                200,
                pieces(head, listing.entries, item),
            ))
        }
    }
}

fn head(kind: &str, api_version: &str, metadata: &Value) -> Vec<u8> {
    // The three are data of ours or valid names; to_string quotes whatever they hold.
    format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
        Value::from(kind),
        Value::from(api_version)
    )
    .into_bytes()
}

fn pieces(
    head: Vec<u8>,
    entries: Vec<Entry>,
    item: impl Fn(&mut BytesMut, &Entry) + Send + 'static,
) -> Body {
    let mut entries = entries.into_iter();
    let mut first = true;
    let mut head = Some(head);
    let mut piece = move || -> Option<Bytes> {
        let begin = head.take();
        if begin.is_none() && first {
            return None;
        }
        let mut out = BytesMut::with_capacity(PIECE_BYTES + (16 << 10));
        if let Some(begin) = begin {
            out.extend_from_slice(&begin);
        }
        while out.len() < PIECE_BYTES {
            let Some(entry) = entries.next() else {
                out.extend_from_slice(b"]}\n");
                first = true;
                return Some(out.freeze());
            };
            if !first {
                out.extend_from_slice(b",");
            }
            first = false;
            item(&mut out, &entry);
        }
        // A piece that ends here has at least one item, so `first` is false and the next call goes on.
        Some(out.freeze())
    };
    // Short lists are one body with a known length.
    let whole = piece();
    let mut rest = std::iter::from_fn(piece).peekable();
    match (whole, rest.peek()) {
        (Some(whole), None) => whole.into(),
        (whole, _) => Body::Pieces(Box::new(whole.into_iter().chain(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let token = Token::parse(&Token::text(7, "default/a")).unwrap();
        assert_eq!((token.rv, token.start.as_str()), (7, "default/a"));
        for bad in ["", "!", "e30", &Token::text(1, "")] {
            assert_eq!(Token::parse(bad).map_err(|e| e.code), Err(400), "{bad}");
        }
    }

    #[test]
    fn pieces_make_one_document() {
        let entry = |i: u32| Entry {
            key: format!("/registry/x/{i}").into(),
            value: codec::encode(
                &json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": i.to_string()}, "d": "y".repeat(500)}),
            ),
            create_revision: 1,
            mod_revision: u64::from(i) + 1,
        };
        for count in [0, 1, 2, 500] {
            let item = |out: &mut BytesMut, e: &Entry| {
                codec::render_into(out, codec::ITEM_HEAD, &e.value, e.mod_revision)
            };
            let body = pieces(
                head("XList", "v1", &json!({})),
                (0..count).map(entry).collect(),
                item,
            );
            let bytes: Vec<u8> = match body {
                Body::Full(Some(bytes)) => bytes.to_vec(),
                Body::Pieces(pieces) => pieces.flat_map(|p| p.to_vec()).collect(),
                _ => panic!("another body"),
            };
            let list: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(list["items"].as_array().unwrap().len(), count as usize);
        }
    }
}
