//! Objects in the store: reading, writing, and telling those who must know at once.
//!
//! After every write of a role, a binding, a definition and the like, what is derived from it in memory is brought up to date
//! before the client gets its answer, so that a client can rely on what it has just written.

use std::sync::Arc;

use bytes::Bytes;
use minicloud_api::status::ApiStatus;
use minicloud_auth::authz::RbacKind;
use minicloud_store::{Entry, StoreError};
use serde_json::Value;

use crate::api::Api;
use crate::codec;
use crate::registry::Resource;

/// An object after a write.
pub(crate) struct Written {
    /// As stored.
    pub(crate) bytes: Bytes,
    /// Its revision.
    pub(crate) revision: u64,
}

/// What a store error means to the client of a request about `name`.
pub(crate) fn store_error(resource: &Resource, name: &str, error: StoreError) -> ApiStatus {
    let (group, plural) = (resource.group.as_str(), resource.plural.as_str());
    match error {
        StoreError::AlreadyExists { .. } => ApiStatus::already_exists(group, plural, name),
        StoreError::NotFound { .. } => ApiStatus::not_found(group, plural, name),
        StoreError::Conflict { .. } => ApiStatus::modified(group, plural, name),
        StoreError::Compacted { requested, oldest } => {
            ApiStatus::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        StoreError::FutureRevision { requested, current } => too_large_version(requested, current),
        StoreError::TooLarge {
            size_bytes,
            limit_bytes,
            ..
        } => ApiStatus::too_large(format!(
            "Request entity too large: the object has {size_bytes} bytes, limit is {limit_bytes}"
        )),
        StoreError::InvalidKey { reason } => {
            ApiStatus::bad_request(format!("the name of the object cannot be used: {reason}"))
        }
        StoreError::Closed => ApiStatus::service_unavailable("the server is shutting down"),
        StoreError::DiskFull { .. } => {
            tracing::error!(%error, "a write was refused");
            ApiStatus::new(507, "InternalError", error.to_string())
        }
        error => {
            tracing::error!(%error, "the store failed");
            ApiStatus::internal(error)
        }
    }
}

/// Kubernetes' answer about a resource version that is not there yet.
pub(crate) fn too_large_version(requested: u64, current: u64) -> ApiStatus {
    let message = format!("Too large resource version: {requested}, current: {current}");
    ApiStatus {
        details: Some(Box::new(serde_json::json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }))),
        ..ApiStatus::timeout(format!("Timeout: {message}"))
    }
}

/// Parses a stored object; its apiVersion, and where its definition has changed since its shape, are those of the row.
pub(crate) fn decode(resource: &Resource, bytes: &[u8], revision: u64) -> Result<Value, ApiStatus> {
    let mut value = codec::decode(bytes, revision).map_err(|e| {
        ApiStatus::internal(format!("a stored {} cannot be read: {e}", resource.kind))
    })?;
    if resource.is_custom()
        && let Some(root) = value.as_object_mut()
    {
        root.insert("apiVersion".into(), resource.api_version().into());
    }
    if let Some(custom) = resource.custom()
        && resource.reshapes(revision)
    {
        custom.version.schema.prune(&mut value);
        custom.version.schema.apply_defaults(&mut value);
    }
    Ok(value)
}

/// Serialises an object for the store, under the version that it is stored as.
pub(crate) fn encode(resource: &Resource, value: &mut Value) -> Bytes {
    if let Some(custom) = resource.custom()
        && let Some(root) = value.as_object_mut()
    {
        root.insert(
            "apiVersion".into(),
            custom.storage_api_version.clone().into(),
        );
    }
    codec::encode(value)
}

