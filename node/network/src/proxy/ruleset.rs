//! From Services to nftables, purely.
//!
//! Every port of every Service is a [`Flow`]; every flow is a chain that picks an endpoint; two maps lead packets there, one
//! by address and port, one by node port. The whole table is replaced in one transaction.

use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::model::{Endpoint, Protocol, ServicePort, ServiceRecord, State};
use crate::{BRIDGE, Config, TABLE};

/// Marks packets whose source must become this node's: answers then come back through it.
const MASQUERADE_MARK: &str = "0x4000";

/// One port of one Service, with the endpoints that traffic for it may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// `namespace/name:port`, for people who read the rules.
    pub label: String,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The addresses that lead here.
    pub addresses: Vec<Ipv4Addr>,
    /// The port at these addresses.
    pub port: u16,
    /// The port at every node's own addresses, when there is one.
    pub node_port: Option<u16>,
    /// Where traffic from inside goes: `(address, port)`.
    pub endpoints: Vec<(Ipv4Addr, u16)>,
    /// Where traffic to the node port goes.
    pub external_endpoints: Vec<(Ipv4Addr, u16)>,
    /// The client's address is kept on the node port.
    pub keep_source: bool,
    /// One client, one endpoint.
    pub client_affinity: bool,
}

/// All flows, in the order of their Services' names.
pub fn flows(config: &Config, state: &State) -> Vec<Flow> {
    let mut flows = Vec::new();
    for ((namespace, name), service) in &state.services {
        // Cluster DNS is answered by the node itself.
        let ours = |ip: &&Ipv4Addr| **ip != config.cluster_dns;
        let mut addresses: Vec<Ipv4Addr> =
            service.cluster_ips.iter().filter(ours).copied().collect();
        if addresses.is_empty() {
            continue;
        }
        addresses.extend(&service.external_ips);
        for port in &service.ports {
            let all = endpoints(state, namespace, name, service, port);
            flows.push(Flow {
                label: format!("{namespace}/{name}:{}", port.port),
                protocol: port.protocol,
                addresses: addresses.clone(),
                port: port.port,
                node_port: port.node_port,
                endpoints: choose(&all, service.internal_local.then_some(&config.node_name)),
                external_endpoints: choose(
                    &all,
                    service.external_local.then_some(&config.node_name),
                ),
                keep_source: service.external_local,
                client_affinity: service.client_affinity,
            });
        }
    }
    flows
}

fn endpoints<'a>(
    state: &'a State,
    namespace: &'a str,
    name: &'a str,
    service: &ServiceRecord,
    port: &ServicePort,
) -> Vec<(&'a Endpoint, u16, bool)> {
    let mut all = Vec::new();
    for slice in state.slices_of(namespace, name) {
        let Some((_, _, target)) = slice
            .ports
            .iter()
            .find(|(n, protocol, _)| *n == port.name && *protocol == port.protocol)
        else {
            continue;
        };
        for endpoint in &slice.endpoints {
            all.push((
                endpoint,
                *target,
                endpoint.ready || service.publish_not_ready,
            ));
        }
    }
    all
}

/// The ready endpoints; when none is ready, those that still serve while they end (KEP-1669).
fn choose(all: &[(&Endpoint, u16, bool)], node: Option<&String>) -> Vec<(Ipv4Addr, u16)> {
    let here = |e: &Endpoint| node.is_none() || e.node.as_ref() == node;
    let pick = |wanted: fn(&(&Endpoint, u16, bool)) -> bool| {
        let mut chosen: Vec<(Ipv4Addr, u16)> = all
            .iter()
            .filter(|e| here(e.0) && wanted(e))
            .map(|(e, port, _)| (e.ip, *port))
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    };
    let ready = pick(|e| e.2);
    if ready.is_empty() {
        pick(|e| e.0.serving)
    } else {
        ready
    }
}

/// The whole table, as one transaction.
pub fn ruleset(config: &Config, state: &State) -> String {
    let flows = flows(config, state);
    let (pods, services) = (config.pod_cidr, config.service_cidr);
    let mut by_address = Vec::new();
    let mut by_node_port = Vec::new();
    let mut chains = String::new();
    for (index, flow) in flows.iter().enumerate() {
        let protocol = flow.protocol.name();
        if !flow.endpoints.is_empty() {
            for address in &flow.addresses {
                by_address.push(format!(
                    "{address} . {protocol} . {} : goto service-{index}",
                    flow.port
                ));
            }
            chain(
                &mut chains,
                &format!("service-{index}"),
                flow,
                &flow.endpoints,
                |body| {
                    // From outside the pods' range the answer must come back through this node.
                    let _ = writeln!(
                        body,
                        "    ip saddr != {pods} meta mark set meta mark or {MASQUERADE_MARK}"
                    );
                },
            );
        }
        if let Some(port) = flow
            .node_port
            .filter(|_| !flow.external_endpoints.is_empty())
        {
            by_node_port.push(format!("{protocol} . {port} : goto node-port-{index}"));
            chain(
                &mut chains,
                &format!("node-port-{index}"),
                flow,
                &flow.external_endpoints,
                |body| {
                    let whose = if flow.keep_source {
                        "fib saddr type local "
                    } else {
                        ""
                    };
                    let _ = writeln!(
                        body,
                        "    {whose}meta mark set meta mark or {MASQUERADE_MARK}"
                    );
                },
            );
        }
    }
    let map = |elements: Vec<String>| {
        if elements.is_empty() {
            String::new()
        } else {
            format!(
                "    elements = {{\n      {}\n    }}\n",
                elements.join(",\n      ")
            )
        }
    };
    let (by_address, by_node_port) = (map(by_address), map(by_node_port));
    // What nobody serves is refused before routing: once forwarded, the kernel tells the pod of a shorter way first (an ICMP
    // redirect), and its rate limit then swallows the refusal.
    format!(
        "add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  map by-address {{
    type ipv4_addr . inet_proto . inet_service : verdict
{by_address}  }}
  map by-node-port {{
    type inet_proto . inet_service : verdict
{by_node_port}  }}
{chains}  chain services {{
    ip daddr . meta l4proto . th dport vmap @by-address
    fib daddr type local meta l4proto . th dport vmap @by-node-port
  }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname \"{BRIDGE}\" ip daddr 127.0.0.0/8 drop
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark and {MASQUERADE_MARK} != 0 masquerade
    ip saddr {pods} ip daddr != {pods} oifname != \"{BRIDGE}\" masquerade
  }}
  chain no-endpoint {{
    ip daddr {dns} return
    ip daddr {services} reject
  }}
  chain unserved {{
    type filter hook prerouting priority dstnat + 10; policy accept;
    jump no-endpoint
  }}
  chain local {{
    type filter hook output priority filter; policy accept;
    jump no-endpoint
  }}
}}
",
        dns = config.cluster_dns,
    )
}

