//! CustomResourceDefinitions: from an object to rows of the registry, names and conditions, and what happens when one goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minicloud_api::field::{FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::{GROUP_MASTERS, UserInfo};
use minicloud_schema::crd;
use serde_json::{Value, json};

use crate::api::Api;
use crate::objects;
use crate::registry::{Definition, Registry, Resource};
use crate::strategy::Part;
use crate::verbs::change;
use crate::verbs::delete;
use crate::verbs::delete_options::DeleteOptions;
use crate::verbs::deletion::{self, Decision};

/// Keeps a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Serves what a stored definition says, or stops serving it.
pub(crate) fn observe(registry: &Registry, name: &str, definition: Option<&Value>) {
    let Some(definition) = definition.filter(|d| condition(d, "Established")) else {
        registry.remove(name);
        return;
    };
    match crd::compile(definition) {
        Ok(compiled) => registry.put(
            name,
            Definition {
                compiled: Arc::new(compiled),
                terminating: meta::is_deleting(definition),
                revision: meta::resource_version(definition)
                    .parse()
                    .unwrap_or(u64::MAX),
            },
        ),
        Err(errors) => {
            // It was valid when it was stored; a newer server may see it otherwise.
            tracing::error!(name, %errors, "a stored CustomResourceDefinition cannot be served");
            registry.remove(name);
        }
    }
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

/// Decides about the names of a new or changed definition and writes the decision into its status.
pub(crate) fn name(api: &Api, definition: &mut Value) {
    let Some(resource) = api
        .registry
        .built_in("apiextensions.k8s.io", "customresourcedefinitions")
    else {
        return;
    };
    let group = definition
        .pointer("/spec/group")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let own = meta::name(definition).to_owned();
    // Definitions of this group only: the rest cannot be in the way.
    let others: Vec<Value> = api
        .registry
        .snapshot()
        .definitions()
        .filter(|(name, compiled)| **name != own && compiled.group == group)
        .filter_map(|(name, _)| api.object(&resource, "", name).ok())
        .collect();
    let naming = crd::naming(definition, others.iter(), &meta::time(Timestamp::now()));
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
    if registry.built_in(group, plural).is_none() {
        return Ok(());
    }
    let error = FieldError::invalid(
        Path::new("spec").child("names").child("plural"),
        plural,
        format!("the server itself serves {plural}.{group}"),
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
pub(crate) struct Cleaning(std::sync::Mutex<BTreeSet<String>>);

/// How long to wait for objects whose finalizers take their time.
const POLL: Duration = Duration::from_millis(250);

/// Removes the objects of a deleted definition in the background, then the definition.
pub(crate) fn clean_up(api: &Arc<Api>, name: &str) {
    if !api
        .cleaning
        .0
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
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
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(&name);
    });
}

async fn remove_all(api: &Arc<Api>, name: &str) {
    let user = UserInfo::new("system:apiserver", [GROUP_MASTERS]);
    loop {
        let snapshot = api.registry.snapshot();
        let row = snapshot
            .rows()
            .find(|r| r.custom().is_some_and(|c| c.crd_name == name))
            .cloned();
        let Some(row) = row else { break };
        let entries = match api.store.list(&row.prefix, None, 0, None).await {
            Ok(page) => page.entries,
            Err(error) => {
                tracing::warn!(name, %error, "cannot list the objects of a deleted definition; trying again");
                tokio::time::sleep(POLL * 8).await;
                continue;
            }
        };
        if entries.is_empty() {
            break;
        }
        let result =
            delete::remove_all(api, &user, &row, &entries, &DeleteOptions::default()).await;
        if let Err(error) = result {
            tracing::warn!(name, %error, "cannot delete an object of a deleted definition; trying again");
        }
        tokio::time::sleep(POLL).await;
    }
    let Some(resource) = api
        .registry
        .built_in("apiextensions.k8s.io", "customresourcedefinitions")
    else {
        return;
    };
    let wish = change::Change {
        user: &user,
        resource: &resource,
        namespace: "",
        name,
        part: Part::Main,
        dry_run: false,
        trusted: true,
    };
    let result = change::apply(api, &wish, |old| {
        let mut new = old.clone();
        set_condition(
            &mut new,
            "Terminating",
            "False",
            "InstanceDeletionCompleted",
            "removed all instances",
        );
        let left: Vec<String> = meta::finalizers(old)
            .filter(|f| *f != FINALIZER)
            .map(str::to_owned)
            .collect();
        let metadata = meta::metadata_mut(&mut new);
        if left.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), left.into());
        }
        // Not based on a version: whoever writes in between does not matter here.
        metadata.remove("resourceVersion");
        Ok(new)
    })
    .await;
    match result {
        Err(error) if error.code != 404 => {
            tracing::warn!(name, %error, "cannot finish the deletion of a definition")
        }
        _ => {}
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
