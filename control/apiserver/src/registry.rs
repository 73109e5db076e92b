//! What is served: one [`Resource`] per group, version and plural name.
//!
//! Built-in rows never change; rows of CustomResourceDefinitions come and go. Readers take a snapshot, so a request sees one
//! state of the registry from beginning to end.

mod builtin;
mod custom;
mod extension;
mod index;

use std::sync::Arc;

use bytes::Bytes;
use minicloud_schema::crd::CompiledVersion;
use minicloud_schema::table::Columns;
use minicloud_validation::KindRules;
use tokio_util::sync::CancellationToken;

use crate::path::Verb;

pub use index::{Definition, Group, Registry, Snapshot};

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
    /// Nothing is stored under this row (reviews, and what another server answers).
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
    /// Objects that were written before this revision, or through another version, may lack what the schema now fills in: they
    /// are brought into shape when they are read.
    pub shaped_since: u64,
    /// Cancelled when the definition goes or serves something else: what was made of this row is no longer true.
    pub outdated: CancellationToken,
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
    /// An update of what is not there makes it.
    pub create_on_update: bool,
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

    /// True when an object that was stored at `revision` is not answered as it lies in the store.
    pub fn reshapes(&self, revision: u64) -> bool {
        self.converts_events || self.custom().is_some_and(|c| revision < c.shaped_since)
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
