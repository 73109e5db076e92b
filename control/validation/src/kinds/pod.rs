//! Pods, bindings, and the pod specifications inside other kinds.
//!
//! One file per topic below `pod/`. Whatever is checked for a whole pod and for a template of one differs in [`Owner`] only.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Value, json};

use super::meta::label_selector;
use super::text::{annotations, ip, labels, name_if_set, one_of, one_of_if_set};
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};
use crate::seen::Seen;

mod containers;
mod create;
mod defaults;
mod env;
mod mounts;
mod probes;
mod qos;
pub(super) mod resources;
pub(super) mod scheduling;
mod security;
#[cfg(test)]
mod test;
mod update;
pub(super) mod volumes;

pub(super) use defaults::{claim_spec as default_claim_spec, template as default_template};
pub(super) use volumes as volume_sources;

const SPEC: At<'static> = At::root("spec");

/// Whose specification is checked.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// A pod of this name.
    Pod(&'a str),
    /// A template: what only a pod knows is left unchecked.
    Template,
}

impl Owner<'_> {
    fn is_pod(self) -> bool {
        matches!(self, Owner::Pod(_))
    }
}

pub(super) struct Pod;

impl Rules for Pod {
    const COMMON: Common = Common {
        status: true,
        generation: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::core::v1::Pod);

    fn default(value: &mut Value) {
        defaults::pod(value);
    }

    fn create(value: &mut Value) {
        create::prepare(value);
    }

    fn status_update(new: &mut Value, old: &Value) {
        // Whoever reports status cannot know the class of an older report; it never changes.
        let class = old.at("status").text("qosClass");
        if !class.is_empty() {
            new.object("status").default_to("qosClass", class);
        }
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        pod_annotations(
            value.at("metadata"),
            spec,
            &At::root("metadata").child("annotations"),
            errors,
        );
        check_spec(
            spec,
            Owner::Pod(value.at("metadata").text("name")),
            &SPEC,
            errors,
        );
        if spec.text("serviceAccountName").is_empty() {
            volumes::no_token_without_account(spec, &SPEC.child("volumes"), errors);
        }
    }

    fn check_create(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        if !spec.items("ephemeralContainers").is_empty() {
            SPEC.child("ephemeralContainers")
                .forbidden(errors, "cannot be set on create");
        }
        if !spec.text("nodeName").is_empty() && !spec.items("schedulingGates").is_empty() {
            SPEC.child("nodeName").forbidden(
                errors,
                "cannot be set until all schedulingGates have been cleared",
            );
        }
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        update::check(new, old, errors);
    }

    fn check_status(new: &Value, old: &Value, errors: &mut ErrorList) {
        update::check_status(new, old, errors);
    }
}

pub(super) struct Binding;

impl Rules for Binding {
    const COMMON: Common = Common {
        metadata: false,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::core::v1::Binding);

    fn check(value: &Value, errors: &mut ErrorList) {
        let target = value.at("target");
        let at = At::root("target");
        if !matches!(target.text("kind"), "" | "Node") {
            at.child("kind")
                .unsupported(errors, target.text("kind"), &["Node", "<empty>"]);
        }
        if target.text("name").is_empty() {
            at.child("name").required(errors, "");
        }
    }
}

/// A `PodTemplateSpec`.
pub(super) fn check_template(template: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let (metadata, spec) = (template.at("metadata"), template.at("spec"));
    labels(metadata, "labels", at, errors);
    annotations(metadata, at, errors);
    pod_annotations(metadata, spec, &at.child("annotations"), errors);
    check_spec(spec, Owner::Template, &at.child("spec"), errors);
    if !spec.items("ephemeralContainers").is_empty() {
        at.child("spec")
            .child("ephemeralContainers")
            .forbidden(errors, "ephemeral containers not allowed in pod template");
    }
}

