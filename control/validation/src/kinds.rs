//! The rules of the built-in kinds: one unit struct per kind that implements [`KindRules`], found by [`rules`].
//!
//! A write goes through them in this order: `decode` (the body), `default`, the API server's admission,
//! `prepare_create`/`prepare_update`, `validate`/`validate_update`. A write to `/status` uses the `*_status_update` pair.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use crate::schema::{DecodeError, Decoded};

/// What Kubernetes does to objects of one built-in kind on their way into the store.
///
/// Every method takes the whole object, with `apiVersion` and `kind`. None panics on arbitrary JSON.
pub trait KindRules: Send + Sync {
    /// Checks the types of all known fields, as Go's decoder would, drops unknown fields and nulls, and puts quantities and
    /// timestamps into canonical form. Unknown fields are reported, not refused: `fieldValidation` decides about them.
    ///
    /// # Errors
    /// A field of the wrong type; answer with 400.
    fn decode(&self, value: Value) -> Result<Decoded, DecodeError>;

    /// Fills in Kubernetes' defaults. Idempotent.
    fn default(&self, value: &mut Value);

    /// Before a create is validated: drops what a client may not set (status) and sets initial values (generation, phase).
    fn prepare_create(&self, value: &mut Value);

    /// Before an update of the main resource is validated: takes status and system-owned metadata from `old`, and
    /// increases `metadata.generation` when the specification changed, for kinds that count generations.
    fn prepare_update(&self, new: &mut Value, old: &Value);

    /// Before an update of `/status` is validated: takes everything but status (and resourceVersion, managedFields) from `old`.
    fn prepare_status_update(&self, new: &mut Value, old: &Value);

    /// Validates a new object; empty if it is valid.
    fn validate(&self, value: &Value) -> ErrorList;

    /// Validates an update of the main resource, including what may not change.
    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList;

    /// Validates an update of `/status`.
    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList;
}

/// The rules for a built-in kind, if it is one. `group` is empty for the core group; `meta.k8s.io` or the empty group and
/// any version give `DeleteOptions`.
pub fn rules(_group: &str, _version: &str, _kind: &str) -> Option<&'static dyn KindRules> {
    None
}
