//! What makes a Service a good one, by topic.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Value, json};

use super::super::text::{PROTOCOLS, cidr, ip, name_if_set, one_of, one_of_if_set};
use super::super::text::{one_per_family, port_or_name};
use super::{SPEC, external, headless, needs_health_check};
use crate::json::Get;
use crate::seen::Seen;

pub(super) fn by_type(spec: &Value, errors: &mut ErrorList) {
    let kind = spec.text("type");
    if spec.items("ports").is_empty() && !headless(spec) && kind != "ExternalName" {
        SPEC.child("ports").required(errors, "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            SPEC.child("clusterIPs")
                .index(0)
                .invalid(errors, "None", &detail);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies"] {
                if !spec.items(field).is_empty() {
                    SPEC.child(field)
                        .forbidden(errors, "may not be set for ExternalName services");
                }
            }
            if spec.has("ipFamilyPolicy") {
                SPEC.child("ipFamilyPolicy")
                    .forbidden(errors, "may not be set for ExternalName services");
            }
            let name = spec.text("externalName");
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                SPEC.child("externalName").required(errors, "");
            } else {
                SPEC.child("externalName")
                    .complain(errors, name, names::dns1123_subdomain(name));
            }
        }
        _ => {}
    }
}

pub(super) fn ports(spec: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("ports");
    let ports = spec.items("ports");
    let mut names = Seen::new();
    let (mut node_ports, mut own) = (Seen::new(), Seen::new());
    for (i, port) in ports.iter().enumerate() {
        let at = list.index(i);
        let (name, protocol) = (port.text("name"), port.text("protocol"));
        if !name.is_empty() {
            at.child("name")
                .complain(errors, name, names::dns1123_label(name));
            if !names.insert(name) {
                at.child("name").duplicate(errors, name);
            }
        } else if ports.len() > 1 {
            at.child("name").required(errors, "");
        }
        let number = port.int("port").unwrap_or(0);
        at.child("port")
            .complain(errors, number, names::port_number(number));
        one_of(port, "protocol", &PROTOCOLS, &at, errors);
        port_or_name(port.at("targetPort"), &at.child("targetPort"), errors);
        name_if_set(port, "appProtocol", names::qualified_name, &at, errors);
        if let Some(node_port) = port.int("nodePort").filter(|n| *n != 0) {
            if spec.text("type") == "ClusterIP" {
                at.child("nodePort")
                    .forbidden(errors, "may not be used when `type` is 'ClusterIP'");
            }
            if !node_ports.insert((protocol, node_port)) {
                at.child("nodePort").duplicate(errors, node_port);
            }
        }
        if !own.insert((protocol, number)) {
            at.duplicate(errors, json!({"port": number, "protocol": protocol}));
        }
    }
}