/// A chain that sends a packet to one of `endpoints`.
fn chain(
    out: &mut String,
    name: &str,
    flow: &Flow,
    endpoints: &[(Ipv4Addr, u16)],
    mark: impl FnOnce(&mut String),
) {
    let _ = writeln!(out, "  chain {name} {{\n    comment \"{}\"", flow.label);
    mark(out);
    // A pod that reaches itself must see another source, or it would answer itself directly.
    for (ip, _) in endpoints {
        let _ = writeln!(
            out,
            "    ip saddr {ip} meta mark set meta mark or {MASQUERADE_MARK}"
        );
    }
    let protocol = flow.protocol.name();
    match endpoints {
        [(ip, port)] => {
            let _ = writeln!(out, "    meta l4proto {protocol} dnat to {ip}:{port}");
        }
        many => {
            // The hash of the client's address keeps a client at its endpoint for as long as the endpoints stay.
            let pick = if flow.client_affinity {
                "jhash ip saddr"
            } else {
                "numgen random"
            };
            let targets: Vec<String> = many
                .iter()
                .enumerate()
                .map(|(i, (ip, port))| format!("{i} : {ip} . {port}"))
                .collect();
            let _ = writeln!(
                out,
                "    meta l4proto {protocol} dnat ip to {pick} mod {} map {{ {} }}",
                many.len(),
                targets.join(", ")
            );
        }
    }
    out.push_str("  }\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{config, state};
    use serde_json::json;

    fn slice(name: &str, service: &str, endpoints: serde_json::Value) -> serde_json::Value {
        json!({"metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4",
               "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints})
    }

    fn web(extra: serde_json::Value) -> serde_json::Value {
        let mut service = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.43.0.5",
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}});
        for (k, v) in extra.as_object().unwrap() {
            service["spec"][k] = v.clone();
        }
        service
    }

    #[test]
    fn which_endpoints_a_flow_has() {
        let check = |extra: serde_json::Value,
                     endpoints: serde_json::Value,
                     inside: &[u8],
                     outside: &[u8]| {
            let flows = flows(
                &config(),
                &state(&[web(extra), slice("web-1", "web", endpoints)]),
            );
            let last = |list: &[(Ipv4Addr, u16)]| {
                list.iter()
                    .map(|(ip, _)| ip.octets()[3])
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                (
                    last(&flows[0].endpoints),
                    last(&flows[0].external_endpoints)
                ),
                (inside.into(), outside.into())
            );
        };
        let two = json!([{"addresses": ["10.42.0.2"], "nodeName": "edge-1"}, {"addresses": ["10.42.1.3"], "nodeName": "b"}]);
        check(json!({}), two.clone(), &[2, 3], &[2, 3]);
        check(
            json!({"externalTrafficPolicy": "Local"}),
            two.clone(),
            &[2, 3],
            &[2],
        );
        check(
            json!({"internalTrafficPolicy": "Local"}),
            two,
            &[2],
            &[2, 3],
        );
        let ending = json!({"addresses": ["10.42.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}});
        check(
            json!({}),
            json!([ending, {"addresses": ["10.42.0.3"]}]),
            &[3],
            &[3],
        );
        check(json!({}), json!([ending]), &[2], &[2]);
        let starting =
            json!([{"addresses": ["10.42.0.2"], "conditions": {"ready": false, "serving": false}}]);
        check(json!({}), starting.clone(), &[], &[]);
        check(
            json!({"publishNotReadyAddresses": true}),
            starting,
            &[2],
            &[2],
        );
    }

    #[test]
    fn the_whole_table() {
        let two = json!([{"addresses": ["10.42.0.2"]}, {"addresses": ["10.42.0.3"]}]);
        let text = ruleset(
            &config(),
            &state(&[
                web(json!({"sessionAffinity": "ClientIP"})),
                slice("web-1", "web", two),
            ]),
        );
        for line in [
            "10.43.0.5 . tcp . 80 : goto service-0",
            "tcp . 30080 : goto node-port-0",
            "dnat ip to jhash ip saddr mod 2 map { 0 : 10.42.0.2 . 8080, 1 : 10.42.0.3 . 8080 }",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn headless_services_and_cluster_dns_have_no_rules() {
        let state = state(&[
            json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}}),
            json!({"metadata": {"name": "dns"}, "spec": {"clusterIP": "10.43.0.10", "ports": [{"port": 53}]}}),
        ]);
        assert_eq!(flows(&config(), &state), []);
    }
}
