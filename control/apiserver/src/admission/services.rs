//! Addresses and node ports of Services.
//!
//! What is taken is an index of what is stored ([`Services::observe`]), never a record of its own that could differ from it.
//! Whoever allocates holds the API server's lock for Services until the object is stored, so two cannot get the same.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Map, Value, json};

use crate::config::ServiceRange;

#[derive(Debug, Default)]
struct Taken {
    /// By address: the Service, `namespace/name`.
    addresses: HashMap<Ipv4Addr, String>,
    /// By protocol and port.
    ports: HashMap<(String, u16), String>,
}

/// Which addresses and node ports are taken, and by whom.
#[derive(Debug)]
pub struct Services {
    range: ServiceRange,
    ports: RangeInclusive<u16>,
    taken: Mutex<Taken>,
}

impl Services {
    pub(crate) fn new(range: ServiceRange, ports: RangeInclusive<u16>) -> Self {
        Self {
            range,
            ports,
            taken: Mutex::default(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a stored Service, or of its end.
    pub(crate) fn observe(&self, namespace: &str, name: &str, service: Option<&Value>) {
        let owner = format!("{namespace}/{name}");
        let mut taken = self.taken();
        taken.addresses.retain(|_, by| *by != owner);
        taken.ports.retain(|_, by| *by != owner);
        let Some(service) = service else { return };
        for address in texts(service, "clusterIPs")
            .iter()
            .filter_map(|a| a.parse().ok())
        {
            taken.addresses.insert(address, owner.clone());
        }
        let spec = service.get("spec").unwrap_or(&Value::Null);
        if let Some(number) = port_in(spec, "healthCheckNodePort") {
            taken
                .ports
                .insert(("TCP".to_owned(), number), owner.clone());
        }
        for port in service
            .pointer("/spec/ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(number) = node_port(port) {
                taken.ports.insert((protocol(port), number), owner.clone());
            }
        }
    }

    /// Gives a new (`old` is `None`) or changed Service what it lacks; refuses what it may not have.
    pub(crate) fn allocate(
        &self,
        namespace: &str,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), ApiStatus> {
        let name = meta::name(service).to_owned();
        let owner = format!("{namespace}/{name}");
        let mut errors = ErrorList::new();
        let spec = meta::child_mut(meta::root_mut(service), "spec");
        let kind = spec
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("ClusterIP")
            .to_owned();
        if kind == "ExternalName" {
            let addressed = old.is_some_and(|o| {
                o.pointer("/spec/type").and_then(Value::as_str) != Some("ExternalName")
            });
            if addressed {
                // The address goes back when the type changes.
                for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                    spec.remove(field);
                }
            }
        } else {
            self.address(spec, old, &owner, &mut errors);
        }
        self.node_ports(spec, &kind, old, &owner, &mut errors);
        self.health_check_port(spec, &kind, old, &owner, &mut errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ApiStatus::invalid("", "Service", &name, &errors))
        }
    }

    fn address(
        &self,
        spec: &mut Map<String, Value>,
        old: Option<&Value>,
        owner: &str,
        errors: &mut ErrorList,
    ) {
        let text = |spec: &Map<String, Value>| {
            let first = spec
                .get("clusterIPs")
                .and_then(|l| l.get(0))
                .and_then(Value::as_str);
            let one = spec
                .get("clusterIP")
                .and_then(Value::as_str)
                .filter(|a| !a.is_empty());
            one.or(first).unwrap_or_default().to_owned()
        };
        let before = old
            .and_then(|o| o.get("spec"))
            .and_then(Value::as_object)
            .map(text)
            .unwrap_or_default();
        let mut wanted = text(spec);
        if wanted.is_empty() {
            wanted = before.clone();
        }
        if wanted.is_empty() {
            match self.free_address() {
                Some(address) => wanted = address.to_string(),
                None => {
                    errors.push(FieldError::internal(
                        Path::new("spec").child("clusterIPs"),
                        format!(
                            "failed to allocate a serviceIP: range is full ({})",
                            self.range
                        ),
                    ));
                    return;
                }
            }
        } else if wanted != "None" && wanted != before {
            let path = Path::new("spec").child("clusterIPs");
            let shown = json!([wanted]);
            match wanted.parse::<Ipv4Addr>() {
                Ok(address) if !self.range.contains(address) => errors.push(FieldError::invalid(
                    path,
                    shown,
                    format!(
                        "failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. The range of \
                         valid IPs is {}",
                        self.range
                    ),
                )),
                Ok(address) => {
                    if self.taken().addresses.get(&address).is_some_and(|by| by != owner) {
                        let why = format!("failed to allocate IP {wanted}: provided IP is already allocated");
                        errors.push(FieldError::invalid(path, shown, why));
                    }
                }
                Err(_) => {
                    let path = path.index(0);
                    errors.push(FieldError::invalid(path, wanted.clone(), "must be a valid IP address, (e.g. 10.9.8.7)"));
                }
            }
        }
        if !(wanted == "None" && spec.get("selector").is_none_or(is_empty)) {
            single_stack(spec, errors);
        }
        spec.insert("clusterIP".into(), wanted.clone().into());
        spec.insert("clusterIPs".into(), json!([wanted]));
        spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
        spec.entry("ipFamilyPolicy")
            .or_insert_with(|| "SingleStack".into());
    }

