//! What update and patch share: read, make the new object, judge it, compare and swap.

use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use minicloud_store::StoreError;
use serde_json::Value;

use super::deletion;
use crate::admission;
use crate::api::Api;
use crate::objects::{self, Written};
use crate::registry::Resource;
use crate::strategy::{self, Part};

/// How often a write that names no version is tried against concurrent writers.
const ATTEMPTS: usize = 16;

/// What is to be changed.
pub(crate) struct Change<'a> {
    pub(crate) user: &'a UserInfo,
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) part: Part,
    pub(crate) dry_run: bool,
    /// Skips what only guards against clients: for the server's own writes.
    pub(crate) trusted: bool,
}

/// Changes one object: `make` gives the wished object for the present one, decoded. It is called again when another writer
/// was faster; a wish that names the version that it is based on is then refused.
pub(crate) async fn apply<F>(
    api: &Arc<Api>,
    change: &Change<'_>,
    mut make: F,
) -> Result<Written, ApiStatus>
where
    F: FnMut(&Value) -> Result<Value, ApiStatus> + Send,
{
    let (resource, name) = (change.resource, change.name);
    let key = resource.key(change.namespace, name);
    let missing = || ApiStatus::not_found(&resource.group, &resource.plural, name);
    let _held = admission::hold(api, resource).await;
    for _ in 0..ATTEMPTS {
        let entry = api.store.get(&key).ok_or_else(missing)?;
        let old = objects::decode(resource, &entry.value, entry.mod_revision)?;
        let mut new = make(&old)?;
        check_identity(change, &new, &old)?;
        fit(change, &mut new, &old)?;
        strategy::default(resource, &mut new);
        if !change.trusted {
            admission::update(
                api,
                change.user,
                resource,
                change.namespace,
                &mut new,
                &old,
                change.part,
            )?;
        }
        if !change.trusted {
            strategy::prepare_update(resource, &mut new, &old, change.part);
            admission::finish_update(api, resource, &mut new, change.part);
        }
        keep_system_fields(&mut new, &old);
        let errors = strategy::validate_update(resource, &new, &old, change.part);
        if !errors.is_empty() && !change.trusted {
            return Err(ApiStatus::invalid(
                &resource.group,
                &resource.kind,
                name,
                &errors,
            ));
        }
        if !change.trusted {
            admission::validate_update(
                api,
                change.user,
                resource,
                change.namespace,
                &new,
                &old,
                change.part,
            )?;
        }
        let gone = deletion::ends_with_update(resource, &new, &old);
        let bytes = objects::encode(resource, &mut new);
        if change.dry_run {
            return Ok(Written {
                bytes,
                revision: entry.mod_revision,
            });
        }
        let result = if gone {
            api.store_delete(resource, &key, entry.mod_revision)
                .await
                .map(|revision| Written { bytes, revision })
        } else if bytes == entry.value {
            // Nothing changed: no write, no event, the same version, as in Kubernetes.
            return Ok(Written {
                bytes,
                revision: entry.mod_revision,
            });
        } else {
            api.store_update(resource, &key, bytes, entry.mod_revision)
                .await
        };
        match result {
            Ok(written) => return Ok(written),
            // Made again from the newer object. A patch that names no version fits it; a wish that names one is refused then.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(objects::store_error(resource, name, error)),
        }
    }
    Err(ApiStatus::modified(&resource.group, &resource.plural, name))
}

/// Name, uid and version of the wished object against the present one.
fn check_identity(change: &Change<'_>, new: &Value, old: &Value) -> Result<(), ApiStatus> {
    let resource = change.resource;
    check_name(change, new)?;
    check_uid(change, new, meta::uid(old))?;
    match meta::resource_version(new) {
        "" | "0" if resource.unconditional_update || change.trusted => Ok(()),
        "" | "0" => {
            let path = minicloud_api::field::Path::new("metadata").child("resourceVersion");
            let mut error = minicloud_api::field::FieldError::invalid(
                path,
                0,
                "must be specified for an update",
            );
            // As Go prints an unsigned number.
            "0x0".clone_into(&mut error.value);
            // The resource where others name the kind, as Kubernetes does here.
            Err(ApiStatus::invalid(
                &resource.group,
                &resource.plural,
                change.name,
                &vec![error].into(),
            ))
        }
        version if version == meta::resource_version(old) => Ok(()),
        version => {
            crate::query::parse_revision(version)?;
            Err(ApiStatus::modified(
                &resource.group,
                &resource.plural,
                change.name,
            ))
        }
    }
}

/// The name in the object must be that of the path.
pub(super) fn check_name(change: &Change<'_>, new: &Value) -> Result<(), ApiStatus> {
    let given = meta::name(new);
    if given == change.name {
        return Ok(());
    }
    Err(ApiStatus::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({})",
        change.name
    )))
}

/// A uid in the object must be that of the present one, `present`; empty when there is none.
pub(super) fn check_uid(change: &Change<'_>, new: &Value, present: &str) -> Result<(), ApiStatus> {
    let uid = meta::uid(new);
    if uid.is_empty() || uid == present {
        return Ok(());
    }
    let resource = change.resource;
    Err(ApiStatus::conflict(
        &resource.group,
        &resource.plural,
        change.name,
        &format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {present}"),
    ))
}

fn fit(change: &Change<'_>, new: &mut Value, old: &Value) -> Result<(), ApiStatus> {
    super::create::fit_namespace(change.resource, new, change.namespace)?;
    keep_system_fields(new, old);
    if !change.trusted && change.part == Part::Main && meta::is_deleting(old) {
        let known: Vec<&str> = meta::finalizers(old).collect();
        let added: Vec<String> = meta::finalizers(new)
            .filter(|f| !known.contains(f))
            .map(|f| format!("{f:?}"))
            .collect();
        if !added.is_empty() {
            let path = minicloud_api::field::Path::new("metadata").child("finalizers");
            let error = minicloud_api::field::FieldError::forbidden(
                path,
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                ),
            );
            let (resource, name) = (change.resource, change.name);
            return Err(ApiStatus::invalid(
                &resource.group,
                &resource.kind,
                name,
                &vec![error].into(),
            ));
        }
    }
    Ok(())
}

/// What belongs to the server stays as it was.
fn keep_system_fields(new: &mut Value, old: &Value) {
    let kept = old.get("metadata");
    let metadata = meta::metadata_mut(new);
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match kept.and_then(|m| m.get(field)) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
}
