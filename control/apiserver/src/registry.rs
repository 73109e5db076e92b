//! What is served: one [`Resource`] per group, version and plural name.
//!
//! Built-in rows never change; rows of CustomResourceDefinitions come and go. Readers take a snapshot, so a request sees one
//! state of the registry from beginning to end.

mod builtin;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use minicloud_schema::crd::{CompiledCrd, CompiledVersion};
use minicloud_schema::table::Columns;
use minicloud_validation::KindRules;

use crate::codec;
use crate::path::Verb;

/// A subresource and what it takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`, …
    pub name: &'static str,
    /// Group of the kind, empty for core and where it is the resource's own.
    pub group: &'static str,
    /// Version of the kind; empty where it is the resource's own.
    pub version: &'static str,
    /// Kind; empty where it is the resource's own.
    pub kind: &'static str,
    /// In the order that discovery lists them.
    pub verbs: &'static [&'static str],
}

/// What decides about objects of a resource.
#[derive(Clone)]
pub enum Rules {
    /// A kind of Kubernetes' own.
    BuiltIn(&'static dyn KindRules),
    /// CustomResourceDefinition.
    Definition,
    /// A version of a custom resource.
    Custom(Arc<CustomVersion>),
    /// Nothing is stored under this row (reviews).
    Virtual,
}

/// A version of a custom resource.
#[derive(Debug)]
pub struct CustomVersion {
    /// The compiled version.
    pub version: CompiledVersion,
    /// The name of the definition, `plural.group`.
    pub crd_name: String,
    /// The apiVersion that objects are stored under.
    pub storage_api_version: String,
    /// True while the definition is being deleted: nothing new may be made.
    pub terminating: bool,
}

/// One row: everything that is generic code's to know about a resource.
pub struct Resource {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Kind of a list.
    pub list_kind: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Namespaced or cluster-scoped.
    pub namespaced: bool,
    /// Verbs in the order that discovery lists them.
    pub verbs: &'static [&'static str],
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// Key prefix in the store, with a slash at the end.
    pub prefix: String,
    /// Writes stay in memory and are persisted rarely.
    pub volatile: bool,
    /// Objects are returned when they are deleted, instead of a Status.
    pub returns_deleted: bool,
    /// An update without resourceVersion is let through.
    pub unconditional_update: bool,
    /// Fields that field selectors may use beyond `metadata.name` and `metadata.namespace`.
    pub fields: Vec<String>,
    /// True for events.k8s.io, which is stored as core events.
    pub converts_events: bool,
    /// What decides about objects.
    pub rules: Rules,
    /// How a Table of it looks.
    pub columns: Columns,
    /// The bytes that an answer of an object begins with.
    pub head: Bytes,
    /// The bytes that an item of a list begins with.
    pub item_head: Bytes,
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Resource({}.{}.{})",
            self.plural, self.version, self.group
        )
    }
}

/// The verbs of a row that is stored.
pub const VERBS_ALL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The key of an object; `namespace` is ignored for cluster-scoped resources.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced {
            format!("{}{namespace}/{name}", self.prefix)
        } else {
            format!("{}{name}", self.prefix)
        }
    }

    /// The prefix of a collection; an empty namespace is all of them.
    pub fn collection(&self, namespace: &str) -> String {
        if self.namespaced && !namespace.is_empty() {
            format!("{}{namespace}/", self.prefix)
        } else {
            self.prefix.clone()
        }
    }

    /// Namespace (empty for cluster-scoped) and name of a key.
    pub fn split_key<'a>(&self, key: &'a str) -> (&'a str, &'a str) {
        let rest = key.strip_prefix(self.prefix.as_str()).unwrap_or(key);
        if self.namespaced {
            rest.split_once('/').unwrap_or(("", rest))
        } else {
            ("", rest)
        }
    }

    /// True when the row serves the verb.
    pub fn serves(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb.as_str())
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// True for custom resources.
    pub fn is_custom(&self) -> bool {
        matches!(self.rules, Rules::Custom(_))
    }

    /// The custom version, for custom resources.
    pub fn custom(&self) -> Option<&CustomVersion> {
        match &self.rules {
            Rules::Custom(custom) => Some(custom),
            _ => None,
        }
    }

    /// True for this group and plural name.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// `v1` or `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// A state of the registry.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By `group/version/plural`.
    rows: HashMap<String, Arc<Resource>>,
    /// In the order of discovery: group, then its versions by preference, then rows by plural name.
    pub groups: Vec<Group>,
    /// Names of definitions, with the rows they gave: to see what a definition serves.
    custom: BTreeMap<String, Arc<CompiledCrd>>,
}

