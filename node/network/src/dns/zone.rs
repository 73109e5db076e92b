//! What the cluster's domain says, purely: a name and a type in, records out.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::model::{Endpoint, State};

/// Kubernetes' usual time to live: endpoints move.
pub const TTL_SECONDS: u32 = 5;

/// A record, without its owner's name where it is the name that was asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// Another name for it.
    Cname(String),
    /// A service: port and target.
    Srv(u16, String),
    /// The name of an address.
    Ptr(String),
    /// Text.
    Txt(String),
}

/// What kind of record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Addresses.
    A,
    /// Services.
    Srv,
    /// Names of addresses.
    Ptr,
    /// Text.
    Txt,
    /// A type that we have no records of.
    Other,
    /// All of them.
    Any,
}

/// The answer for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not in the cluster's domain.
    NotOurs,
    /// The name does not exist.
    NoSuchName,
    /// The name exists; the list may be empty.
    Records(Vec<Record>),
}

/// The cluster's domain and address ranges.
#[derive(Debug, Clone)]
pub struct Zone {
    domain: String,
    services: Ipv4Net,
    pods: Ipv4Net,
}

impl Zone {
    /// The zone of `domain` (`cluster.local`).
    pub fn new(domain: &str, services: Ipv4Net, pods: Ipv4Net) -> Self {
        Self {
            domain: domain.trim_end_matches('.').to_ascii_lowercase(),
            services,
            pods,
        }
    }

    /// The domain, without a final dot.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Answers for `name`, in lower case and without the final dot.
    pub fn answer(&self, state: &State, name: &str, wanted: Wanted) -> Answer {
        if let Some(address) = reverse_address(name) {
            if !self.services.contains(&address) && !self.pods.contains(&address) {
                return Answer::NotOurs;
            }
            return match self.names_of(state, address) {
                names if names.is_empty() => Answer::NoSuchName,
                names => Answer::Records(names.into_iter().filter(|r| r.is(wanted)).collect()),
            };
        }
        if name == self.domain {
            return Answer::Records(Vec::new());
        }
        let Some(rest) = name
            .strip_suffix(&self.domain)
            .and_then(|r| r.strip_suffix('.'))
        else {
            return Answer::NotOurs;
        };
        let labels: Vec<&str> = rest.split('.').collect();
        match self.records(state, &labels) {
            None => Answer::NoSuchName,
            Some(records) => {
                Answer::Records(records.into_iter().filter(|r| r.is(wanted)).collect())
            }
        }
    }

    /// The records of a name below the domain; `None` when there is no such name.
    fn records(&self, state: &State, labels: &[&str]) -> Option<Vec<Record>> {
        let exists = |namespace: &str| state.services.keys().any(|(ns, _)| ns == namespace);
        match labels {
            ["dns-version"] => Some(vec![Record::Txt("1.1.0".into())]),
            ["svc" | "pod"] => Some(Vec::new()),
            [namespace, "svc" | "pod"] => exists(namespace).then(Vec::new),
            [dashed, _, "pod"] => {
                let ip: Ipv4Addr = dashed.replace('-', ".").parse().ok()?;
                self.pods.contains(&ip).then(|| vec![Record::A(ip)])
            }
            [service, namespace, "svc"] => self.service(state, namespace, service),
            [port, protocol, service, namespace, "svc"]
                if port.starts_with('_') && protocol.starts_with('_') =>
            {
                self.srv(state, namespace, service, &port[1..], &protocol[1..])
            }
            [host, service, namespace, "svc"] => {
                let found: Vec<Record> = endpoints(state, namespace, service)
                    .filter(|e| host_label(e) == *host)
                    .map(|e| Record::A(e.ip))
                    .collect();
                (!found.is_empty()).then_some(unique(found))
            }
            _ => None,
        }
    }

