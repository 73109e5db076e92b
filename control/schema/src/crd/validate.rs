//! The rules of CustomResourceDefinitions, in apiextensions-apiserver's order and words.

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::{meta, names};
use serde_json::Value;

use super::{condition, text, versions};
use crate::jsonpath::{JsonPath, SimplePath};
use crate::structural::Structural;
use crate::structural::raw::Raw;

const APPROVED: &str = "api-approved.kubernetes.io";
/// The most fields that selectors may use.
const MAX_SELECTABLE: usize = 8;
/// The most versions; Kubernetes leaves it to the size of the object.
const MAX_VERSIONS: usize = 64;

pub(super) fn create(crd: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = meta::name(crd);
    let at = Path::new("metadata").child("name");
    for why in names::dns1123_subdomain(name) {
        errors.push(FieldError::invalid(at.clone(), name, why));
    }
    if name
        != format!(
            "{}.{}",
            text(crd, "/spec/names/plural"),
            text(crd, "/spec/group")
        )
    {
        errors.push(FieldError::invalid(
            at,
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    spec(crd, &mut errors);
    errors.extend(status(crd));
    stored_versions(crd, &mut errors);
    approval(crd, &mut errors);
    errors
}

pub(super) fn update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(new, &mut errors);
    let established =
        condition(old, "Established").is_some_and(|c| c.get("status") == Some(&"True".into()));
    let mut fields = Vec::new();
    if established {
        // What is stored, and where, depends on these.
        fields.extend(["/spec/scope", "/spec/names/kind"]);
    }
    fields.extend(["/spec/group", "/spec/names/plural"]);
    for pointer in fields {
        let value = text(new, pointer);
        if value != text(old, pointer) {
            let at = Path::new(&pointer[1..].replace('/', "."));
            errors.push(FieldError::invalid(at, value, "field is immutable"));
        }
    }
    errors.extend(status(new));
    stored_versions(new, &mut errors);
    if meta::annotation(new, APPROVED) != meta::annotation(old, APPROVED) {
        approval(new, &mut errors);
    }
    errors
}

pub(super) fn status(crd: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(accepted) = crd.pointer("/status/acceptedNames") {
        all_names(
            accepted,
            &Path::new("status").child("acceptedNames"),
            &mut errors,
        );
    }
    errors
}

fn spec(crd: &Value, errors: &mut ErrorList) {
    let at = Path::new("spec");
    let group = text(crd, "/spec/group");
    let complaints = names::dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required(at.child("group"), ""));
    } else if !complaints.is_empty() {
        errors.push(FieldError::invalid(
            at.child("group"),
            group,
            complaints.join(","),
        ));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(
            at.child("group"),
            group,
            "should be a domain with at least one dot",
        ));
    }
    match text(crd, "/spec/scope") {
        "" => errors.push(FieldError::required(at.child("scope"), "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported(
            at.child("scope"),
            other,
            &["Cluster", "Namespaced"],
        )),
    }
    if crd.pointer("/spec/preserveUnknownFields") == Some(&Value::Bool(true)) {
        errors.push(FieldError::invalid(
            at.child("preserveUnknownFields"),
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    all_versions(crd, &at, errors);
    let names_at = at.child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(crd, &format!("/spec/names/{field}")).is_empty() {
            errors.push(FieldError::required(names_at.child(field), ""));
        }
    }
    if let Some(names) = crd.pointer("/spec/names") {
        all_names(names, &names_at, errors);
    }
    conversion(crd, &at.child("conversion"), errors);
}

fn conversion(crd: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(conversion) = crd
        .pointer("/spec/conversion")
        .filter(|conversion| !conversion.is_null())
    else {
        return;
    };
    match text(conversion, "/strategy") {
        "" => errors.push(FieldError::required(at.child("strategy"), "")),
        "None" => {
            if conversion
                .get("webhook")
                .is_some_and(|webhook| !webhook.is_null())
            {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(at.child("webhook"), detail));
            }
        }
        // Conversion webhooks are not called, so their definitions cannot be served rightly.
        other => errors.push(FieldError::not_supported(
            at.child("strategy"),
            other,
            &["None"],
        )),
    }
}

/// Where a part of the versions is told to be: hoisted to the definition when it is the same in all.
struct Place {
    hoisted: bool,
    field: &'static str,
    hoisted_field: &'static str,
}

impl Place {
    fn new(all: &[&Value], field: &'static str, hoisted_field: &'static str) -> Self {
        let hoisted = all
            .windows(2)
            .all(|pair| pair[0].get(field) == pair[1].get(field));
        Self {
            hoisted,
            field,
            hoisted_field,
        }
    }