    /// A free address, searched from a random place on, so that an address is not given again soon after it became free.
    fn free_address(&self) -> Option<Ipv4Addr> {
        let taken = self.taken();
        let usable = self.range.usable();
        let begin = random() % usable;
        // The first addresses of the range are kept for Services that choose their own (as 10.43.0.1 and .10).
        let reserved = (usable / 16).clamp(1, 256).min(usable - 1);
        let free = |n: &u32| !taken.addresses.contains_key(&self.range.address(*n));
        let upper = (0..usable)
            .map(|i| (begin + i) % usable)
            .filter(|n| *n >= reserved)
            .find(free);
        upper
            .or_else(|| (1..reserved).find(free))
            .map(|n| self.range.address(n))
    }

    fn node_ports(
        &self,
        spec: &mut Map<String, Value>,
        kind: &str,
        old: Option<&Value>,
        owner: &str,
        errors: &mut ErrorList,
    ) {
        let wants = match kind {
            "NodePort" => true,
            "LoadBalancer" => spec
                .get("allocateLoadBalancerNodePorts")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            _ => false,
        };
        let before: Vec<&Value> = old
            .and_then(|o| o.pointer("/spec/ports"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) else {
            return;
        };
        let named: Vec<u16> = ports.iter().filter_map(node_port).collect();
        let mut mine: Vec<(String, u16)> = Vec::new();
        let explicit = matches!(kind, "NodePort" | "LoadBalancer");
        for (i, port) in ports.iter_mut().enumerate() {
            // By its name: whatever else of the port has changed, its clients know the node port.
            let same = before.iter().find(|b| port_name(b) == port_name(port));
            let inherited = same.and_then(|b| node_port(b));
            let Some(given) = node_port(port) else {
                if !wants {
                    continue;
                }
                let chosen = inherited
                    .filter(|p| !named.contains(p) && !mine.iter().any(|(_, m)| m == p))
                    .filter(|p| self.is_free(&protocol(port), *p, owner))
                    .or_else(|| self.free_port(&protocol(port), &mine));
                match chosen {
                    Some(number) => {
                        mine.push((protocol(port), number));
                        if let Some(port) = port.as_object_mut() {
                            port.insert("nodePort".into(), number.into());
                        }
                    }
                    None => errors.push(FieldError::internal(
                        Path::new("spec").child("ports").index(i).child("nodePort"),
                        "failed to allocate a nodePort: range is full",
                    )),
                }
                continue;
            };
            if !explicit {
                // A Service that was NodePort gives its ports back; a new one may not name any (validation says so).
                if inherited == Some(given)
                    && let Some(port) = port.as_object_mut()
                {
                    port.remove("nodePort");
                }
                continue;
            }
            let path = Path::new("spec").child("ports").index(i).child("nodePort");
            let key = (protocol(port), given);
            // A port that the Service had before the range changed may stay.
            let had = before.iter().any(|b| node_port(b) == Some(given));
            if !self.ports.contains(&given) && !had {
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    self.ports.start(),
                    self.ports.end()
                );
                errors.push(FieldError::invalid(path, given, why));
            } else if mine.contains(&key) {
                errors.push(FieldError::duplicate(path, given));
            } else if !self.is_free(&key.0, given, owner) {
                errors.push(FieldError::invalid(
                    path,
                    given,
                    "provided port is already allocated",
                ));
            }
            mine.push(key);
        }
    }

