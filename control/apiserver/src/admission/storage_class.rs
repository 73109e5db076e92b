//! What StorageClasses mean for claims: which one is the default, and whether a claim may grow.

use minicloud_api::meta;
use minicloud_api::quantity::Quantity;
use minicloud_api::status::ApiStatus;
use serde_json::Value;

use crate::api::Api;
use crate::objects;

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Sets `spec.storageClassName` of a claim that has none to the newest default class. An empty name is a choice and stays.
pub(crate) async fn complete(api: &Api, claim: &mut Value) -> Result<(), ApiStatus> {
    let named = claim
        .pointer("/spec/storageClassName")
        .is_some_and(|n| !n.is_null())
        || meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_some();
    if named {
        return Ok(());
    }
    let Some(classes) = api.registry.built_in("storage.k8s.io", "storageclasses") else {
        return Ok(());
    };
    let page = api
        .store
        .list(&classes.prefix, None, 0, None)
        .await
        .map_err(|e| objects::store_error(&classes, "", e))?;
    let newest = page
        .entries
        .iter()
        .filter_map(|e| objects::decode(&classes, &e.value, e.mod_revision).ok())
        .filter(|class| meta::annotation(class, IS_DEFAULT) == Some("true"))
        .max_by_key(|class| {
            (
                meta::text(class, "creationTimestamp").to_owned(),
                std::cmp::Reverse(meta::name(class).to_owned()),
            )
        });
    if let Some(class) = newest {
        let name = meta::name(&class).to_owned();
        meta::child_mut(meta::root_mut(claim), "spec")
            .insert("storageClassName".into(), name.into());
    }
    Ok(())
}

/// Refuses the growth of a claim whose class does not promise it: nothing would make its volume larger, and whoever waits for that
/// would wait for ever.
pub(crate) fn check_growth(api: &Api, new: &Value, old: &Value) -> Result<(), ApiStatus> {
    let size = |claim: &Value| {
        claim
            .pointer("/spec/resources/requests/storage")
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<Quantity>().ok())
    };
    let grows = match (size(new), size(old)) {
        (Some(new), Some(old)) => new > old,
        _ => false,
    };
    if !grows {
        return Ok(());
    }
    let expandable = old
        .pointer("/spec/storageClassName")
        .and_then(Value::as_str)
        .and_then(|name| api.find("storage.k8s.io", "storageclasses", "", name))
        .is_some_and(|class| class.get("allowVolumeExpansion") == Some(&Value::Bool(true)));
    if expandable {
        return Ok(());
    }
    Err(ApiStatus::forbidden(
        "",
        "persistentvolumeclaims",
        meta::name(old),
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    ))
}
