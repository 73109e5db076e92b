//! What happens to an object of any resource between the request's body and the store, apart from admission.
//!
//! Built-in kinds and custom resources differ here and nowhere else. All of it is pure.

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::status::ApiStatus;
use minicloud_api::{meta, names};
use minicloud_schema::crd;
use minicloud_validation::{Decoded, KindRules};
use serde_json::{Map, Value};

use crate::kinds;
use crate::query::FieldValidation;
use crate::registry::{Resource, Rules};

/// Which part of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The object without its status.
    Main,
    /// Its status only.
    Status,
}

/// Checks that an object is of the resource's kind and version; absent ones are filled in.
pub(crate) fn identify(resource: &Resource, value: &mut Value) -> Result<(), ApiStatus> {
    let Some(root) = value.as_object_mut() else {
        return Err(ApiStatus::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): it is not a JSON object",
            resource.kind
        )));
    };
    let expected = resource.api_version();
    let text = |field: &str| root.get(field).and_then(Value::as_str).unwrap_or_default();
    match text("apiVersion") {
        "" => {}
        given if given != expected => {
            return Err(ApiStatus::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({expected})"
            )));
        }
        _ => {}
    }
    match text("kind") {
        "" => {}
        given if given != resource.kind => {
            return Err(ApiStatus::bad_request(format!(
                "{given} in version {:?} cannot be handled as a {}",
                resource.version, resource.kind
            )));
        }
        _ => {}
    }
    root.insert("apiVersion".into(), expected.into());
    root.insert("kind".into(), resource.kind.clone().into());
    match root.get("metadata") {
        Some(Value::Object(_)) => Ok(()),
        None | Some(Value::Null) => {
            root.insert("metadata".into(), Value::Object(Map::new()));
            Ok(())
        }
        Some(_) => Err(ApiStatus::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal into Go struct field {}.metadata of type \
             v1.ObjectMeta",
            resource.kind, resource.version, resource.kind, resource.kind
        ))),
    }
}

/// Brings an object into its stored shape; returns what the schema does not know.
pub(crate) fn decode(
    resource: &Resource,
    mut value: Value,
) -> Result<(Value, Vec<String>), ApiStatus> {
    identify(resource, &mut value)?;
    let (mut value, unknown) = match &resource.rules {
        Rules::BuiltIn(rules) => {
            let decoded = decode_by(*rules, resource, value)?;
            (decoded.value, decoded.unknown)
        }
        Rules::Custom(custom) => {
            check_custom_metadata(resource, &value)?;
            let unknown = custom.version.schema.prune(&mut value);
            (value, unknown.iter().map(unknown_field).collect())
        }
        Rules::Definition => {
            check_custom_metadata(resource, &value)?;
            let unknown = crd::prune(&mut value);
            (value, unknown.iter().map(unknown_field).collect())
        }
        Rules::Virtual => (value, Vec::new()),
    };
    // Managed fields come with server-side apply; keeping a client's copy would only mislead.
    meta::metadata_mut(&mut value).remove("managedFields");
    meta::metadata_mut(&mut value).remove("selfLink");
    Ok((value, unknown))
}

/// Reads an object of a built-in kind by its rules.
pub(crate) fn decode_by(
    rules: &dyn KindRules,
    resource: &Resource,
    value: Value,
) -> Result<Decoded, ApiStatus> {
    rules.decode(value).map_err(|e| {
        ApiStatus::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {}",
            resource.kind, resource.version, resource.kind, e.message
        ))
    })
}

fn unknown_field(path: &String) -> String {
    format!("unknown field {path:?}")
}