fn check_spec(spec: &Value, owner: Owner<'_>, at: &At<'_>, errors: &mut ErrorList) {
    let grace = spec.int("terminationGracePeriodSeconds");
    if grace.is_none() {
        at.child("terminationGracePeriodSeconds")
            .required(errors, "");
    }
    let volumes = volumes::check(spec, owner, &at.child("volumes"), errors);
    claims(spec, &at.child("resourceClaims"), errors);
    containers::check_all(spec, owner, &volumes, at, errors);
    if spec.has("resources") {
        resources::check_pod(spec, &at.child("resources"), errors);
    }
    host_network(spec, owner, at, errors);
    one_of(
        spec,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
        at,
        errors,
    );
    one_of(
        spec,
        "dnsPolicy",
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
        at,
        errors,
    );
    labels(spec, "nodeSelector", at, errors);
    security::check_pod(spec, at, errors);
    scheduling::check(spec, at, errors);
    dns(spec, &at.child("dnsConfig"), errors);
    let gates = at.child("readinessGates");
    for (i, gate) in spec.items("readinessGates").iter().enumerate() {
        let name = gate.text("conditionType");
        gates
            .index(i)
            .child("conditionType")
            .complain(errors, name, names::qualified_name(name));
    }
    for field in [
        "serviceAccountName",
        "nodeName",
        "priorityClassName",
        "hostnameOverride",
    ] {
        name_if_set(spec, field, names::dns1123_subdomain, at, errors);
    }
    for field in ["hostname", "subdomain"] {
        name_if_set(spec, field, names::dns1123_label, at, errors);
    }
    if let Some(seconds) = spec
        .int("activeDeadlineSeconds")
        .filter(|s| !(1..=i64::from(i32::MAX)).contains(s))
    {
        at.child("activeDeadlineSeconds").invalid(
            errors,
            seconds,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    host_aliases(spec, &at.child("hostAliases"), errors);
    if spec.has("runtimeClassName") {
        let name = spec.text("runtimeClassName");
        at.child("runtimeClassName")
            .complain(errors, name, names::dns1123_subdomain(name));
    }
    one_of_if_set(
        spec,
        "preemptionPolicy",
        &["PreemptLowerPriority", "Never"],
        at,
        errors,
    );
    if spec.has("overhead") {
        resources::check(
            &json!({"limits": spec.at("overhead")}),
            &Seen::new(),
            &at.child("overhead"),
            errors,
        );
    }
    security::check_os(spec, at, errors);
}

/// Annotations that mean something to pods.
fn pod_annotations(metadata: &Value, spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    let annotations = metadata.at("annotations");
    if !annotations.is_object() {
        return;
    }
    if annotations.has(MIRROR) && spec.text("nodeName").is_empty() {
        let value = annotations.text(MIRROR);
        at.key(MIRROR).invalid(
            errors,
            value,
            "must set spec.nodeName if mirror pod annotation is set",
        );
    }
    if annotations.has(COST) {
        let cost = annotations.text(COST);
        // As Go: no leading plus or zeros, so that a cost is written in one way.
        let good = cost.parse::<i32>().is_ok_and(|n| n.to_string() == cost);
        if !good {
            at.key(COST)
                .invalid(errors, cost, "must be a 32bit integer");
        }
    }
}

fn claims(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let mut seen = Seen::new();
    for (i, claim) in spec.items("resourceClaims").iter().enumerate() {
        let at = at.index(i);
        let name = claim.text("name");
        if name.is_empty() {
            at.child("name").required(errors, "");
        } else if seen.insert(name) {
            at.child("name")
                .complain(errors, name, names::dns1123_label(name));
        } else {
            at.child("name").duplicate(errors, name);
        }
        match (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName")) {
            (true, true) => at.invalid(
                errors,
                claim.clone(),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            (false, false) => at.invalid(
                errors,
                claim.clone(),
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ),
            _ => {}
        }
    }
}

/// With the host's network, a container's ports are the host's.
fn host_network(spec: &Value, owner: Owner<'_>, at: &At<'_>, errors: &mut ErrorList) {
    if !spec.flag("hostNetwork") {
        return;
    }
    let list = at.child("containers");
    for (i, container) in spec.items("containers").iter().enumerate() {
        for (j, port) in container.items("ports").iter().enumerate() {
            let host = port.int("hostPort").unwrap_or(0);
            if (owner.is_pod() || host != 0) && host != port.int("containerPort").unwrap_or(0) {
                list.index(i)
                    .child("ports")
                    .index(j)
                    .child("hostPort")
                    .invalid(
                        errors,
                        host,
                        "must match `containerPort` when `hostNetwork` is true",
                    );
            }
        }
    }
}

fn host_aliases(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    for (i, alias) in spec.items("hostAliases").iter().enumerate() {
        let at = at.index(i);
        ip(alias.text("ip"), &at.child("ip"), errors);
        let list = at.child("hostnames");
        for (j, name) in alias
            .items("hostnames")
            .iter()
            .filter_map(Value::as_str)
            .enumerate()
        {
            list.index(j)
                .complain(errors, name, names::dns1123_subdomain(name));
        }
    }
}

fn dns(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    const NAMESERVERS_MAX: usize = 3;
    const SEARCHES_MAX: usize = 32;
    const SEARCHES_MAX_BYTES: usize = 2048;
    let config = spec.at("dnsConfig");
    let servers = config.items("nameservers");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            return at.required(errors, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return at.child("nameservers").required(errors, detail);
        }
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        at.child("nameservers")
            .invalid(errors, servers.to_vec(), &detail);
    }
    for (i, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        ip(server, &at.child("nameservers").index(i), errors);
    }
    let searches = config.items("searches");
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        at.child("searches")
            .invalid(errors, searches.to_vec(), &detail);
    }
    let bytes: usize = searches
        .iter()
        .map(|s| s.as_str().map_or(0, str::len) + 1)
        .sum();
    if bytes > SEARCHES_MAX_BYTES + 1 {
        let detail = format!(
            "must not have more than {SEARCHES_MAX_BYTES} characters (including spaces) in the search list"
        );
        at.child("searches")
            .invalid(errors, searches.to_vec(), &detail);
    }
    for (i, search) in searches
        .iter()
        .filter_map(Value::as_str)
        .enumerate()
        .filter(|(_, s)| *s != ".")
    {
        let search = search.strip_suffix('.').unwrap_or(search);
        // Underscores are good here (relaxed since 1.32), and anywhere that a letter is.
        let complaints = names::dns1123_subdomain(&search.replace('_', "a"));
        at.child("searches")
            .index(i)
            .complain(errors, search, complaints);
    }
    for (i, option) in config.items("options").iter().enumerate() {
        if option.text("name").is_empty() {
            at.child("options")
                .index(i)
                .required(errors, "must not be empty");
        }
    }
}

/// Selectors of affinity terms and spread constraints, if there is one.
fn selector_if_set(object: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if object.has("labelSelector") {
        label_selector(
            object.at("labelSelector"),
            &at.child("labelSelector"),
            errors,
        );
    }
}
