//! The schemas of Kubernetes' own kinds, as the build script wrote them down (`build/kinds.rs` says of which).

use serde_json::Value;

include!(concat!(env!("OUT_DIR"), "/definitions.rs"));

/// The name of the definition of a kind.
pub(super) fn name(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    KINDS
        .iter()
        .find(|(g, v, k, _)| (*g, *v, *k) == (group, version, kind))
        .map(|row| row.3)
}

/// A definition, as `k8s-openapi` has it.
pub(crate) fn definition(name: &str) -> Option<Value> {
    let at = DEFINITIONS.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
    serde_json::from_str(DEFINITIONS.get(at)?.1).ok()
}

/// Group, version and kind of a definition, if it is that of a kind.
pub(super) fn kind_of(definition: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let (package, kind) = definition.rsplit_once('.')?;
    let (package, version) = package.rsplit_once('.')?;
    let (_, area) = package.rsplit_once('.')?;
    KINDS
        .iter()
        .map(|(g, v, k, _)| (*g, *v, *k))
        .find(|(group, v, k)| {
            let of_group = match *group {
                "" => "core",
                "meta.k8s.io" => return false,
                group => group.split('.').next().unwrap_or(group),
            };
            (*v, *k) == (version, kind) && area == of_group
        })
}

#[cfg(test)]
pub(super) fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    KINDS
        .iter()
        .map(|(group, version, kind, _)| (*group, *version, *kind))
}