/// Drops repeated owner references; the warning that this deserves.
pub(crate) fn drop_repeated_owners(value: &mut Value) -> Option<String> {
    let owners = value
        .pointer_mut("/metadata/ownerReferences")
        .and_then(Value::as_array_mut)?;
    let mut seen: Vec<Value> = Vec::new();
    let mut repeated: Vec<String> = Vec::new();
    owners.retain(|owner| {
        let again = seen.contains(owner);
        if again {
            let uid = owner.get("uid").and_then(Value::as_str);
            repeated.push(uid.unwrap_or_default().to_owned());
        } else {
            seen.push(owner.clone());
        }
        !again
    });
    (!repeated.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject \
             such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.join(", ")
        )
    })
}

/// What `fieldValidation` makes of unknown fields: an error, warnings, or nothing.
pub(crate) fn judge_unknown(
    resource: &Resource,
    unknown: Vec<String>,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiStatus> {
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(unknown),
        FieldValidation::Strict if unknown.is_empty() => Ok(unknown),
        FieldValidation::Strict => {
            let listed = unknown.join(", ");
            Err(ApiStatus::bad_request(if resource.is_custom() {
                format!("strict decoding error: {listed}")
            } else {
                format!(
                    "{} in version {:?} cannot be handled as a {}: strict decoding error: {listed}",
                    resource.kind, resource.version, resource.kind
                )
            }))
        }
    }
}

/// Fills in defaults.
pub(crate) fn default(resource: &Resource, value: &mut Value) {
    match &resource.rules {
        Rules::BuiltIn(rules) => rules.default(value),
        Rules::Definition => crd::default(value),
        Rules::Custom(custom) => custom.version.schema.apply_defaults(value),
        Rules::Virtual => {}
    }
}

/// Drops and sets what a client may not, before a create.
pub(crate) fn prepare_create(resource: &Resource, value: &mut Value) {
    match &resource.rules {
        Rules::BuiltIn(rules) => rules.prepare_create(value),
        Rules::Definition => kinds::prepare_create(value),
        Rules::Custom(custom) => {
            if custom.version.status {
                meta::root_mut(value).remove("status");
            }
            meta::metadata_mut(value).insert("generation".into(), 1.into());
        }
        Rules::Virtual => {}
    }
}

/// Takes from `old` what a client may not change, before an update.
pub(crate) fn prepare_update(resource: &Resource, new: &mut Value, old: &Value, part: Part) {
    match (&resource.rules, part) {
        (Rules::BuiltIn(rules), Part::Main) => rules.prepare_update(new, old),
        (Rules::BuiltIn(rules), Part::Status) => rules.prepare_status_update(new, old),
        (Rules::Definition, Part::Main) => kinds::prepare_update(new, old),
        (Rules::Definition | Rules::Custom(_), Part::Status) => {
            kinds::prepare_status_update(new, old)
        }
        (Rules::Custom(custom), Part::Main) => {
            let with_status = custom.version.status;
            if with_status {
                let root = meta::root_mut(new);
                match old.get("status") {
                    Some(status) => root.insert("status".into(), status.clone()),
                    None => root.remove("status"),
                };
            }
            let changed = content(new, with_status).ne(content(old, with_status));
            let generation = old
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0);
            let generation = if changed { generation + 1 } else { generation };
            meta::metadata_mut(new).insert("generation".into(), generation.into());
        }
        (Rules::Virtual, _) => {}
    }
}

/// What counts for the generation of a custom resource.
fn content(value: &Value, without_status: bool) -> impl Iterator<Item = (&String, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter(move |(k, _)| *k != "metadata" && !(without_status && *k == "status"))
}

/// What is wrong with a new object.
pub(crate) fn validate(resource: &Resource, value: &Value) -> ErrorList {
    match &resource.rules {
        Rules::BuiltIn(rules) => rules.validate(value),
        Rules::Definition => {
            let mut errors = custom_metadata(value);
            errors.extend(crd::validate_create(value));
            errors
        }
        Rules::Custom(custom) => {
            let mut errors = custom_metadata(value);
            errors.extend(custom.version.schema.validate(value));
            errors
        }
        Rules::Virtual => ErrorList::new(),
    }
}

