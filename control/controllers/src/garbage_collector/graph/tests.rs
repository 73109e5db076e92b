use serde_json::{Value, from_value, json};

use super::*;

/// A started graph that sees things by UID, owners (`!` behind an owner: the thing blocks its deletion) and state.
struct World(Graph);

impl World {
    fn new() -> Self {
        let mut graph = Graph::default();
        graph.start();
        Self(graph)
    }

    fn see(&mut self, id: &str, owners: &[&str], deleting: bool, finalizers: &[&str]) -> String {
        sorted(
            self.0
                .seen(&"things".into(), &meta(id, owners, deleting, finalizers)),
        )
    }

    fn gone(&mut self, id: &str) -> String {
        sorted(self.0.gone(id))
    }
}

fn meta(id: &str, owners: &[&str], deleting: bool, finalizers: &[&str]) -> ObjectMeta {
    let reference = |owner: &&str| {
        let id = owner.trim_end_matches('!');
        json!({"apiVersion": "v1", "kind": "K", "name": id, "uid": id, "blockOwnerDeletion": owner.ends_with('!')})
    };
    let owners: Vec<Value> = owners.iter().map(reference).collect();
    let deleted = deleting.then_some("2026-01-01T00:00:00Z");
    from_value(json!({"namespace": "ns", "name": id, "uid": id, "ownerReferences": owners, "deletionTimestamp": deleted, "finalizers": finalizers}))
        .unwrap()
}

fn sorted(mut ids: Vec<Arc<str>>) -> String {
    ids.sort();
    ids.dedup();
    ids.join(" ")
}

#[test]
fn an_object_is_looked_at_while_its_owner_is_unknown() {
    let mut w = World::new();
    assert_eq!(w.see("free", &[], false, &[]), "");
    assert_eq!(w.see("pod", &["set"], false, &[]), "pod");
    assert_eq!(w.0.owner("set"), None);
    w.0.learn("set", Owner::Present, &"sets".into());
    assert_eq!(w.see("pod", &["set"], false, &[]), "");
    assert_eq!(w.see("pod2", &["set"], false, &[]), "");
    assert_eq!(w.gone("set"), "pod pod2");
    assert_eq!(w.0.owner("set"), Some(Owner::Absent));
    // A late dependent of what is known to be gone.
    assert_eq!(w.see("pod3", &["set"], false, &[]), "pod3");
    for pod in ["pod", "pod2", "pod3"] {
        assert_eq!(w.gone(pod), "");
    }
    assert_eq!((w.0.objects.len(), w.0.owners.len()), (0, 0));
}

#[test]
fn references_that_change_are_followed() {
    let mut w = World::new();
    w.see("pod", &["a"], false, &[]);
    assert_eq!(w.see("pod", &["b"], false, &[]), "pod");
    assert_eq!(w.gone("a"), "");
    assert_eq!(w.gone("b"), "pod");
    assert_eq!(w.see("pod", &[], false, &[]), "");
    assert_eq!((w.0.objects.len(), w.0.owners.len()), (0, 0));
}

#[test]
fn a_foreground_deletion_waits_for_those_that_block_it() {
    let mut w = World::new();
    w.see("set", &["deployment"], false, &[]);
    w.see("pod", &["set!"], false, &[]);
    w.see("other", &["set"], false, &[]);
    assert_eq!(
        w.see("set", &["deployment"], true, &[FOREGROUND]),
        "other pod set"
    );
    assert_eq!(w.0.owner("set"), Some(Owner::WaitsForDependents));
    let blocking = |w: &World| {
        let (blocking, look) = w.0.blocking("set");
        (blocking, sorted(look))
    };
    assert_eq!(blocking(&w), (true, "other pod".into()));
    assert_eq!(w.see("pod", &["set!"], true, &[]), "set");
    assert_eq!(blocking(&w), (true, "other".into()));
    assert_eq!(w.gone("pod"), "set");
    assert_eq!(blocking(&w), (false, "other".into()));
    assert_eq!(w.gone("set"), "other");
}

#[test]
fn an_orphaning_deletion_is_looked_at() {
    let mut w = World::new();
    w.see("set", &[], false, &[]);
    w.see("pod", &["set"], false, &[]);
    assert_eq!(w.see("set", &[], true, &[ORPHAN]), "set");
    assert_eq!(w.0.get("set").unwrap().waiting, Waiting::ToOrphan);
    assert_eq!(sorted(w.0.dependents("set")), "pod");
}

#[test]
fn the_start_asks_only_for_owners_that_nobody_has_seen() {
    let mut graph = Graph::default();
    let things = [
        ("pod", &["set"][..]),
        ("set", &[]),
        ("stray", &["lost"]),
        ("late", &["vanished"]),
        ("vanished", &[]),
    ];
    for (id, owners) in things {
        graph.seen(&"things".into(), &meta(id, owners, false, &[]));
    }
    graph.gone("vanished");
    assert_eq!(sorted(graph.start()), "late stray");
    assert_eq!(
        (graph.owner("set"), graph.owner("lost")),
        (Some(Owner::Present), None)
    );
    // A watch that broke missed the end of `stray` and of `set`, which is not kept but depended on.
    let listed = HashSet::from(["pod".into(), "late".into()]);
    assert_eq!(sorted(graph.unlisted("things", &listed)), "set stray");
    assert_eq!(sorted(graph.unlisted("others", &listed)), "");
}

#[test]
fn owners_decide_about_an_object() {
    let check =
        |owners: &[(&str, Owner)], finalizers: &[&str], dependents: bool, expect: Verdict| {
            let names: Vec<&str> = owners.iter().map(|(name, _)| *name).collect();
            let meta = meta("pod", &names, false, finalizers);
            let known: Vec<Owner> = owners.iter().map(|(_, owner)| *owner).collect();
            let got = judge(
                meta.owner_references.as_deref().unwrap(),
                &known,
                &meta,
                dependents,
            );
            assert_eq!(got, expect, "{owners:?}");
        };
    let delete = |policy| Verdict::Delete {
        policy,
        unblock: false,
    };
    let (here, gone, waits) = (Owner::Present, Owner::Absent, Owner::WaitsForDependents);
    let only = |name: &str| Verdict::Drop(meta("x", &[name], false, &[]).owner_references.unwrap());
    check(&[("a", here)], &[], false, Verdict::Keep);
    check(&[("a", here), ("b", here)], &[], false, Verdict::Keep);
    check(
        &[("a", gone)],
        &[],
        false,
        delete(PropagationPolicy::Background),
    );
    check(
        &[("a", gone)],
        &[ORPHAN],
        false,
        delete(PropagationPolicy::Orphan),
    );
    check(
        &[("a", gone)],
        &[FOREGROUND],
        false,
        delete(PropagationPolicy::Foreground),
    );
    check(&[("a", here), ("b", gone)], &[], false, only("a"));
    check(&[("a", waits), ("b", here)], &[], false, only("b"));
    check(
        &[("a", waits)],
        &[],
        false,
        delete(PropagationPolicy::Background),
    );
    check(
        &[("a", waits)],
        &[],
        true,
        Verdict::Delete {
            policy: PropagationPolicy::Foreground,
            unblock: true,
        },
    );
}
