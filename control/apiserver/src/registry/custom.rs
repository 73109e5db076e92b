//! The rows that a CustomResourceDefinition gives: one for each version that it serves.

use std::sync::Arc;

use minicloud_schema::crd::CompiledVersion;
use minicloud_schema::table::Columns;

use super::{CustomVersion, Definition, Resource, Rules, Subresource, VERBS_ALL, api_version};
use crate::codec;

const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

/// The rows of the versions that are served.
pub(super) fn rows(name: &str, definition: &Definition) -> Vec<Resource> {
    let versions = definition.compiled.versions.iter();
    versions
        .filter(|version| version.served)
        .map(|version| row(name, definition, version))
        .collect()
}

/// The row of the version that objects are stored as, served or not.
pub(super) fn storage_row(name: &str, definition: &Definition) -> Option<Resource> {
    let mut versions = definition.compiled.versions.iter();
    let storage = versions.find(|version| version.storage)?;
    Some(row(name, definition, storage))
}

fn row(name: &str, definition: &Definition, version: &CompiledVersion) -> Resource {
    let crd = &definition.compiled;
    let storage = crd
        .versions
        .iter()
        .find(|v| v.storage)
        .map_or("", |v| v.name.as_str());
    let mut subresources = Vec::new();
    if version.scale.is_some() {
        subresources.push(Subresource {
            name: "scale",
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            verbs: STATUS_VERBS,
        });
    }
    if version.status {
        subresources.push(Subresource {
            name: "status",
            group: "",
            version: "",
            kind: "",
            verbs: STATUS_VERBS,
        });
    }
    let head = codec::head(&crd.names.kind, &api_version(&crd.group, &version.name));
    Resource {
        group: crd.group.clone(),
        version: version.name.clone(),
        kind: crd.names.kind.clone(),
        list_kind: crd.names.list_kind.clone(),
        plural: crd.names.plural.clone(),
        singular: crd.names.singular.clone(),
        short_names: crd.names.short_names.clone(),
        categories: crd.names.categories.clone(),
        namespaced: crd.namespaced,
        verbs: VERBS_ALL,
        subresources,
        prefix: format!("/registry/{}/{}/", crd.group, crd.names.plural),
        volatile: false,
        returns_deleted: false,
        unconditional_update: false,
        create_on_update: false,
        fields: version.selectable.iter().map(|s| s.name.clone()).collect(),
        converts_events: false,
        columns: Columns::custom(&version.columns),
        // Custom resources carry kind and apiVersion in lists too.
        item_head: head.clone(),
        head,
        rules: Rules::Custom(Arc::new(CustomVersion {
            version: version.clone(),
            crd_name: name.to_owned(),
            storage_api_version: api_version(&crd.group, storage),
            terminating: definition.terminating,
            // With several versions an object may have been written through any of them.
            shaped_since: if crd.versions.len() > 1 {
                u64::MAX
            } else {
                definition.revision
            },
            outdated: definition.outdated.clone(),
        })),
    }
}