/// What is wrong with a changed object.
pub(crate) fn validate_update(
    resource: &Resource,
    new: &Value,
    old: &Value,
    part: Part,
) -> ErrorList {
    match (&resource.rules, part) {
        (Rules::BuiltIn(rules), Part::Main) => rules.validate_update(new, old),
        (Rules::BuiltIn(rules), Part::Status) => rules.validate_status_update(new, old),
        (Rules::Definition, Part::Main) => {
            let mut errors = custom_metadata(new);
            errors.extend(crd::validate_update(new, old));
            errors
        }
        (Rules::Definition, Part::Status) => crd::validate_status_update(new, old),
        (Rules::Custom(custom), _) => {
            let mut errors = custom_metadata(new);
            errors.extend(custom.version.schema.validate_update(new, old));
            errors
        }
        (Rules::Virtual, _) => ErrorList::new(),
    }
}

/// The types of a custom resource's metadata; those of built-in kinds are checked with the rest of them.
fn check_custom_metadata(resource: &Resource, value: &Value) -> Result<(), ApiStatus> {
    let metadata = &value["metadata"];
    let bad = |field: &str, wanted: &str| {
        Err(ApiStatus::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal into Go struct field \
             ObjectMeta.metadata.{field} of type {wanted}",
            resource.kind, resource.version, resource.kind
        )))
    };
    for field in [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
    ] {
        if !matches!(
            metadata.get(field),
            None | Some(Value::String(_) | Value::Null)
        ) {
            return bad(field, "string");
        }
    }
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) if map.values().all(Value::is_string) => {}
            Some(_) => return bad(field, "map[string]string"),
        }
    }
    let strings = |v: &Value| v.as_array().is_some_and(|a| a.iter().all(Value::is_string));
    if metadata
        .get("finalizers")
        .is_some_and(|f| !f.is_null() && !strings(f))
    {
        return bad("finalizers", "[]string");
    }
    let owners = |v: &Value| {
        v.as_array().is_some_and(|a| {
            a.iter().all(|o| {
                ["apiVersion", "kind", "name", "uid"]
                    .iter()
                    .all(|f| o.get(*f).is_some_and(Value::is_string))
            })
        })
    };
    if metadata
        .get("ownerReferences")
        .is_some_and(|f| !f.is_null() && !owners(f))
    {
        return bad("ownerReferences", "[]v1.OwnerReference");
    }
    Ok(())
}

/// `ValidateObjectMeta` for custom resources.
fn custom_metadata(value: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("metadata");
    let name = meta::name(value);
    if name.is_empty() {
        errors.push(FieldError::required(
            path.child("name"),
            "name or generateName is required",
        ));
    } else {
        for problem in names::dns1123_subdomain(name) {
            errors.push(FieldError::invalid(path.child("name"), name, problem));
        }
    }
    let entries = |field: &str| {
        value
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    for (key, label) in entries("labels") {
        for problem in names::qualified_name(&key) {
            errors.push(FieldError::invalid(
                path.child("labels"),
                key.clone(),
                problem,
            ));
        }
        for problem in names::label_value(label.as_str().unwrap_or_default()) {
            errors.push(FieldError::invalid(
                path.child("labels"),
                label.clone(),
                problem,
            ));
        }
    }
    let mut annotation_bytes = 0;
    for (key, annotation) in entries("annotations") {
        annotation_bytes += key.len() + annotation.as_str().map_or(0, str::len);
        for problem in names::qualified_name(&key.to_ascii_lowercase()) {
            errors.push(FieldError::invalid(
                path.child("annotations"),
                key.clone(),
                problem,
            ));
        }
    }
    if annotation_bytes > 256 << 10 {
        errors.push(FieldError::too_long(path.child("annotations"), 256 << 10));
    }
    for (i, finalizer) in meta::finalizers(value).enumerate() {
        for problem in names::qualified_name(finalizer) {
            errors.push(FieldError::invalid(
                path.child("finalizers").index(i),
                finalizer,
                problem,
            ));
        }
    }
    errors
}
