//! Services, Endpoints and EndpointSlices.

use serde_json::Value;

use super::read::{first_three, labels, list, name, number, or, text};
use super::{AGE, Column, Kind, NAME, age};

pub(super) const SERVICE: Kind = Kind::new(
    &[
        NAME,
        Column::new("Type", "How the service is reached."),
        Column::new("Cluster-IP", "The address within the cluster."),
        Column::new("External-IP", "Addresses from outside of the cluster."),
        Column::new("Port(s)", "Ports, with node ports after a colon."),
        AGE,
        Column::new("Selector", "Which pods serve it.").wide(),
    ],
    |service, now| {
        let cluster_ip = list(service, "/spec/clusterIPs")
            .first()
            .and_then(Value::as_str);
        let cluster_ip =
            cluster_ip.unwrap_or_else(|| or(text(service, "/spec/clusterIP"), "<none>"));
        vec![
            name(service),
            text(service, "/spec/type").into(),
            cluster_ip.into(),
            external_ip(service).into(),
            ports(service).into(),
            age::of(service, now),
            labels(service, "/spec/selector").into(),
        ]
    },
);

fn external_ip(service: &Value) -> String {
    let mut external: Vec<&str> = list(service, "/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => external.join(","),
        "LoadBalancer" => {
            let ingress = list(service, "/status/loadBalancer/ingress").iter();
            let mut all: Vec<&str> = ingress
                .map(|i| or(text(i, "/ip"), text(i, "/hostname")))
                .collect();
            all.sort_unstable();
            all.dedup();
            all.retain(|address| !address.is_empty());
            all.append(&mut external);
            if all.is_empty() {
                "<pending>".to_owned()
            } else {
                all.join(",")
            }
        }
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let (number, node, protocol) = (
            number(port, "/port"),
            number(port, "/nodePort"),
            text(port, "/protocol"),
        );
        if node > 0 {
            format!("{number}:{node}/{protocol}")
        } else {
            format!("{number}/{protocol}")
        }
    };
    let ports: Vec<String> = list(service, "/spec/ports").iter().map(port).collect();
    if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    }
}

pub(super) const ENDPOINTS: Kind = Kind::new(
    &[
        NAME,
        Column::new("Endpoints", "Addresses and ports that are ready."),
        AGE,
    ],
    |endpoints, now| {
        let subsets = list(endpoints, "/subsets");
        let all = subsets.iter().flat_map(|subset| {
            let ports: Vec<Option<i64>> = match list(subset, "/ports") {
                // A headless service may have no ports.
                [] => vec![None],
                ports => ports
                    .iter()
                    .map(|port| Some(number(port, "/port")))
                    .collect(),
            };
            let addresses = list(subset, "/addresses");
            ports.into_iter().flat_map(move |port| {
                addresses
                    .iter()
                    .map(move |a| endpoint(text(a, "/ip"), port))
            })
        });
        // Subsets whose addresses are all not ready print as nothing at all.
        let none = if subsets.is_empty() { "<none>" } else { "" };
        vec![
            name(endpoints),
            first_three(all, none).into(),
            age::of(endpoints, now),
        ]
    },
);

fn endpoint(ip: &str, port: Option<i64>) -> String {
    match port {
        None => ip.to_owned(),
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
    }
}

pub(super) const ENDPOINT_SLICE: Kind = Kind::new(
    &[
        NAME,
        Column::new("AddressType", "IPv4, IPv6 or FQDN."),
        Column::new("Ports", "Ports of every endpoint."),
        Column::new("Endpoints", "Addresses of the endpoints."),
        AGE,
    ],
    |slice, now| {
        let port = |port: &Value| match port.get("port").and_then(Value::as_i64) {
            Some(number) => number.to_string(),
            None => or(text(port, "/name"), "*").to_owned(),
        };
        let addresses = list(slice, "/endpoints")
            .iter()
            .flat_map(|endpoint| list(endpoint, "/addresses"));
        vec![
            name(slice),
            text(slice, "/addressType").into(),
            first_three(list(slice, "/ports").iter().map(port), "<unset>").into(),
            first_three(
                addresses.filter_map(Value::as_str).map(str::to_owned),
                "<unset>",
            )
            .into(),
            age::of(slice, now),
        ]
    },
);