    fn service(&self, state: &State, namespace: &str, name: &str) -> Option<Vec<Record>> {
        let service = state
            .services
            .get(&(namespace.to_owned(), name.to_owned()))?;
        if let Some(external) = &service.external_name {
            return Some(vec![Record::Cname(
                external.trim_end_matches('.').to_ascii_lowercase(),
            )]);
        }
        let mut records: Vec<Record> = if service.headless {
            unique(
                endpoints(state, namespace, name)
                    .map(|e| Record::A(e.ip))
                    .collect(),
            )
        } else {
            service
                .cluster_ips
                .iter()
                .map(|ip| Record::A(*ip))
                .collect()
        };
        // An SRV question for the Service's own name gets all its ports.
        for port in &service.ports {
            let target = format!("{name}.{namespace}.svc.{}", self.domain);
            if !service.headless {
                records.push(Record::Srv(port.port, target));
            }
        }
        Some(records)
    }

    fn srv(
        &self,
        state: &State,
        namespace: &str,
        name: &str,
        port: &str,
        protocol: &str,
    ) -> Option<Vec<Record>> {
        let service = state
            .services
            .get(&(namespace.to_owned(), name.to_owned()))?;
        let base = format!("{name}.{namespace}.svc.{}", self.domain);
        let named = service
            .ports
            .iter()
            .find(|p| p.name == port && p.protocol.name() == protocol)?;
        if !service.headless {
            return Some(vec![Record::Srv(named.port, base)]);
        }
        let mut records = Vec::new();
        for slice in state.slices_of(namespace, name) {
            let Some((_, _, number)) = slice
                .ports
                .iter()
                .find(|(n, p, _)| n == port && p.name() == protocol)
            else {
                continue;
            };
            let ready = slice
                .endpoints
                .iter()
                .filter(|e| e.ready || service.publish_not_ready);
            records
                .extend(ready.map(|e| Record::Srv(*number, format!("{}.{base}", host_label(e)))));
        }
        (!records.is_empty()).then_some(unique(records))
    }

    fn names_of(&self, state: &State, address: Ipv4Addr) -> Vec<Record> {
        for ((namespace, name), service) in &state.services {
            if service.cluster_ips.contains(&address) {
                return vec![Record::Ptr(format!(
                    "{name}.{namespace}.svc.{}",
                    self.domain
                ))];
            }
        }
        let mut names = Vec::new();
        for ((namespace, _), slice) in &state.slices {
            let headless = state
                .services
                .get(&(namespace.clone(), slice.service.clone()))
                .is_some_and(|service| service.headless);
            if !headless {
                continue;
            }
            for endpoint in slice.endpoints.iter().filter(|e| e.ip == address) {
                let host = host_label(endpoint);
                names.push(Record::Ptr(format!(
                    "{host}.{}.{namespace}.svc.{}",
                    slice.service, self.domain
                )));
            }
        }
        unique(names)
    }
}

impl Record {
    fn is(&self, wanted: Wanted) -> bool {
        match self {
            // An alias answers every question.
            Self::Cname(_) => true,
            Self::A(_) => matches!(wanted, Wanted::A | Wanted::Any),
            Self::Srv(..) => matches!(wanted, Wanted::Srv | Wanted::Any),
            Self::Ptr(_) => matches!(wanted, Wanted::Ptr | Wanted::Any),
            Self::Txt(_) => matches!(wanted, Wanted::Txt | Wanted::Any),
        }
    }
}

fn unique(mut records: Vec<Record>) -> Vec<Record> {
    records.sort();
    records.dedup();
    records
}

/// The ready endpoints of a headless Service.
fn endpoints<'a>(
    state: &'a State,
    namespace: &'a str,
    name: &'a str,
) -> impl Iterator<Item = &'a Endpoint> + 'a {
    let service = state.services.get(&(namespace.to_owned(), name.to_owned()));
    let (headless, all) = service.map_or((false, false), |s| (s.headless, s.publish_not_ready));
    state
        .slices_of(namespace, name)
        .filter(move |_| headless)
        .flat_map(|slice| &slice.endpoints)
        .filter(move |e| e.ready || all)
}

/// An endpoint's label: its host name, else its address with dashes.
fn host_label(endpoint: &Endpoint) -> String {
    endpoint
        .hostname
        .clone()
        .unwrap_or_else(|| endpoint.ip.to_string().replace('.', "-"))
}