    /// The path for the version at `index`; `None` if it was already told for an earlier one.
    fn path(&self, at: &Path, index: usize) -> Option<Path> {
        match (self.hoisted, index) {
            (true, 0) => Some(at.child(self.hoisted_field)),
            (true, _) => None,
            (false, _) => Some(at.child("versions").index(index).child(self.field)),
        }
    }
}

fn all_versions(crd: &Value, at: &Path, errors: &mut ErrorList) {
    let all: Vec<&Value> = versions(crd).collect();
    let versions_at = at.child("versions");
    if all.is_empty() {
        return errors.push(FieldError::required(
            versions_at,
            "must have at least one version",
        ));
    }
    if all.len() > MAX_VERSIONS {
        return errors.push(FieldError::too_many(versions_at, all.len(), MAX_VERSIONS));
    }
    let schemas = Place::new(&all, "schema", "validation");
    let subresources = Place::new(&all, "subresources", "subresources");
    let columns = Place::new(&all, "additionalPrinterColumns", "additionalPrinterColumns");
    let selectable = Place::new(&all, "selectableFields", "selectableFields");
    let any_status = all.iter().any(|version| has_status(version));
    let mut seen = HashSet::new();
    let mut unique = true;
    for (index, version) in all.iter().enumerate() {
        let here = versions_at.index(index);
        let name = text(version, "/name");
        unique &= seen.insert(name);
        let complaints = names::dns1035_label(name);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(
                here.child("name"),
                name,
                complaints.join(","),
            ));
        }
        deprecation(version, &here, errors);
        let schema_given = version
            .pointer("/schema/openAPIV3Schema")
            .filter(|schema| !schema.is_null());
        match (schema_given, schemas.path(at, index)) {
            (None, _) => {
                let at = here.child("schema").child("openAPIV3Schema");
                errors.push(FieldError::required(at, "schemas are required"));
            }
            (Some(schema), Some(at)) => {
                let status = if schemas.hoisted {
                    any_status
                } else {
                    has_status(version)
                };
                root_schema(schema, status, &at.child("openAPIV3Schema"), errors);
            }
            (Some(_), None) => {}
        }
        if let Some(at) = subresources.path(at, index) {
            scale(version, &at, errors);
        }
        if let Some(at) = columns.path(at, index) {
            for (index, column) in items(version, "additionalPrinterColumns") {
                printer_column(column, &at.index(index), errors);
            }
        }
        if let Some(at) = selectable.path(at, index) {
            selectable_fields(version, &at, errors);
        }
    }
    let whole = || crd.pointer("/spec/versions").cloned().unwrap_or_default();
    if !unique {
        errors.push(FieldError::invalid(
            versions_at.clone(),
            whole(),
            "must contain unique version names",
        ));
    }
    if all
        .iter()
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .count()
        != 1
    {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(versions_at, whole(), detail));
    }
}

fn has_status(version: &Value) -> bool {
    version
        .pointer("/subresources/status")
        .is_some_and(|status| !status.is_null())
}

fn items<'a>(version: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    version
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
}