pub(super) fn affinity(spec: &Value, errors: &mut ErrorList) {
    const TIMEOUT_MAX_SECONDS: i64 = 86_400;
    one_of(
        spec,
        "sessionAffinity",
        &["ClientIP", "None"],
        &SPEC,
        errors,
    );
    let config = SPEC.child("sessionAffinityConfig");
    match spec.text("sessionAffinity") {
        "ClientIP" => {
            let at = config.child("clientIP");
            let at = at.child("timeoutSeconds");
            match spec
                .at("sessionAffinityConfig")
                .at("clientIP")
                .int("timeoutSeconds")
            {
                None => at.required(errors, "when session affinity type is ClientIP"),
                Some(seconds) if !(1..=TIMEOUT_MAX_SECONDS).contains(&seconds) => {
                    let detail =
                        format!("must be greater than 0 and less than {TIMEOUT_MAX_SECONDS}");
                    at.invalid(errors, seconds, &detail);
                }
                Some(_) => {}
            }
        }
        "None" if spec.has("sessionAffinityConfig") => {
            config.forbidden(errors, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

pub(super) fn addresses(spec: &Value, errors: &mut ErrorList) {
    if spec.text("type") == "ExternalName" {
        return;
    }
    let list = SPEC.child("clusterIPs");
    let shown = || spec.at("clusterIPs").clone();
    let first = spec.text("clusterIP");
    let ips: Vec<&str> = spec
        .items("clusterIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match ips.first() {
        None if !first.is_empty() => list.required(errors, ""),
        Some(_) if first.is_empty() => list.invalid(
            errors,
            shown(),
            "must be empty when `clusterIP` is not specified",
        ),
        Some(ip) if *ip != first => {
            list.invalid(errors, shown(), "first value must match `clusterIP`")
        }
        _ => {}
    }
    let families = SPEC.child("ipFamilies");
    let given = spec.items("ipFamilies");
    let mut seen = Seen::new();
    for (i, family) in given.iter().enumerate() {
        if family != "IPv4" && family != "IPv6" {
            families
                .index(i)
                .unsupported(errors, family.clone(), &["IPv4", "IPv6"]);
        }
        if !seen.insert(family) {
            families.index(i).duplicate(errors, family.clone());
        }
    }
    one_of_if_set(
        spec,
        "ipFamilyPolicy",
        &["PreferDualStack", "RequireDualStack", "SingleStack"],
        &SPEC,
        errors,
    );
    let before = errors.len();
    for (i, text) in ips.iter().enumerate() {
        if i == 0 && *text == "None" {
            if ips.len() > 1 {
                list.invalid(errors, shown(), "'None' must be the first and only value");
            }
        } else {
            ip(text, &list.index(i), errors);
        }
    }
    if ips.len() > 2 {
        list.invalid(errors, shown(), "may only hold up to 2 values");
    }
    if errors.len() > before {
        return;
    }
    if !one_per_family(&ips) {
        list.invalid(
            errors,
            shown(),
            "may specify no more than one IP for each IP family",
        );
    }
    for (i, (ip, family)) in ips
        .iter()
        .zip(given)
        .enumerate()
        .filter(|_| !headless(spec))
    {
        let is = if ip.contains(':') { "IPv6" } else { "IPv4" };
        if let Some(family) = family.as_str().filter(|family| *family != is) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            list.index(i).invalid(errors, *ip, &detail);
        }
    }
}

pub(super) fn load_balancer(spec: &Value, errors: &mut ErrorList) {
    let is = spec.text("type") == "LoadBalancer";
    let ranges = spec.items("loadBalancerSourceRanges");
    let list = SPEC.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !is {
        list.forbidden(errors, "may only be used when `type` is 'LoadBalancer'");
    }
    for (i, range) in ranges.iter().filter_map(Value::as_str).enumerate() {
        cidr(range.trim(), &list.index(i), errors);
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec.has(field) && !is {
            SPEC.child(field)
                .forbidden(errors, "may only be used when `type` is 'LoadBalancer'");
        }
    }
    if is {
        name_if_set(
            spec,
            "loadBalancerClass",
            names::qualified_name,
            &SPEC,
            errors,
        );
    }
}

pub(super) fn traffic(spec: &Value, errors: &mut ErrorList) {
    let policy = spec.text("externalTrafficPolicy");
    let at = SPEC.child("externalTrafficPolicy");
    if external(spec) {
        one_of(
            spec,
            "externalTrafficPolicy",
            &["Cluster", "Local"],
            &SPEC,
            errors,
        );
    } else if !policy.is_empty() {
        at.invalid(
            errors,
            policy,
            "may only be set for externally-accessible services",
        );
    }
    let port = spec.int("healthCheckNodePort").unwrap_or(0);
    let at = SPEC.child("healthCheckNodePort");
    match (needs_health_check(spec), port) {
        (true, 0) => at.required(errors, ""),
        (true, port) => at.complain(errors, port, names::port_number(port)),
        (false, 0) => {}
        (false, port) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            at.invalid(errors, port, detail);
        }
    }
    if matches!(spec.text("type"), "ClusterIP" | "NodePort" | "LoadBalancer") {
        one_of(
            spec,
            "internalTrafficPolicy",
            &["Cluster", "Local"],
            &SPEC,
            errors,
        );
    }
    let distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    one_of_if_set(spec, "trafficDistribution", &distributions, &SPEC, errors);
}