/// The address that a name below `in-addr.arpa` stands for.
fn reverse_address(name: &str) -> Option<Ipv4Addr> {
    let mut octets = name
        .strip_suffix(".in-addr.arpa")?
        .split('.')
        .map(|o| o.parse::<u8>().ok());
    let (d, c, b, a) = (
        octets.next()??,
        octets.next()??,
        octets.next()??,
        octets.next()??,
    );
    octets.next().is_none().then_some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{config, state};
    use serde_json::json;

    #[test]
    fn names_of_the_specification() {
        let config = config();
        let zone = Zone::new(&config.cluster_domain, config.service_cidr, config.pod_cidr);
        let state = state(&[
            json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.43.0.5", "ports": [{"name": "http", "port": 80}]}}),
            json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 3306}]}}),
            json!({"metadata": {"name": "away"}, "spec": {"type": "ExternalName", "externalName": "example.com."}}),
            json!({"metadata": {"name": "db-1", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4",
                "ports": [{"name": "sql", "port": 3306}], "endpoints": [
                    {"addresses": ["10.42.0.7"], "hostname": "db-0"}, {"addresses": ["10.42.0.8"]},
                    {"addresses": ["10.42.0.9"], "conditions": {"ready": false}}]}),
        ]);
        let check = |name: &str, wanted: Wanted, expect: &str| {
            let text = match zone.answer(&state, name, wanted) {
                Answer::NotOurs => "not ours".to_owned(),
                Answer::NoSuchName => "no such name".to_owned(),
                Answer::Records(records) => format!("{records:?}"),
            };
            assert_eq!(text, expect, "{name}");
        };
        check("example.com", Wanted::A, "not ours");
        check("notcluster.local", Wanted::A, "not ours");
        check("cluster.local", Wanted::A, "[]");
        check("web.default.svc.cluster.local", Wanted::A, "[A(10.43.0.5)]");
        check("web.default.svc.cluster.local", Wanted::Other, "[]");
        check("web.other.svc.cluster.local", Wanted::A, "no such name");
        check("default.svc.cluster.local", Wanted::A, "[]");
        check("other.svc.cluster.local", Wanted::A, "no such name");
        check(
            "_http._tcp.web.default.svc.cluster.local",
            Wanted::Srv,
            r#"[Srv(80, "web.default.svc.cluster.local")]"#,
        );
        check(
            "_http._udp.web.default.svc.cluster.local",
            Wanted::Srv,
            "no such name",
        );
        check(
            "db.default.svc.cluster.local",
            Wanted::A,
            "[A(10.42.0.7), A(10.42.0.8)]",
        );
        check(
            "db-0.db.default.svc.cluster.local",
            Wanted::A,
            "[A(10.42.0.7)]",
        );
        check(
            "10-42-0-8.db.default.svc.cluster.local",
            Wanted::A,
            "[A(10.42.0.8)]",
        );
        check(
            "db-9.db.default.svc.cluster.local",
            Wanted::A,
            "no such name",
        );
        check(
            "_sql._tcp.db.default.svc.cluster.local",
            Wanted::Srv,
            r#"[Srv(3306, "10-42-0-8.db.default.svc.cluster.local"), Srv(3306, "db-0.db.default.svc.cluster.local")]"#,
        );
        check(
            "away.default.svc.cluster.local",
            Wanted::A,
            r#"[Cname("example.com")]"#,
        );
        check(
            "10-42-0-8.default.pod.cluster.local",
            Wanted::A,
            "[A(10.42.0.8)]",
        );
        check(
            "192-0-2-1.default.pod.cluster.local",
            Wanted::A,
            "no such name",
        );
        check(
            "5.0.43.10.in-addr.arpa",
            Wanted::Ptr,
            r#"[Ptr("web.default.svc.cluster.local")]"#,
        );
        check(
            "7.0.42.10.in-addr.arpa",
            Wanted::Ptr,
            r#"[Ptr("db-0.db.default.svc.cluster.local")]"#,
        );
        check("99.0.42.10.in-addr.arpa", Wanted::Ptr, "no such name");
        check("1.2.0.192.in-addr.arpa", Wanted::Ptr, "not ours");
        check(
            "dns-version.cluster.local",
            Wanted::Txt,
            r#"[Txt("1.1.0")]"#,
        );
        check(
            "_._.web.default.svc.cluster.local",
            Wanted::Srv,
            "no such name",
        );
        check("", Wanted::A, "not ours");
    }
}
