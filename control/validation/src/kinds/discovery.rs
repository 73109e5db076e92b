//! Endpoints and EndpointSlices.

use std::net::IpAddr;

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::meta::immutable;
use super::text::{PROTOCOLS, ip, name_if_set, not_special_ip, one_of, parse_ip};
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set, same};

pub(super) struct Endpoints;

impl Rules for Endpoints {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::core::v1::Endpoints);

    fn default(value: &mut Value) {
        for port in value
            .items_mut("subsets")
            .flat_map(|subset| subset.items_mut("ports"))
        {
            port.default_to("protocol", "TCP");
        }
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let list = At::root("subsets");
        for (i, subset) in value.items("subsets").iter().enumerate() {
            let at = list.index(i);
            let (ready, not_ready) = (subset.items("addresses"), subset.items("notReadyAddresses"));
            if ready.is_empty() && not_ready.is_empty() {
                at.required(errors, "must specify `addresses` or `notReadyAddresses`");
            }
            for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
                for (j, address) in addresses.iter().enumerate() {
                    let list = at.child(field);
                    self::address(address, &list.index(j), errors);
                }
            }
            let ports = subset.items("ports");
            for (j, port) in ports.iter().enumerate() {
                let list = at.child("ports");
                let at = list.index(j);
                let name = port.text("name");
                if !name.is_empty() {
                    at.child("name")
                        .complain(errors, name, names::dns1123_label(name));
                } else if ports.len() > 1 {
                    at.child("name").required(errors, "");
                }
                let number = port.int("port").unwrap_or(0);
                at.child("port")
                    .complain(errors, number, names::port_number(number));
                one_of(port, "protocol", &PROTOCOLS, &at, errors);
                name_if_set(port, "appProtocol", names::qualified_name, &at, errors);
            }
        }
    }
}

fn address(address: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let text = address.text("ip");
    ip(text, &at.child("ip"), errors);
    name_if_set(address, "hostname", names::dns1123_label, at, errors);
    name_if_set(address, "nodeName", names::dns1123_subdomain, at, errors);
    not_special_ip(text, &at.child("ip"), errors);
}

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const HINTS_MAX: usize = 8;
const TOPOLOGY_MAX: usize = 16;

pub(super) struct EndpointSlice;

impl Rules for EndpointSlice {
    const COMMON: Common = Common {
        generation: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::discovery::v1::EndpointSlice);

    fn default(value: &mut Value) {
        for port in value.items_mut("ports") {
            if !port.has("name") {
                port.put("name", "");
            }
            port.default_to("protocol", "TCP");
        }
        if !value.has("endpoints") {
            value.put("endpoints", Value::Array(Vec::new()));
        }
    }

    fn changed(new: &Value, old: &Value) -> bool {
        let labels = |v: &Value| v.at("metadata").at("labels").clone();
        ["endpoints", "ports", "addressType"]
            .iter()
            .any(|field| !same(new.at(field), old.at(field)))
            || !same(&labels(new), &labels(old))
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let kind = value.text("addressType");
        one_of(
            value,
            "addressType",
            &["FQDN", "IPv4", "IPv6"],
            &At::root(""),
            errors,
        );
        let list = At::root("endpoints");
        let endpoints = value.items("endpoints");
        if endpoints.len() > ENDPOINTS_MAX {
            return list.too_many(errors, endpoints.len(), ENDPOINTS_MAX);
        }
        for (i, endpoint) in endpoints.iter().enumerate() {
            self::endpoint(endpoint, kind, &list.index(i), errors);
        }
        ports(value.items("ports"), &At::root("ports"), errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        immutable(new, old, "addressType", &At::root(""), errors);
    }
}

fn endpoint(endpoint: &Value, kind: &str, at: &At<'_>, errors: &mut ErrorList) {
    let list = at.child("addresses");
    let addresses = endpoint.items("addresses");
    if addresses.is_empty() {
        list.required(errors, "must contain at least 1 address");
    } else if addresses.len() > ADDRESSES_MAX {
        list.too_many(errors, addresses.len(), ADDRESSES_MAX);
    }
    for (i, text) in addresses
        .iter()
        .filter_map(Value::as_str)
        .enumerate()
        .take(ADDRESSES_MAX)
    {
        let at = list.index(i);
        match (kind, parse_ip(text)) {
            ("IPv4", Some(IpAddr::V4(_))) | ("IPv6", Some(IpAddr::V6(_))) => {
                not_special_ip(text, &at, errors)
            }
            ("IPv4", _) => at.invalid(errors, text, "must be a valid IPv4 address"),
            ("IPv6", _) => at.invalid(errors, text, "must be a valid IPv6 address"),
            ("FQDN", _) if !text.contains('.') => {
                at.invalid(
                    errors,
                    text,
                    "should be a domain with at least two segments separated by dots",
                );
            }
            ("FQDN", _) => at.complain(
                errors,
                text,
                names::dns1123_subdomain(text.strip_suffix('.').unwrap_or(text)),
            ),
            _ => {}
        }
    }
    name_if_set(endpoint, "nodeName", names::dns1123_subdomain, at, errors);
    name_if_set(endpoint, "hostname", names::dns1123_label, at, errors);
    let topology = endpoint
        .at("deprecatedTopology")
        .as_object()
        .map_or(0, serde_json::Map::len);
    if topology > TOPOLOGY_MAX {
        at.child("deprecatedTopology")
            .too_many(errors, topology, TOPOLOGY_MAX);
    }
    for field in ["forZones", "forNodes"] {
        let hints = endpoint.at("hints").items(field);
        let list = at.child("hints");
        let list = list.child(field);
        if hints.len() > HINTS_MAX {
            list.too_many(errors, hints.len(), HINTS_MAX);
        }
        for (i, hint) in hints.iter().enumerate().take(HINTS_MAX) {
            name_if_set(hint, "name", names::label_value, &list.index(i), errors);
        }
    }
}

fn ports(ports: &[Value], list: &At<'_>, errors: &mut ErrorList) {
    if ports.len() > PORTS_MAX {
        return list.too_many(errors, ports.len(), PORTS_MAX);
    }
    let mut seen = std::collections::HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = list.index(i);
        let name = port.text("name");
        name_if_set(port, "name", names::dns1123_label, &at, errors);
        if !seen.insert(name) {
            at.child("name").duplicate(errors, name);
        }
        one_of(port, "protocol", &PROTOCOLS, &at, errors);
        if let Some(number) = port.int("port") {
            at.child("port")
                .complain(errors, number, names::port_number(number));
        }
        name_if_set(port, "appProtocol", names::qualified_name, &at, errors);
    }
}
