//! DELETE of one object and of a collection.

use std::sync::Arc;

use futures::stream::{self, TryStreamExt};
use jiff::Timestamp;
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use minicloud_store::{Entry, StoreError};
use serde_json::Value;

use super::delete_options::DeleteOptions;
use super::deletion::{self, Decision};
use super::{body, list, output};
use crate::admission;
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::input;
use crate::negotiate;
use crate::objects::{self, Written};
use crate::path::ResourceRequest;
use crate::query::ListOptions;
use crate::registry::Resource;
use crate::selection::Selection;

/// What a delete left.
pub(crate) enum Left {
    /// The object, which goes later.
    Going(Written),
    /// Nothing; this was its last state.
    Gone { last: Written, uid: String },
}

pub(crate) async fn delete(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    content: &[u8],
) -> Result<Answer, ApiStatus> {
    let options = DeleteOptions::read(
        &call.query,
        input::optional(&call.parts.headers, content, "DeleteOptions")?,
    )?;
    let stored = body::stored_row(api, resource)?;
    let namespace = if resource.namespaced {
        wanted.namespace.as_str()
    } else {
        ""
    };
    match remove(api, &call.user, &stored, namespace, &wanted.name, &options).await? {
        Left::Going(object) => output::object(call, resource, 200, &object.bytes, object.revision),
        Left::Gone { last, .. } if resource.returns_deleted => {
            output::object(call, resource, 200, &last.bytes, last.revision)
        }
        Left::Gone { uid, .. } => Ok(output::success(resource, &wanted.name, &uid)),
    }
}

/// Deletes one object as its resource and the options want it.
pub(crate) async fn remove(
    api: &Arc<Api>,
    user: &UserInfo,
    resource: &Arc<Resource>,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Left, ApiStatus> {
    let key = resource.key(namespace, name);
    loop {
        let entry = api.entry(resource, namespace, name)?;
        let old = objects::decode(resource, &entry.value, entry.mod_revision)?;
        deletion::check(resource, &old, options)?;
        admission::delete(api, user, resource, namespace, name, &old)?;
        let now = Timestamp::now();
        let decision = match (resource.group.as_str(), resource.plural.as_str()) {
            ("", "namespaces") => deletion::decide_namespace(&old, options, now),
            ("apiextensions.k8s.io", _) => crate::crds::decide(resource, &old, options, now),
            _ => deletion::decide(resource, &old, options, now),
        };
        let revision = entry.mod_revision;
        let encoded = |mut value: Value| objects::encode(resource, &mut value);
        let result = match decision {
            Decision::Leave => {
                return Ok(Left::Going(Written {
                    bytes: entry.value,
                    revision,
                }));
            }
            Decision::Mark(new) if options.dry_run => {
                return Ok(Left::Going(Written {
                    bytes: encoded(new),
                    revision,
                }));
            }
            Decision::Remove(new) if options.dry_run => {
                let uid = meta::uid(&new).to_owned();
                return Ok(Left::Gone {
                    last: Written {
                        bytes: encoded(new),
                        revision,
                    },
                    uid,
                });
            }
            Decision::Mark(new) => api
                .store_update(resource, &key, encoded(new), revision)
                .await
                .map(Left::Going),
            Decision::Remove(new) => {
                let uid = meta::uid(&new).to_owned();
                let bytes = encoded(new);
                api.store_delete(resource, &key, revision)
                    .await
                    .map(|revision| Left::Gone {
                        last: Written { bytes, revision },
                        uid,
                    })
            }
        };
        match result {
            Ok(left) => {
                if resource.group == "apiextensions.k8s.io" && matches!(left, Left::Going(_)) {
                    crate::crds::clean_up(api, name);
                }
                return Ok(left);
            }
            // Somebody else wrote in between: look again. The preconditions decide anew.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(objects::store_error(resource, name, error)),
        }
    }
}

/// How many objects of a collection are deleted at a time: they share the store's commits.
const DELETES_AT_ONCE: usize = 32;

/// Deletes all of `entries`; those that are gone already are no error. Ends at the first that cannot be deleted.
pub(crate) async fn remove_all(
    api: &Arc<Api>,
    user: &UserInfo,
    resource: &Arc<Resource>,
    entries: &[Entry],
    options: &DeleteOptions,
) -> Result<(), ApiStatus> {
    stream::iter(entries.iter().map(Ok))
        .try_for_each_concurrent(DELETES_AT_ONCE, |entry| async move {
            let (namespace, name) = resource.split_key(&entry.key);
            match remove(api, user, resource, namespace, name, options).await {
                Err(status) if status.code != 404 => Err(status),
                _ => Ok(()),
            }
        })
        .await
}

/// DELETE of everything that is selected.
pub(crate) async fn collection(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    content: &[u8],
) -> Result<Answer, ApiStatus> {
    let form = negotiate::object_form(&call.parts.headers)?;
    let options = DeleteOptions::read(
        &call.query,
        input::optional(&call.parts.headers, content, "DeleteOptions")?,
    )?;
    let list_options = ListOptions::from_query(&call.query, false)?;
    let selection = Selection::new(resource, &list_options, "")?;
    let listing =
        list::collect(api, resource, &wanted.namespace, &list_options, &selection).await?;
    let stored = body::stored_row(api, resource)?;
    remove_all(api, &call.user, &stored, &listing.entries, &options).await?;
    list::write(call, resource, form, listing)
}
