//! Services. Addresses and node ports are the API server's to allocate; what it must keep over an update is kept here.

use std::ops::RangeInclusive;

use minicloud_api::field::{ErrorList, FieldError};
use minicloud_api::names;
use serde_json::{Value, json};

use super::text::{ip, labels, name_if_set, not_special_ip, one_of, one_of_if_set};
use super::{Common, Rules, shape};
use crate::at::{At, report};
use crate::json::{Get, Set};
use crate::seen::Seen;

mod check;
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
        check::by_type(spec, errors);
        check::ports(spec, errors);
        labels(spec, "selector", &SPEC, errors);
        check::affinity(spec, errors);
        check::addresses(spec, errors);
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
        check::load_balancer(spec, errors);
        check::traffic(spec, errors);
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
    let before = old.map_or(&[][..], |old| old.at("spec").items("ports"));
    let had: Seen<i64> = before
        .iter()
        .filter_map(|port| port.int("nodePort"))
        .collect();
    for (i, port) in service.at("spec").items("ports").iter().enumerate() {
        let Some(number) = port.int("nodePort").filter(|n| *n != 0 && !had.contains(n)) else {
            continue;
        };
        if !u16::try_from(number).is_ok_and(|n| range.contains(&n)) {
            let detail = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            );
            let path = SPEC.child("ports").index(i).child("nodePort").path();
            report(&mut errors, FieldError::invalid(path, number, detail));
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
