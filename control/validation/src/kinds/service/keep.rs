//! What a Service keeps over an update: the addresses and ports that it was given, unless its type no longer has them.

use std::collections::HashMap;

use minicloud_api::field::ErrorList;
use serde_json::Value;

use super::{SPEC, external, headless, needs_health_check};
use crate::json::{Get, Set, same};
use crate::seen::Seen;

fn needs_cluster_ip(spec: &Value) -> bool {
    spec.text("type") != "ExternalName"
}

fn needs_node_ports(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" => true,
        "LoadBalancer" => spec
            .at("allocateLoadBalancerNodePorts")
            .as_bool()
            .unwrap_or(true),
        _ => false,
    }
}

/// Fields that only the old type has, and that the client sent back unchanged, go away with the type.
pub(super) fn drop_what_the_type_lost(spec: &mut Value, old: &Value) {
    let unchanged = |spec: &Value, field: &str| same(spec.at(field), old.at(field));
    if needs_cluster_ip(old) && !needs_cluster_ip(spec) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if unchanged(spec, field) {
                spec.take_out(field);
            }
        }
    }
    if needs_node_ports(old) && !needs_node_ports(spec) {
        let had: Seen<i64> = old
            .items("ports")
            .iter()
            .filter_map(|p| p.int("nodePort"))
            .collect();
        for port in spec.items_mut("ports") {
            if port.int("nodePort").is_some_and(|n| had.contains(&n)) {
                port.take_out("nodePort");
            }
        }
    }
    if needs_health_check(old)
        && !needs_health_check(spec)
        && unchanged(spec, "healthCheckNodePort")
    {
        spec.take_out("healthCheckNodePort");
    }
    if old.text("type") == "LoadBalancer" && spec.text("type") != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(spec, field) {
                spec.take_out(field);
            }
        }
    }
    if external(old) && !external(spec) && unchanged(spec, "externalTrafficPolicy") {
        spec.take_out("externalTrafficPolicy");
    }
    if old.text("type") != "ExternalName" && spec.text("type") == "ExternalName" {
        spec.take_out("internalTrafficPolicy");
    }
}

/// What was allocated and left out stays.
pub(super) fn keep_allocated(spec: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(spec) {
        if spec.text("clusterIP").is_empty() {
            spec.copy_from(old, "clusterIP");
        }
        if spec.items("clusterIPs").is_empty() && spec.text("clusterIP") == old.text("clusterIP") {
            spec.copy_from(old, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if !spec.has(field) {
                spec.copy_from(old, field);
            }
        }
    }
    let address = spec.at("clusterIP").clone();
    if address.as_str().is_some_and(|a| !a.is_empty()) && spec.items("clusterIPs").is_empty() {
        spec.put("clusterIPs", Value::Array(vec![address]));
    }
    if needs_node_ports(old) && needs_node_ports(spec) {
        let mut used: Seen<i64> = spec
            .items("ports")
            .iter()
            .filter_map(|p| p.int("nodePort"))
            .collect();
        let given = old.items("ports").iter();
        let given: HashMap<&str, i64> = given
            .map(|p| (p.text("name"), p.int("nodePort").unwrap_or(0)))
            .collect();
        for port in spec.items_mut("ports") {
            if port.int("nodePort").unwrap_or(0) != 0 {
                continue;
            }
            let before = given.get(port.text("name")).copied().unwrap_or(0);
            if before != 0 && used.insert(before) {
                port.put("nodePort", before);
            }
        }
    }
    if needs_health_check(old)
        && needs_health_check(spec)
        && spec.int("healthCheckNodePort").unwrap_or(0) == 0
    {
        spec.copy_from(old, "healthCheckNodePort");
    }
}

pub(super) fn check(spec: &Value, old: &Value, errors: &mut ErrorList) {
    if needs_cluster_ip(spec) && needs_cluster_ip(old) {
        for field in ["clusterIPs", "ipFamilies"] {
            if !(headless(spec) && headless(old)) {
                list(spec, old, field, errors);
            }
        }
    }
    let at = SPEC.child("healthCheckNodePort");
    if needs_health_check(old)
        && needs_health_check(spec)
        && !same(
            spec.at("healthCheckNodePort"),
            old.at("healthCheckNodePort"),
        )
    {
        at.forbidden(errors, "field is immutable");
    }
    let balances = |spec: &Value| spec.text("type") == "LoadBalancer";
    if balances(old)
        && balances(spec)
        && !same(spec.at("loadBalancerClass"), old.at("loadBalancerClass"))
    {
        SPEC.child("loadBalancerClass").invalid(
            errors,
            spec.at("loadBalancerClass").clone(),
            "may not change once set",
        );
    }
}

/// The first entry stays; a second may come, or go when the policy says so.
fn list(spec: &Value, old: &Value, field: &str, errors: &mut ErrorList) {
    if field == "ipFamilies" && (headless(spec) || headless(old)) {
        return;
    }
    let (now, before) = (spec.items(field), old.items(field));
    let list = SPEC.child(field);
    let shown = || Value::Array(now.to_vec());
    if now.is_empty() && !before.is_empty() {
        let word = if field == "clusterIPs" {
            "clusterIP"
        } else {
            "ipFamily"
        };
        return list
            .index(0)
            .invalid(errors, shown(), &format!("primary {word} can not be unset"));
    }
    let fixed = if now.len() == before.len() {
        before.len()
    } else {
        before.len().min(1)
    };
    for (i, (now, before)) in now.iter().zip(before).enumerate().take(fixed) {
        if now != before {
            list.index(i)
                .invalid(errors, shown(), "may not change once set");
        }
    }
    if before.len() > now.len() && spec.text("ipFamilyPolicy") != "SingleStack" {
        let word = if field == "clusterIPs" {
            "clusterIP"
        } else {
            "ipFamily"
        };
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {word}");
        SPEC.child("ipFamilyPolicy")
            .invalid(errors, spec.at("ipFamilyPolicy").clone(), &detail);
    }
}
