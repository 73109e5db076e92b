//! OpenAPI v3 documents, one for each group and version, as Kubernetes serves them below `/openapi/v3`.
//!
//! What clients need of them decides what is in them: `kubectl` (1.27 and later) looks up the PATCH operation of a kind to
//! learn whether the server validates fields (`fieldValidation`) and knows dry runs, takes merge keys from the schemas for
//! `apply`, and prints the schemas for `explain`. The schemas of Kubernetes' own kinds come from `k8s-openapi`; a document
//! is made from scratch each time and holds only the definitions that its kinds reach.

pub(crate) mod builtin;
mod custom;
mod merge;
mod paths;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Where the schema of a kind comes from.
#[derive(Debug, Clone)]
pub enum SchemaSource<'a> {
    /// A type of Kubernetes' own.
    Builtin,
    /// `openAPIV3Schema` of a CustomResourceDefinition's version.
    Custom(&'a Value),
}

/// A subresource, as discovery lists it.
#[derive(Debug, Clone)]
pub struct SubresourceInfo<'a> {
    /// `status`, `scale`, `log`, …
    pub name: &'a str,
    /// The group of what it takes and gives.
    pub group: &'a str,
    /// The version of what it takes and gives.
    pub version: &'a str,
    /// The kind of what it takes and gives.
    pub kind: &'a str,
    /// `get`, `patch`, `update`, `create`.
    pub verbs: &'a [&'a str],
}

/// A resource of the document's group and version.
#[derive(Debug, Clone)]
pub struct ResourceInfo<'a> {
    /// `pods`.
    pub plural: &'a str,
    /// `Pod`.
    pub kind: &'a str,
    /// `PodList`.
    pub list_kind: &'a str,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// As discovery lists them.
    pub verbs: &'a [&'a str],
    /// Subresources.
    pub subresources: Vec<SubresourceInfo<'a>>,
    /// The schema.
    pub schema: SchemaSource<'a>,
}

/// The document for a group (empty for core) and version. A kind that is not known is described as any object.
pub fn document(group: &str, version: &str, resources: &[ResourceInfo<'_>]) -> Value {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for resource in resources {
        let name = match resource.schema {
            SchemaSource::Builtin => schemas.builtin(group, version, resource.kind),
            SchemaSource::Custom(raw) => schemas.custom(group, version, resource, raw),
        };
        let list = resource
            .verbs
            .contains(&"list")
            .then(|| schemas.list(group, version, resource, &name));
        paths::add(
            &mut paths,
            group,
            version,
            resource,
            &name,
            list.as_deref(),
            &mut schemas,
        );
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": schemas.finish()},
    })
}

/// The definitions of a document while it is made.
#[derive(Default)]
struct Schemas {
    /// Kubernetes' own that are reached.
    builtin: BTreeSet<String>,
    own: Map<String, Value>,
}

impl Schemas {
    /// The definition's name of a kind of Kubernetes' own.
    fn builtin(&mut self, group: &str, version: &str, kind: &str) -> String {
        if let Some(name) = builtin::name(group, version, kind) {
            self.builtin.insert(name.to_owned());
            return name.to_owned();
        }
        let name = custom::definition_name(group, version, kind);
        self.own.entry(name.clone()).or_insert_with(
            || json!({"type": "object", "x-kubernetes-group-version-kind": [gvk(group, version, kind)]}),
        );
        name
    }

    fn custom(
        &mut self,
        group: &str,
        version: &str,
        resource: &ResourceInfo<'_>,
        raw: &Value,
    ) -> String {
        let name = custom::definition_name(group, version, resource.kind);
        let metadata = self.meta("ObjectMeta");
        let mut schema = custom::schema(raw, &metadata);
        schema["x-kubernetes-group-version-kind"] = json!([gvk(group, version, resource.kind)]);
        self.own.insert(name.clone(), schema);
        name
    }

    fn list(
        &mut self,
        group: &str,
        version: &str,
        resource: &ResourceInfo<'_>,
        item: &str,
    ) -> String {
        let name = format!(
            "{}.{}",
            item.rsplit_once('.').map_or("", |(package, _)| package),
            resource.list_kind
        );
        let metadata = self.meta("ListMeta");
        let schema = json!({
            "description": format!("{} is a list of {}.", resource.list_kind, resource.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"description": custom::API_VERSION, "type": "string"},
                "kind": {"description": custom::KIND, "type": "string"},
                "metadata": {"description": "Metadata of the list.", "allOf": [reference(&metadata)]},
                "items": {"description": "The objects of the list.", "type": "array", "items": reference(item)},
            },
            "x-kubernetes-group-version-kind": [gvk(group, version, resource.list_kind)],
        });
        self.own.insert(name.clone(), schema);
        name
    }

    /// A type of `meta/v1`.
    fn meta(&mut self, kind: &str) -> String {
        self.builtin("meta.k8s.io", "v1", kind)
    }

    fn finish(self) -> Map<String, Value> {
        let mut all = self.own;
        let mut reached: Vec<String> = self.builtin.into_iter().collect();
        while let Some(name) = reached.pop() {
            if all.contains_key(&name) {
                continue;
            }
            let Some(schema) = builtin::definition(&name) else {
                continue;
            };
            shape::references(&schema, &mut reached);
            let shaped = shape::definition(&name, schema);
            all.insert(name, shaped);
        }
        all.sort_keys();
        all
    }
}

fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn reference(definition: &str) -> Value {
    json!({"$ref": format!("{}{definition}", shape::DEFINITIONS)})
}

/// The key of a group and version in the index: `api/v1`, `apis/apps/v1`.
pub fn index_key(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The index (`/openapi/v3`) of keys and hashes.
pub fn index<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let url = |(key, hash): (&str, &str)| {
        (
            key.to_owned(),
            json!({"serverRelativeURL": format!("/openapi/v3/{key}?hash={hash}")}),
        )
    };
    json!({"paths": entries.into_iter().map(url).collect::<Map<_, _>>()})
}

/// The hash of a document, for the index and `ETag`.
pub fn hash(document: &[u8]) -> String {
    hexadecimal(Sha256::digest(document).as_slice())
}

/// A hash of what a document is made from, for an index without making the documents. It changes whenever the document
/// may change: with the resources, a custom resource's schema, or the version of this program.
pub fn fingerprint(group: &str, version: &str, resources: &[ResourceInfo<'_>]) -> String {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update(text.len().to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for text in [env!("CARGO_PKG_VERSION"), group, version] {
        add(text);
    }
    for resource in resources {
        for text in [
            resource.plural,
            resource.kind,
            resource.list_kind,
            if resource.namespaced { "n" } else { "c" },
        ] {
            add(text);
        }
        add(&resource.verbs.join(","));
        for sub in &resource.subresources {
            for text in [sub.name, sub.group, sub.version, sub.kind] {
                add(text);
            }
            add(&sub.verbs.join(","));
        }
        match resource.schema {
            SchemaSource::Builtin => add(""),
            SchemaSource::Custom(schema) => add(&schema.to_string()),
        }
    }
    hexadecimal(hasher.finalize().as_slice())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
