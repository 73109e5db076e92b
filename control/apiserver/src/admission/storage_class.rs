//! The default StorageClass of claims that name none.

use minicloud_api::meta;
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
