//! CustomResourceDefinitions: from an object to rows of the registry, names and conditions, and what happens when one goes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_schema::crd;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::objects;
use crate::registry::{Definition, Registry, Resource};
use crate::start::server_user;
use crate::strategy::Part;
use crate::verbs::change;
use crate::verbs::delete;
use crate::verbs::delete_options::DeleteOptions;
use crate::verbs::deletion::{self, Decision};

/// Keeps a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Serves what a stored definition says, or stops serving it.
pub(crate) fn observe(api: &Api, name: &str, definition: Option<&Value>) {
    api.claims.observe(name, definition);
    let Some(definition) = definition.filter(|d| condition(d, "Established")) else {
        api.registry.remove(name);
        return;
    };
    match compile(definition) {
        Ok(compiled) => api.registry.put(name, compiled),
        Err(errors) => {
            // It was valid when it was stored; a newer server may see it otherwise.
            tracing::error!(name, %errors, "a stored CustomResourceDefinition cannot be served");
            api.registry.remove(name);
        }
    }
}

/// What the registry needs to know of a definition.
pub(crate) fn compile(definition: &Value) -> Result<Definition, ErrorList> {
    let mut digest = DefaultHasher::new();
    meta::uid(definition).hash(&mut digest);
    definition.get("spec").hash(&mut digest);
    definition
        .pointer("/status/acceptedNames")
        .hash(&mut digest);
    Ok(Definition {
        compiled: Arc::new(crd::compile(definition)?),
        terminating: meta::is_deleting(definition),
        revision: meta::resource_version(definition)
            .parse()
            .unwrap_or(u64::MAX),
        digest: digest.finish(),
        outdated: CancellationToken::new(),
    })
}

fn condition(definition: &Value, kind: &str) -> bool {
    let conditions = definition
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| {
        c.get("type").and_then(Value::as_str) == Some(kind)
            && c.get("status").and_then(Value::as_str) == Some("True")
    })
}

fn set_condition(definition: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let status_map = meta::child_mut(meta::root_mut(definition), "status");
    let conditions = status_map.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|c| c.get("type").and_then(Value::as_str) != Some(kind));
        conditions.push(json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": meta::time(Timestamp::now()),
        }));
    }
}

/// The names that definitions have, those that are not served as well: what others are judged against.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Of each definition what [`crd::naming`] reads.
    by_name: Mutex<BTreeMap<String, Value>>,
    changed: Notify,
}

impl Claims {
    fn observe(&self, name: &str, definition: Option<&Value>) {
        let at = |pointer: &str| definition.and_then(|d| d.pointer(pointer));
        if definition.is_some() {
            let claim = json!({
                "metadata": {"name": name},
                "spec": {"group": at("/spec/group")},
                "status": {"acceptedNames": at("/status/acceptedNames"), "conditions": at("/status/conditions")},
            });
            self.lock().insert(name.to_owned(), claim);
        } else {
            self.lock().remove(name);
        }
        self.changed.notify_one();
    }

