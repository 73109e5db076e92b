//! The rows of groups that another server answers: for discovery, metrics and the check of verbs.

use bytes::Bytes;
use minicloud_api::extension::{ExtensionGroup, ExtensionResource};
use minicloud_schema::table::Columns;

use super::{Group, Resource, Rules};

/// A group with its versions and, as yet, no rows: one whose server lists its resources itself stays so.
pub(super) fn group(group: &ExtensionGroup) -> Group {
    let versions = group.versions.iter();
    Group {
        name: group.name.to_owned(),
        versions: versions.map(|v| (v.name.to_owned(), Vec::new())).collect(),
        extension: true,
    }
}

pub(super) fn rows(group: &ExtensionGroup) -> Vec<Resource> {
    let versions = group.versions.iter();
    let each = versions.flat_map(|v| v.resources.iter().map(|r| (v.name, r)));
    each.map(|(version, resource)| row(group.name, version, resource))
        .collect()
}

fn row(group: &str, version: &str, resource: &ExtensionResource) -> Resource {
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: resource.kind.to_owned(),
        list_kind: format!("{}List", resource.kind),
        plural: resource.plural.to_owned(),
        singular: resource.singular.to_owned(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: resource.namespaced,
        verbs: resource.verbs,
        subresources: Vec::new(),
        prefix: String::new(),
        volatile: false,
        returns_deleted: false,
        unconditional_update: false,
        create_on_update: false,
        fields: Vec::new(),
        converts_events: false,
        columns: Columns::builtin(group, resource.kind),
        head: Bytes::new(),
        item_head: Bytes::new(),
        rules: Rules::Virtual,
    }
}