/// A group and its versions.
#[derive(Debug)]
pub struct Group {
    /// The name, empty for core.
    pub name: String,
    /// Versions, the preferred one first, each with its rows.
    pub versions: Vec<(String, Vec<Arc<Resource>>)>,
}

impl Snapshot {
    /// The row of a group, version and plural name.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.rows.get(&format!("{group}/{version}/{plural}"))
    }

    /// Every row that is stored, one per kind: what namespace deletion and discovery of all objects walk.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups
            .iter()
            .flat_map(|g| &g.versions)
            .flat_map(|(_, rows)| rows)
    }

    /// The definitions that are served, by name.
    pub fn definitions(&self) -> impl Iterator<Item = (&String, &Arc<CompiledCrd>)> {
        self.custom.iter()
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name == name)
    }
}

/// A definition as the registry takes it.
pub struct Definition {
    /// What the schema crate made of it.
    pub compiled: Arc<CompiledCrd>,
    /// True while it is being deleted.
    pub terminating: bool,
}

/// The registry itself.
pub struct Registry {
    built_in: Vec<Arc<Resource>>,
    custom: RwLock<BTreeMap<String, Definition>>,
    current: RwLock<Arc<Snapshot>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// The groups of Kubernetes' own in the order that Kubernetes' discovery has them.
const GROUP_ORDER: &[&str] = &[
    "",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

impl Registry {
    /// The registry of the built-in rows.
    pub fn new() -> Self {
        let registry = Self {
            built_in: builtin::rows().into_iter().map(Arc::new).collect(),
            custom: RwLock::default(),
            current: RwLock::default(),
        };
        registry.rebuild();
        registry
    }

    /// The present state.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(
            &self
                .current
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// The row of a group, version and plural name.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.snapshot().get(group, version, plural).cloned()
    }

    /// A built-in row; the caller names one that exists.
    pub fn built_in(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.built_in.iter().find(|r| r.is(group, plural)).cloned()
    }

    /// Adds or replaces what a definition serves.
    pub fn put(&self, name: &str, definition: Definition) {
        self.custom
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(name.to_owned(), definition);
        self.rebuild();
    }

    /// Removes what a definition served.
    pub fn remove(&self, name: &str) {
        let removed = self
            .custom
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(name)
            .is_some();
        if removed {
            self.rebuild();
        }
    }

    fn rebuild(&self) {
        let custom = self
            .custom
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all: Vec<Arc<Resource>> = self.built_in.clone();
        for (name, definition) in custom.iter() {
            all.extend(custom_rows(name, definition).into_iter().map(Arc::new));
        }
        let mut groups: Vec<Group> = Vec::new();
        let rank = |group: &str| {
            GROUP_ORDER
                .iter()
                .position(|g| *g == group)
                .unwrap_or(usize::MAX)
        };
        for row in &all {
            let group = match groups.iter_mut().position(|g| g.name == row.group) {
                Some(at) => &mut groups[at],
                None => {
                    groups.push(Group {
                        name: row.group.clone(),
                        versions: Vec::new(),
                    });
                    let last = groups.len() - 1;
                    &mut groups[last]
                }
            };
            match group.versions.iter_mut().find(|(v, _)| *v == row.version) {
                Some((_, rows)) => rows.push(Arc::clone(row)),
                None => group
                    .versions
                    .push((row.version.clone(), vec![Arc::clone(row)])),
            }
        }
        groups.sort_by(|a, b| (rank(&a.name), &a.name).cmp(&(rank(&b.name), &b.name)));
        for group in &mut groups {
            group
                .versions
                .sort_by_key(|(version, _)| std::cmp::Reverse(version_rank(version)));
            for (_, rows) in &mut group.versions {
                rows.sort_by(|a, b| a.plural.cmp(&b.plural));
            }
        }
        let snapshot = Snapshot {
            rows: all
                .iter()
                .map(|r| {
                    (
                        format!("{}/{}/{}", r.group, r.version, r.plural),
                        Arc::clone(r),
                    )
                })
                .collect(),
            groups,
            custom: custom
                .iter()
                .map(|(n, d)| (n.clone(), Arc::clone(&d.compiled)))
                .collect(),
        };
        *self
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// What a definition compiled to, while it is served.
    pub fn definition(&self, name: &str) -> Option<Arc<CompiledCrd>> {
        self.snapshot().custom.get(name).cloned()
    }
}

/// Kubernetes' order of versions: GA above beta above alpha, newer above older, everything else last.
fn version_rank(version: &str) -> (u8, u32, u32) {
    let parsed = (|| {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u32 = rest[..digits].parse().ok()?;
        let (class, minor) = match &rest[digits..] {
            "" => (3, 0),
            tail if tail.starts_with("beta") => (2, tail[4..].parse().ok()?),
            tail if tail.starts_with("alpha") => (1, tail[5..].parse().ok()?),
            _ => return None,
        };
        Some((class, major, minor))
    })();
    parsed.unwrap_or((0, 0, 0))
}

const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

fn custom_rows(name: &str, definition: &Definition) -> Vec<Resource> {
    let crd = &definition.compiled;
    let storage = crd
        .versions
        .iter()
        .find(|v| v.storage)
        .map_or("", |v| v.name.as_str());
    let storage_api_version = api_version(&crd.group, storage);
    crd.versions
        .iter()
        .filter(|v| v.served)
        .map(|version| {
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
                fields: version.selectable.iter().map(|s| s.name.clone()).collect(),
                converts_events: false,
                columns: Columns::custom(&version.columns),
                // Custom resources carry kind and apiVersion in lists too.
                item_head: head.clone(),
                head,
                rules: Rules::Custom(Arc::new(CustomVersion {
                    version: version.clone(),
                    crd_name: name.to_owned(),
                    storage_api_version: storage_api_version.clone(),
                    terminating: definition.terminating,
                })),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = ["v1beta1", "foo", "v2", "v1", "v11alpha2", "v1beta10", "v10"];
        versions.sort_by_key(|v| std::cmp::Reverse(version_rank(v)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta10", "v1beta1", "v11alpha2", "foo"]
        );
    }

    #[test]
    fn rows_are_whole() {
        let registry = Registry::new();
        let snapshot = registry.snapshot();
        for row in snapshot.rows() {
            assert!(!row.kind.is_empty() && !row.singular.is_empty(), "{row:?}");
            assert_eq!(
                row.prefix.is_empty(),
                matches!(row.rules, Rules::Virtual),
                "{row:?}"
            );
        }
        let pods = registry.get("", "v1", "pods").unwrap();
        assert_eq!(pods.key("a", "b"), "/registry/pods/a/b");
        assert_eq!(pods.split_key("/registry/pods/a/b"), ("a", "b"));
        assert_eq!(pods.collection(""), "/registry/pods/");
        assert_eq!(snapshot.groups[0].name, "");
        assert!(registry.get("apps", "v1", "statefulsets").is_none());
    }
}