impl Api {
    /// The stored object, or 404.
    pub(crate) fn entry(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Entry, ApiStatus> {
        self.store
            .get(&resource.key(namespace, name))
            .ok_or_else(|| ApiStatus::not_found(&resource.group, &resource.plural, name))
    }

    /// The parsed object, or 404.
    pub(crate) fn object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, ApiStatus> {
        let entry = self.entry(resource, namespace, name)?;
        decode(resource, &entry.value, entry.mod_revision)
    }

    /// The parsed object of a built-in kind, when there is one.
    pub(crate) fn find(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let resource = self.registry.built_in(group, plural)?;
        self.object(&resource, namespace, name).ok()
    }

    /// Stores a new object.
    pub(crate) async fn store_create(
        &self,
        resource: &Arc<Resource>,
        key: &str,
        name: &str,
        bytes: Bytes,
    ) -> Result<Written, ApiStatus> {
        let entry = self
            .store
            .create(key, bytes)
            .await
            .map_err(|e| store_error(resource, name, e))?;
        self.observe(resource, key);
        Ok(Written {
            bytes: entry.value,
            revision: entry.mod_revision,
        })
    }

    /// Stores a changed object. The store's own error comes back, as callers retry conflicts.
    pub(crate) async fn store_update(
        &self,
        resource: &Arc<Resource>,
        key: &str,
        bytes: Bytes,
        expected: u64,
    ) -> Result<Written, StoreError> {
        let entry = if resource.volatile {
            self.store.update_volatile(key, bytes, expected).await?
        } else {
            self.store.update(key, bytes, expected).await?
        };
        self.observe(resource, key);
        Ok(Written {
            bytes: entry.value,
            revision: entry.mod_revision,
        })
    }

    /// Removes an object that is at `expected`. Returns the revision of the delete.
    pub(crate) async fn store_delete(
        &self,
        resource: &Arc<Resource>,
        key: &str,
        expected: u64,
    ) -> Result<u64, StoreError> {
        let deleted = self.store.delete(key, Some(expected)).await?;
        self.observe(resource, key);
        Ok(deleted.revision)
    }

    /// Brings everything that is derived from an object up to date with the store.
    ///
    /// It reads the store instead of taking the value written, under a lock: whoever comes last sees the newest state, whatever
    /// the order in which concurrent writers get here.
    pub(crate) fn observe(&self, resource: &Resource, key: &str) {
        let watched = matches!(
            (resource.group.as_str(), resource.plural.as_str()),
            ("rbac.authorization.k8s.io" | "apiextensions.k8s.io", _)
                | ("", "pods" | "persistentvolumes" | "services")
        );
        if !watched {
            return;
        }
        let _one_at_a_time = self
            .observing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (namespace, name) = resource.split_key(key);
        let value = self
            .store
            .get(key)
            .and_then(|entry| codec::decode(&entry.value, entry.mod_revision).ok());
        if let Some(kind) = RbacKind::from_resource(&resource.plural)
            && resource.group == "rbac.authorization.k8s.io"
        {
            match &value {
                Some(value) => self.authorizer.upsert(kind, value),
                None => self.authorizer.remove(kind, namespace, name),
            }
            if kind == RbacKind::ClusterRole {
                self.roles_changed.notify_one();
            }
            return;
        }
        match (resource.plural.as_str(), &value) {
            ("pods", Some(pod)) => self.authorizer.upsert_pod(pod),
            ("pods", None) => self.authorizer.remove_pod(namespace, name),
            ("persistentvolumes", Some(volume)) => self.authorizer.upsert_persistent_volume(volume),
            ("persistentvolumes", None) => self.authorizer.remove_persistent_volume(name),
            ("services", service) => self.services.observe(namespace, name, service.as_ref()),
            ("customresourcedefinitions", definition) => {
                crate::crds::observe(self, name, definition.as_ref());
            }
            _ => {}
        }
    }

    /// Observes everything that is in the store: once, before serving.
    pub(crate) async fn observe_all(&self) -> Result<(), StoreError> {
        for (group, plural) in [
            ("rbac.authorization.k8s.io", "clusterroles"),
            ("rbac.authorization.k8s.io", "clusterrolebindings"),
            ("rbac.authorization.k8s.io", "roles"),
            ("rbac.authorization.k8s.io", "rolebindings"),
            ("", "pods"),
            ("", "persistentvolumes"),
            ("", "services"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
        ] {
            let Some(resource) = self.registry.built_in(group, plural) else {
                continue;
            };
            for entry in self
                .store
                .list(&resource.prefix, None, 0, None)
                .await?
                .entries
            {
                self.observe(&resource, &entry.key);
            }
        }
        Ok(())
    }
}