fn deprecation(version: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else {
        return;
    };
    let mut complain = |why: &str| {
        errors.push(FieldError::invalid(
            at.child("deprecationWarning"),
            warning,
            why,
        ));
    };
    if version.get("deprecated") != Some(&Value::Bool(true)) {
        return complain("can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        complain("must be <= 256 characters long");
    }
    if warning.is_empty() {
        complain("must not be an empty string");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        complain(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}

fn root_schema(schema: &Value, status: bool, at: &Path, errors: &mut ErrorList) {
    // As Kubernetes names them, by the fields of its own structure.
    const ALLOWED: &[(&str, &str)] = &[
        ("Description", "description"),
        ("Type", "type"),
        ("Format", "format"),
        ("Title", "title"),
        ("Maximum", "maximum"),
        ("ExclusiveMaximum", "exclusiveMaximum"),
        ("Minimum", "minimum"),
        ("ExclusiveMinimum", "exclusiveMinimum"),
        ("MaxLength", "maxLength"),
        ("MinLength", "minLength"),
        ("Pattern", "pattern"),
        ("MaxItems", "maxItems"),
        ("MinItems", "minItems"),
        ("UniqueItems", "uniqueItems"),
        ("MultipleOf", "multipleOf"),
        ("Required", "required"),
        ("Items", "items"),
        ("Properties", "properties"),
        ("ExternalDocs", "externalDocs"),
        ("Example", "example"),
        (
            "XPreserveUnknownFields",
            "x-kubernetes-preserve-unknown-fields",
        ),
        ("XValidations", "x-kubernetes-validations"),
    ];
    if let Some(raw) = Raw::new(schema) {
        // The schema of the status subresource is taken out of the properties, so nothing else may restrict it.
        if status
            && raw
                .keywords()
                .any(|keyword| !ALLOWED.iter().any(|(_, allowed)| *allowed == keyword))
        {
            let fields: Vec<&str> = ALLOWED.iter().map(|(field, _)| *field).collect();
            errors.push(FieldError::invalid(
                at.clone(),
                schema.clone(),
                format!(
                    "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                    fields.join(" ")
                ),
            ));
        }
        if raw.flag("nullable") {
            errors.push(FieldError::forbidden(
                at.child("nullable"),
                "nullable cannot be true at the root",
            ));
        }
    }
    if let Err(found) = Structural::compile(schema, at) {
        errors.extend(found);
    }
}

fn scale(version: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(scale) = version
        .pointer("/subresources/scale")
        .filter(|scale| !scale.is_null())
    else {
        return;
    };
    for (field, below, required) in [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."], true),
        ("labelSelectorPath", &[".spec.", ".status."], false),
    ] {
        let at = at.child("scale").child(field);
        let given = scale.get(field).and_then(Value::as_str).unwrap_or_default();
        if given.is_empty() {
            if required {
                errors.push(FieldError::required(at, ""));
            }
        } else if let Err(why) = SimplePath::parse(given) {
            errors.push(FieldError::invalid(at, given, why.to_string()));
        } else if !below.iter().any(|prefix| given.starts_with(prefix)) {
            let places: Vec<&str> = below
                .iter()
                .map(|prefix| prefix.trim_end_matches('.'))
                .collect();
            let under = if places.len() > 1 {
                "under either "
            } else {
                "under "
            };
            errors.push(FieldError::invalid(
                at,
                given,
                format!("should be a json path {under}{}", places.join(" or ")),
            ));
        }
    }
}

fn printer_column(column: &Value, at: &Path, errors: &mut ErrorList) {
    const TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
    const FORMATS: &[&str] = &[
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    if text(column, "/name").is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    }
    let types = format!("must be one of {}", TYPES.join(","));
    match text(column, "/type") {
        "" => errors.push(FieldError::required(at.child("type"), types)),
        given if !TYPES.contains(&given) => {
            errors.push(FieldError::invalid(at.child("type"), given, types))
        }
        _ => {}
    }
    let format = text(column, "/format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let detail = format!("must be one of {}", FORMATS.join(","));
        errors.push(FieldError::invalid(at.child("format"), format, detail));
    }
    let path_at = at.child("JSONPath");
    match text(column, "/jsonPath") {
        "" => errors.push(FieldError::required(path_at, "")),
        given if !given.starts_with('.') => {
            errors.push(FieldError::invalid(
                path_at,
                given,
                "must be a simple json path starting with .",
            ));
        }
        given => {
            if let Err(why) = JsonPath::parse(given) {
                errors.push(FieldError::invalid(path_at, given, why.to_string()));
            }
        }
    }
}

fn selectable_fields(version: &Value, at: &Path, errors: &mut ErrorList) {
    let schema = version
        .pointer("/schema/openAPIV3Schema")
        .and_then(Raw::new);
    let mut seen = HashSet::new();
    for (index, field) in items(version, "selectableFields") {
        let at = at.index(index).child("jsonPath");
        let given = text(field, "/jsonPath");
        if given.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let target = |path: SimplePath| {
            path.names()
                .iter()
                .try_fold(schema?, |schema, name| below(schema, name))
        };
        let found = SimplePath::parse(given)
            .map_err(|why| why.to_string())
            .and_then(|path| {
                target(path).ok_or_else(|| "does not refer to a valid field".to_owned())
            });
        match found {
            Err(why) => {
                errors.push(FieldError::invalid(
                    at,
                    given,
                    format!("is an invalid path: {why}"),
                ));
                continue;
            }
            Ok(target) => {
                if given.starts_with(".metadata.") || given == ".metadata" {
                    errors.push(FieldError::invalid(
                        at.clone(),
                        given,
                        "must not point to fields in metadata",
                    ));
                }
                if !matches!(target.kind(), "string" | "boolean" | "integer") {
                    let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                    errors.push(FieldError::invalid(at.clone(), given, detail));
                }
            }
        }
        if !seen.insert(given) {
            errors.push(FieldError::duplicate(at, given));
        }
    }
    if seen.len() > MAX_SELECTABLE {
        errors.push(FieldError::too_many(at.clone(), seen.len(), MAX_SELECTABLE));
    }
}

fn below<'a>(schema: Raw<'a>, name: &str) -> Option<Raw<'a>> {
    schema
        .property(name)
        .or_else(|| schema.sub("additionalProperties"))
}

fn all_names(all: &Value, at: &Path, errors: &mut ErrorList) {
    let name = |field: &str| all.get(field).and_then(Value::as_str).unwrap_or_default();
    for field in ["plural", "singular", "kind", "listKind"] {
        let given = name(field);
        let is_kind = field.to_lowercase().ends_with("kind");
        let complaints = names::dns1035_label(&if is_kind {
            given.to_lowercase()
        } else {
            given.to_owned()
        });
        if !given.is_empty() && !complaints.is_empty() {
            let prefix = if is_kind {
                "may have mixed case, but should otherwise match: "
            } else {
                ""
            };
            errors.push(FieldError::invalid(
                at.child(field),
                given,
                format!("{prefix}{}", complaints.join(",")),
            ));
        }
    }
    if !name("kind").is_empty() && name("kind") == name("listKind") {
        errors.push(FieldError::invalid(
            at.child("listKind"),
            name("listKind"),
            "kind and listKind may not be the same",
        ));
    }
    for field in ["shortNames", "categories"] {
        for (index, given) in items(all, field) {
            let given = given.as_str().unwrap_or_default();
            let complaints = names::dns1035_label(given);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(
                    at.child(field).index(index),
                    given,
                    complaints.join(","),
                ));
            }
        }
    }
}

