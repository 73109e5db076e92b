//! Which objects a controller owns, wants or must let go: Kubernetes' controllerRef rules.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use minicloud_api::selector::LabelSelector;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::objects::{controller, is_deleting, selects, uid};
use super::patch::{is_code, or_gone};

/// What the relation of an object to a controller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the controller's.
    Keep,
    /// It is nobody's and matches: take it, after a live look at the controller.
    Adopt,
    /// It is the controller's and does not match any more: let it go.
    Release,
    /// It is none of the controller's business.
    Ignore,
}

/// Decides for one object. `owner` is the controller's metadata.
pub(crate) fn claim(owner: &ObjectMeta, selector: &LabelSelector, object: &ObjectMeta) -> Claim {
    let matches = selects(selector, object.labels.as_ref());
    match controller(object) {
        Some(reference) if reference.uid != uid(owner) => Claim::Ignore,
        Some(_) if matches => Claim::Keep,
        Some(_) if is_deleting(owner) => Claim::Ignore,
        Some(_) => Claim::Release,
        None if !matches || is_deleting(owner) || is_deleting(object) => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// Makes `owner` the controller of the object; false when the object is gone or has changed hands.
pub(crate) async fn adopt<K>(api: &Api<K>, object: &K, owner: &OwnerReference) -> kube::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = Patch::Strategic(json!({
        "metadata": {"uid": object.uid(), "ownerReferences": [owner]}
    }));
    edit(api, object, patch).await
}

/// Takes the reference to the owner with this UID off the object.
pub(crate) async fn release<K>(api: &Api<K>, object: &K, owner_uid: &str) -> kube::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = Patch::Strategic(json!({
        "metadata": {"uid": object.uid(), "ownerReferences": [{"$patch": "delete", "uid": owner_uid}]}
    }));
    edit(api, object, patch).await
}

async fn edit<K>(api: &Api<K>, object: &K, patch: Patch<serde_json::Value>) -> kube::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    match or_gone(
        api.patch(&object.name_any(), &PatchParams::default(), &patch)
            .await,
    ) {
        Ok(done) => Ok(done.is_some()),
        // Another object has the name now, or another controller was faster.
        Err(error) if is_code(&error, 422) || is_code(&error, 409) => Ok(false),
        Err(error) => Err(error),
    }
}

/// True when the controller still exists as it was seen and is not being deleted: only then may it adopt.
pub(crate) async fn may_adopt<K>(api: &Api<K>, owner: &K) -> kube::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    Ok(api
        .get_metadata_opt(&owner.name_any())
        .await?
        .is_some_and(|live| live.metadata.uid == owner.meta().uid && !is_deleting(&live.metadata)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value};

    use super::*;

    #[test]
    fn controllers_keep_adopt_and_release() {
        let selector = LabelSelector::from_labels([("app", "web")]);
        let check = |owner: Value, object: Value, expect: Claim| {
            let (owner, meta) = (
                from_value(owner).unwrap(),
                from_value(object.clone()).unwrap(),
            );
            assert_eq!(claim(&owner, &selector, &meta), expect, "{object}");
        };
        let live = || json!({"uid": "me"});
        let dying = || json!({"uid": "me", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        let owned = |uid: &str, app: &str| {
            json!({"labels": {"app": app}, "ownerReferences":
                [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid, "controller": true}]})
        };
        check(live(), owned("me", "web"), Claim::Keep);
        check(live(), owned("me", "db"), Claim::Release);
        check(live(), owned("other", "web"), Claim::Ignore);
        check(dying(), owned("me", "db"), Claim::Ignore);
        check(live(), json!({"labels": {"app": "web"}}), Claim::Adopt);
        check(live(), json!({"labels": {"app": "db"}}), Claim::Ignore);
        check(live(), json!({}), Claim::Ignore);
        check(dying(), json!({"labels": {"app": "web"}}), Claim::Ignore);
        let going = json!({"labels": {"app": "web"}, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        check(live(), going, Claim::Ignore);
    }
}
