//! Services. Addresses and node ports are the API server's to allocate; what it must keep over an update is kept here.

use std::ops::RangeInclusive;

use minicloud_api::field::{ErrorList, FieldError};
use minicloud_api::names;
use serde_json::{Value, json};

use super::text::{
    PROTOCOLS, cidr, ip, labels, name_if_set, not_special_ip, one_of, one_of_if_set,
};
use super::text::{one_per_family, port_or_name};
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};

mod keep;

const SPEC: At<'static> = At::root("spec");

pub(super) struct Service;

impl Rules for Service {
    const COMMON: Common = Common {
        name: names::dns1123_label,
        status: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::core::v1::Service);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        spec.default_to("sessionAffinity", "None");
        match spec.text("sessionAffinity") {
            "None" => drop(spec.take_out("sessionAffinityConfig")),
            "ClientIP" => {
                spec.object("sessionAffinityConfig")
                    .object("clientIP")
                    .default_to("timeoutSeconds", 10_800);
            }
            _ => {}
        }
        spec.default_to("type", "ClusterIP");
        for port in spec.items_mut("ports") {
            port.default_to("protocol", "TCP");
            if matches!(port.at("targetPort"), Value::Null)
                || port.at("targetPort") == 0
                || port.at("targetPort") == ""
            {
                let number = port.int("port").unwrap_or(0);
                port.put("targetPort", number);
            }
        }
        let kind = spec.text("type").to_owned();
        if external(spec) {
            spec.default_to("externalTrafficPolicy", "Cluster");
        }
        if kind != "ExternalName" {
            spec.default_to("internalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            spec.default_to("allocateLoadBalancerNodePorts", true);
        }
        let status = value.object("status").object("loadBalancer");
        for ingress in status.items_mut("ingress") {
            if kind == "LoadBalancer" && !ingress.text("ip").is_empty() {
                ingress.default_to("ipMode", "VIP");
            }
        }
    }

    fn create(value: &mut Value) {
        let spec = value.object("spec");
        if !spec.text("clusterIP").is_empty() && spec.items("clusterIPs").is_empty() {
            let ip = spec.at("clusterIP").clone();
            spec.put("clusterIPs", json!([ip]));
        }
        families(spec);
        value.put("status", json!({"loadBalancer": {}}));
    }

    fn update(new: &mut Value, old: &Value) {
        let spec = new.object("spec");
        keep::drop_what_the_type_lost(spec, old.at("spec"));
        keep::keep_allocated(spec, old.at("spec"));
        families(spec);
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        by_type(spec, errors);
        ports(spec, errors);
        labels(spec, "selector", &SPEC, errors);
        affinity(spec, errors);
        addresses(spec, errors);
        let list = SPEC.child("externalIPs");
        for (i, text) in spec
            .items("externalIPs")
            .iter()
            .filter_map(Value::as_str)
            .enumerate()
        {
            let at = list.index(i);
            if ip(text, &at, errors) {
                not_special_ip(text, &at, errors);
            }
        }
        one_of(
            spec,
            "type",
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
            &SPEC,
            errors,
        );
        load_balancer(spec, errors);
        traffic(spec, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        keep::check(new.at("spec"), old.at("spec"), errors);
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        let ingress = new.at("status").at("loadBalancer").items("ingress");
        let at = At::root("status");
        let at = at.child("loadBalancer");
        let list = at.child("ingress");
        if new.at("spec").text("type") != "LoadBalancer" && !ingress.is_empty() {
            return list.forbidden(
                errors,
                "may only be used when `spec.type` is 'LoadBalancer'",
            );
        }
        for (i, each) in ingress.iter().enumerate() {
            let at = list.index(i);
            let address = each.text("ip");
            if !address.is_empty() {
                ip(address, &at.child("ip"), errors);
            }
            if each.has("ipMode") && address.is_empty() {
                at.child("ipMode")
                    .forbidden(errors, "may not be specified when `ip` is not set");
            }
            one_of_if_set(each, "ipMode", &["Proxy", "VIP"], &at, errors);
            name_if_set(each, "hostname", names::dns1123_subdomain, &at, errors);
        }
    }
}

/// Whether every node port that is set lies in the range; a port that was allocated before may stay wherever it is.
pub fn check_node_ports(
    service: &Value,
    old: Option<&Value>,
    range: &RangeInclusive<u16>,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let had = |port: i64| {
        old.is_some_and(|old| {
            old.at("spec")
                .items("ports")
                .iter()
                .any(|p| p.int("nodePort") == Some(port))
        })
    };
    for (i, port) in service.at("spec").items("ports").iter().enumerate() {
        let Some(number) = port.int("nodePort").filter(|n| *n != 0 && !had(*n)) else {
            continue;
        };
        if !u16::try_from(number).is_ok_and(|n| range.contains(&n)) {
            let detail = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            );
            let path = SPEC.child("ports").index(i).child("nodePort").path();
            errors.push(FieldError::invalid(path, number, detail));
        }
    }
    errors
}

fn headless(spec: &Value) -> bool {
    matches!(spec.items("clusterIPs"), [Value::String(only)] if only == "None")
}

fn external(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !spec.items("externalIPs").is_empty(),
        _ => false,
    }
}

fn needs_health_check(spec: &Value) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

/// One family, that of the address if there is one: clusters have one range here.
fn families(spec: &mut Value) {
    if spec.text("type") == "ExternalName" {
        return;
    }
    let family = if spec.text("clusterIP").contains(':') {
        "IPv6"
    } else {
        "IPv4"
    };
    if spec.items("ipFamilies").is_empty() {
        spec.put("ipFamilies", json!([family]));
    }
    spec.default_to("ipFamilyPolicy", "SingleStack");
}

fn by_type(spec: &Value, errors: &mut ErrorList) {
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

fn ports(spec: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("ports");
    let ports = spec.items("ports");
    let mut names = Vec::new();
    let (mut node_ports, mut own) = (Vec::new(), Vec::new());
    for (i, port) in ports.iter().enumerate() {
        let at = list.index(i);
        let (name, protocol) = (port.text("name"), port.text("protocol"));
        if !name.is_empty() {
            at.child("name")
                .complain(errors, name, names::dns1123_label(name));
            if names.contains(&name) {
                at.child("name").duplicate(errors, name);
            }
            names.push(name);
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
            if node_ports.contains(&(protocol, node_port)) {
                at.child("nodePort").duplicate(errors, node_port);
            }
            node_ports.push((protocol, node_port));
        }
        if own.contains(&(protocol, number)) {
            at.duplicate(errors, json!({"port": number, "protocol": protocol}));
        }
        own.push((protocol, number));
    }
}

fn affinity(spec: &Value, errors: &mut ErrorList) {
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

fn addresses(spec: &Value, errors: &mut ErrorList) {
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
    for (i, family) in given.iter().enumerate() {
        if family != "IPv4" && family != "IPv6" {
            families
                .index(i)
                .unsupported(errors, family.clone(), &["IPv4", "IPv6"]);
        }
        if given[..i].contains(family) {
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

fn load_balancer(spec: &Value, errors: &mut ErrorList) {
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

fn traffic(spec: &Value, errors: &mut ErrorList) {
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