fn stored_versions(crd: &Value, errors: &mut ErrorList) {
    let at = Path::new("status").child("storedVersions");
    let given = crd
        .pointer("/status/storedVersions")
        .cloned()
        .unwrap_or_default();
    let stored: Vec<&str> = given
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if stored.is_empty() {
        return errors.push(FieldError::invalid(
            at,
            given.clone(),
            "must have at least one stored version",
        ));
    }
    let known: HashSet<&str> = versions(crd)
        .map(|version| text(version, "/name"))
        .collect();
    for version in
        versions(crd).filter(|version| version.get("storage") == Some(&Value::Bool(true)))
    {
        let name = text(version, "/name");
        if !stored.contains(&name) {
            errors.push(FieldError::invalid(
                at.clone(),
                given.clone(),
                format!("must have the storage version {name}"),
            ));
        }
    }
    for (index, name) in stored
        .iter()
        .enumerate()
        .filter(|(_, name)| !known.contains(*name))
    {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        errors.push(FieldError::invalid(at.index(index), *name, detail));
    }
}

/// Groups of the Kubernetes community are only for who has its approval.
fn approval(crd: &Value, errors: &mut ErrorList) {
    let group = text(crd, "/spec/group");
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if !protected {
        return;
    }
    let at = Path::new("metadata").child("annotations").key(APPROVED);
    match meta::annotation(crd, APPROVED) {
        None | Some("") => errors.push(FieldError::required(
            at,
            format!(
                "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
            ),
        )),
        Some(given) => {
            let is_url = given.starts_with("https://") || given.starts_with("http://");
            if !is_url && !given.starts_with("unapproved") {
                let detail = format!(
                    "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
                );
                errors.push(FieldError::invalid(at, given, detail));
            }
        }
    }
}

pub(super) fn warnings(crd: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (index, version) in versions(crd).enumerate() {
        if let Some(schema) = version
            .pointer("/schema/openAPIV3Schema")
            .and_then(Raw::new)
        {
            let at = Path::new("spec")
                .child("versions")
                .index(index)
                .child("schema")
                .child("openAPIV3Schema");
            unknown_formats(schema, &at, 0, &mut found);
        }
    }
    found
}

fn unknown_formats(schema: Raw<'_>, at: &Path, depth: usize, found: &mut Vec<String>) {
    const MAX_DEPTH: usize = 64;
    const MAX_WARNINGS: usize = 20;
    if depth > MAX_DEPTH || found.len() >= MAX_WARNINGS {
        return;
    }
    let format = schema.text("format");
    if schema.kind() == "string" && !format.is_empty() && !crate::structural::format::known(format)
    {
        found.push(format!(
            "{}: unrecognized format {format:?}",
            at.child("format")
        ));
    }
    for (name, property) in schema.map("properties") {
        unknown_formats(
            property,
            &at.child("properties").key(name),
            depth + 1,
            found,
        );
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.sub(keyword) {
            unknown_formats(inner, &at.child(keyword), depth + 1, found);
        }
    }
}
