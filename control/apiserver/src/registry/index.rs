//! States of the registry: how rows are found, and how definitions come in and go.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use minicloud_api::extension::ExtensionGroup;
use minicloud_schema::crd::CompiledCrd;
use tokio_util::sync::CancellationToken;

use super::{Resource, builtin, custom, extension};

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
    /// True when another server answers it.
    pub extension: bool,
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
    /// The revision of its last change.
    pub revision: u64,
    /// A digest of what its rows are made from: while it stays the same, so does what watches show.
    pub digest: u64,
    /// See [`super::CustomVersion::outdated`].
    pub outdated: CancellationToken,
}

impl Definition {
    /// The row that objects are stored under, also while no version is served.
    pub fn storage_row(&self, name: &str) -> Option<Resource> {
        custom::storage_row(name, self)
    }
}

/// The registry itself.
pub struct Registry {
    built_in: Vec<Arc<Resource>>,
    extensions: Vec<ExtensionGroup>,
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
        Self::with([])
    }

    /// The registry of the built-in rows and these groups, which other servers answer.
    pub fn with(extensions: impl IntoIterator<Item = ExtensionGroup>) -> Self {
        let extensions: Vec<ExtensionGroup> = extensions.into_iter().collect();
        let rows = builtin::rows().into_iter();
        let registry = Self {
            built_in: rows
                .chain(extensions.iter().flat_map(extension::rows))
                .map(Arc::new)
                .collect(),
            extensions,
            custom: RwLock::default(),
            current: RwLock::default(),
        };
        registry.rebuild();
        registry
    }

    /// The present state.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The row of a group, version and plural name.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.snapshot().get(group, version, plural).cloned()
    }

    /// A built-in row; the caller names one that exists.
    pub fn built_in(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.built_in.iter().find(|r| r.is(group, plural)).cloned()
    }

    /// True when another server answers the group.
    pub fn is_extension(&self, group: &str) -> bool {
        self.extensions.iter().any(|e| e.name == group)
    }

    /// Adds or replaces what a definition serves.
    pub fn put(&self, name: &str, mut definition: Definition) {
        let mut custom = self.custom.write().unwrap_or_else(PoisonError::into_inner);
        match custom.get(name) {
            Some(old) if old.digest == definition.digest => {
                definition.outdated = old.outdated.clone();
            }
            // Before the new rows are there: no old row may show what is written through a new one.
            Some(old) => old.outdated.cancel(),
            None => {}
        }
        custom.insert(name.to_owned(), definition);
        drop(custom);
        self.rebuild();
    }

    /// Removes what a definition served.
    pub fn remove(&self, name: &str) {
        let removed = self
            .custom
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        if let Some(old) = removed {
            old.outdated.cancel();
            self.rebuild();
        }
    }

    fn rebuild(&self) {
        let custom = self.custom.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Resource>> = self.built_in.clone();
        for (name, definition) in custom.iter() {
            // What is built in stays: a definition of the same name would get at the same objects without their rules.
            let rows = custom::rows(name, definition).into_iter();
            all.extend(
                rows.filter(|row| {
                    self.built_in(&row.group, &row.plural).is_none()
                        && !self.is_extension(&row.group)
                })
                .map(Arc::new),
            );
        }
        let mut groups: Vec<Group> = self.extensions.iter().map(extension::group).collect();
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
                        extension: false,
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
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Rules;

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