    /// Returns when names may have come free.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The definitions that do not have all the names that they ask for.
    fn waiting(&self) -> Vec<String> {
        let claims = self.lock();
        let waiting = claims
            .iter()
            .filter(|(_, c)| !condition(c, "NamesAccepted"));
        waiting.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Judges the definitions anew that wait for names: whoever had them may have let them go.
pub(crate) async fn settle(api: &Arc<Api>) {
    for waiting in api.claims.waiting() {
        let result = write(api, &waiting, |definition| name(api, definition)).await;
        if let Err(error) = result {
            tracing::warn!(name = waiting, %error, "cannot judge the names of a definition; trying again when another changes");
        }
    }
}

/// Decides about the names of a new or changed definition and writes the decision into its status.
pub(crate) fn name(api: &Api, definition: &mut Value) {
    let now = meta::time(Timestamp::now());
    let naming = crd::naming(definition, api.claims.lock().values(), &now);
    let storage: Vec<String> = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|v| v.get("storage").and_then(Value::as_bool) == Some(true))
        .filter_map(|v| v.get("name")?.as_str().map(str::to_owned))
        .collect();
    let status = meta::child_mut(meta::root_mut(definition), "status");
    status.insert("acceptedNames".into(), naming.accepted_names);
    status.insert("conditions".into(), naming.conditions);
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(stored) = stored.as_array_mut() {
        for version in storage {
            if !stored.iter().any(|v| v.as_str() == Some(&version)) {
                stored.push(version.into());
            }
        }
    }
}

/// Refuses a definition of what is built in, which would not be served.
pub(crate) fn check_create(registry: &Registry, definition: &Value) -> Result<(), ApiStatus> {
    let text = |pointer: &str| {
        let found = definition.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default()
    };
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    if registry.built_in(group, plural).is_none() && !registry.is_extension(group) {
        return Ok(());
    }
    let error = FieldError::invalid(
        Path::new("spec").child("names").child("plural"),
        plural,
        if registry.is_extension(group) {
            format!("the server itself serves the group {group}")
        } else {
            format!("the server itself serves {plural}.{group}")
        },
    );
    Err(ApiStatus::invalid(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        meta::name(definition),
        &vec![error].into(),
    ))
}

/// A deleted definition first gets the finalizer under which its objects are removed.
pub(crate) fn decide(
    resource: &Resource,
    old: &Value,
    options: &DeleteOptions,
    now: Timestamp,
) -> Decision {
    let mut old = old.clone();
    if !meta::is_deleting(&old) {
        let mut finalizers: Vec<String> = meta::finalizers(&old).map(str::to_owned).collect();
        if !finalizers.iter().any(|f| f == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        meta::metadata_mut(&mut old).insert("finalizers".into(), finalizers.into());
        set_condition(
            &mut old,
            "Terminating",
            "True",
            "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource deletion will be initiated soon",
        );
    }
    deletion::decide(resource, &old, options, now)
}

/// The definitions whose objects are being removed.
#[derive(Debug, Default)]
pub(crate) struct Cleaning(Mutex<BTreeSet<String>>);

/// How long to wait for objects whose finalizers take their time.
const POLL: Duration = Duration::from_millis(250);

/// Removes the objects of a deleted definition in the background, then the definition.
pub(crate) fn clean_up(api: &Arc<Api>, name: &str) {
    if !api
        .cleaning
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(name.to_owned())
    {
        return;
    }
    let (api, name) = (Arc::clone(api), name.to_owned());
    tokio::spawn(async move {
        let mut ending = api.ending();
        tokio::select! {
            () = remove_all(&api, &name) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
        api.cleaning
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&name);
    });
}

async fn remove_all(api: &Arc<Api>, name: &str) {
    let Some(definition) = api.find(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "",
        name,
    ) else {
        return;
    };
    // Not from the registry, which knows only versions that are served.
    match compile(&definition).map(|compiled| compiled.storage_row(name)) {
        Ok(Some(row)) => remove_objects(api, name, &Arc::new(row)).await,
        Ok(None) => {}
        Err(errors) => {
            tracing::error!(name, %errors, "a deleted CustomResourceDefinition stays: its objects cannot be read to remove them");
            return;
        }
    }
    let result = write(api, name, |definition| {
        set_condition(
            definition,
            "Terminating",
            "False",
            "InstanceDeletionCompleted",
            "removed all instances",
        );
        let left: Vec<String> = meta::finalizers(definition)
            .filter(|f| *f != FINALIZER)
            .map(str::to_owned)
            .collect();
        let metadata = meta::metadata_mut(definition);
        if left.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), left.into());
        }
    })
    .await;
    if let Err(error) = result {
        tracing::warn!(name, %error, "cannot finish the deletion of a definition");
    }
}

/// Returns when there are no more objects under `row`.
async fn remove_objects(api: &Arc<Api>, name: &str, row: &Arc<Resource>) {
    let user = server_user();
    loop {
        let entries = match api.store.list(&row.prefix, None, 0, None).await {
            Ok(page) => page.entries,
            Err(error) => {
                tracing::warn!(name, %error, "cannot list the objects of a deleted definition; trying again");
                tokio::time::sleep(POLL * 8).await;
                continue;
            }
        };
        if entries.is_empty() {
            return;
        }
        let result = delete::remove_all(api, &user, row, &entries, &DeleteOptions::default()).await;
        if let Err(error) = result {
            tracing::warn!(name, %error, "cannot delete an object of a deleted definition; trying again");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The server's own write of a definition, whoever else writes it; nothing where it is gone.
async fn write(
    api: &Arc<Api>,
    name: &str,
    change: impl Fn(&mut Value) + Send + Sync,
) -> Result<(), ApiStatus> {
    let Some(resource) = api
        .registry
        .built_in("apiextensions.k8s.io", "customresourcedefinitions")
    else {
        return Ok(());
    };
    let wish = change::Change {
        user: &server_user(),
        resource: &resource,
        namespace: "",
        name,
        part: Part::Main,
        dry_run: false,
        trusted: true,
    };
    let result = change::apply(api, &wish, |old| {
        let mut new = old.clone();
        change(&mut new);
        // Not based on a version: whoever writes in between does not matter here.
        meta::metadata_mut(&mut new).remove("resourceVersion");
        Ok(new)
    });
    match result.await {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(()),
    }
}

/// Goes on with deletions that a restart interrupted.
pub(crate) async fn resume(api: &Arc<Api>) -> Result<(), ApiStatus> {
    let Some(resource) = api
        .registry
        .built_in("apiextensions.k8s.io", "customresourcedefinitions")
    else {
        return Ok(());
    };
    let page = api
        .store
        .list(&resource.prefix, None, 0, None)
        .await
        .map_err(|e| objects::store_error(&resource, "", e))?;
    for entry in page.entries {
        let definition = objects::decode(&resource, &entry.value, entry.mod_revision)?;
        if meta::is_deleting(&definition) && meta::finalizers(&definition).any(|f| f == FINALIZER) {
            clean_up(api, meta::name(&definition));
        }
    }
    Ok(())
}