    /// The port by which a load balancer asks whether this node has endpoints of a Service that does not go to others.
    fn health_check_port(
        &self,
        spec: &mut Map<String, Value>,
        kind: &str,
        old: Option<&Value>,
        owner: &str,
        errors: &mut ErrorList,
    ) {
        const FIELD: &str = "healthCheckNodePort";
        let local = spec.get("externalTrafficPolicy").and_then(Value::as_str) == Some("Local");
        if kind != "LoadBalancer" || !local {
            return;
        }
        let before = old
            .and_then(|o| o.get("spec"))
            .and_then(|s| port_in(s, FIELD));
        let given = spec.get(FIELD).and_then(Value::as_u64).filter(|p| *p > 0);
        let path = Path::new("spec").child(FIELD);
        match given.map(u16::try_from) {
            Some(Ok(given)) if Some(given) == before => {}
            Some(Ok(given)) if !self.is_free("TCP", given, owner) => errors.push(
                FieldError::invalid(path, given, "provided port is already allocated"),
            ),
            // Validation says what is wrong with a number that is no port.
            Some(_) => {}
            None => match before.or_else(|| self.free_port("TCP", &ports_of(spec))) {
                Some(port) => {
                    spec.insert(FIELD.into(), port.into());
                }
                None => errors.push(FieldError::internal(
                    path,
                    "failed to allocate a nodePort: range is full",
                )),
            },
        }
    }

    /// Whether `owner` may have a node port.
    fn is_free(&self, protocol: &str, port: u16, owner: &str) -> bool {
        let taken = self.taken();
        taken
            .ports
            .get(&(protocol.to_owned(), port))
            .is_none_or(|by| by == owner)
    }

    fn free_port(&self, protocol: &str, mine: &[(String, u16)]) -> Option<u16> {
        let taken = self.taken();
        let (first, last) = (u32::from(*self.ports.start()), u32::from(*self.ports.end()));
        let count = (last + 1).saturating_sub(first);
        if count == 0 {
            return None;
        }
        let begin = random() % count;
        (0..count)
            .filter_map(|i| u16::try_from(first + (begin + i) % count).ok())
            .map(|number| (protocol.to_owned(), number))
            .find(|key| !taken.ports.contains_key(key) && !mine.contains(key))
            .map(|(_, number)| number)
    }
}

/// What asks for more than the one family of addresses that there is.
fn single_stack(spec: &Map<String, Value>, errors: &mut ErrorList) {
    if let Some(policy @ "RequireDualStack") = spec.get("ipFamilyPolicy").and_then(Value::as_str) {
        errors.push(FieldError::invalid(
            Path::new("spec").child("ipFamilyPolicy"),
            policy,
            "this cluster is not configured for dual-stack services",
        ));
    }
    let families = spec.get("ipFamilies").and_then(Value::as_array);
    for (i, family) in families.into_iter().flatten().enumerate() {
        if family == "IPv6" {
            errors.push(FieldError::invalid(
                Path::new("spec").child("ipFamilies").index(i),
                "IPv6",
                "not configured on this cluster",
            ));
        }
    }
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(Map::is_empty)
}

fn random() -> u32 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn protocol(port: &Value) -> String {
    port.get("protocol")
        .and_then(Value::as_str)
        .unwrap_or("TCP")
        .to_owned()
}

fn port_name(port: &Value) -> &str {
    port.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn node_port(port: &Value) -> Option<u16> {
    port_in(port, "nodePort")
}

/// The node ports that a Service's ports have.
fn ports_of(spec: &Map<String, Value>) -> Vec<(String, u16)> {
    let ports = spec.get("ports").and_then(Value::as_array);
    ports
        .into_iter()
        .flatten()
        .filter_map(|port| Some((protocol(port), node_port(port)?)))
        .collect()
}

fn port_in(value: &Value, field: &str) -> Option<u16> {
    value
        .get(field)
        .and_then(Value::as_u64)
        .filter(|p| *p > 0)
        .and_then(|p| u16::try_from(p).ok())
}

fn texts(service: &Value, field: &str) -> Vec<String> {
    let list = service
        .get("spec")
        .and_then(|s| s.get(field))
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
