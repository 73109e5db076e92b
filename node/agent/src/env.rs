//! A container's environment, command and arguments. Pure. Know before changing: the order of precedence is Kubernetes': `env` over
//! `envFrom` over service variables; and `$(VAR)` sees what stands before it.

pub mod expand;
pub mod services;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use crate::objects::Resolved;
use crate::{pod, resources};
use services::Service;

/// What an environment is made from, beyond the pod.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The ConfigMaps and Secrets that the pod refers to.
    pub objects: &'a Resolved,
    /// Every Service of the pod's namespace, and `default/kubernetes`.
    pub services: &'a [Service],
    /// The pod's addresses.
    pub pod_ips: &'a [String],
    /// The node's addresses.
    pub host_ips: &'a [String],
    /// The node's allocatable resources: stand in for absent limits.
    pub allocatable: &'a BTreeMap<String, i64>,
}

/// The environment in order, unique by name. An error is the message of `CreateContainerConfigError`.
pub fn environment(
    pod: &Pod,
    container: &Container,
    inputs: Inputs<'_>,
) -> Result<Vec<(String, String)>, String> {
    let mut vars = Ordered::default();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (found, missing) = if let Some(r) = &source.config_map_ref {
            let missing = format!("configmap \"{}\" not found", r.name);
            (
                inputs.objects.config_map(&r.name),
                (!r.optional.unwrap_or(false)).then_some(missing),
            )
        } else if let Some(r) = &source.secret_ref {
            let missing = format!("secret \"{}\" not found", r.name);
            (
                inputs.objects.secret(&r.name),
                (!r.optional.unwrap_or(false)).then_some(missing),
            )
        } else {
            continue;
        };
        let Some(data) = found else {
            if let Some(missing) = missing {
                return Err(missing);
            }
            continue;
        };
        for (key, value) in &data.text {
            let name = format!("{prefix}{key}");
            if valid_name(&name) {
                vars.set(name, String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    let links = pod::spec(pod).enable_service_links.unwrap_or(true);
    let services = services::variables(inputs.services, pod::namespace(pod), links);
    for var in container.env.iter().flatten() {
        let value = match (&var.value_from, &var.value) {
            (Some(source), _) => match from_source(pod, container, source, inputs)? {
                Some(value) => value,
                None => continue,
            },
            (None, Some(value)) => expand::expand(value, |name| {
                vars.get(name)
                    .or_else(|| services.get(name).map(String::as_str))
            }),
            (None, None) => String::new(),
        };
        vars.set(var.name.clone(), value);
    }
    for (name, value) in services {
        vars.set_default(name, value);
    }
    Ok(vars.list)
}

/// Command and arguments with `$(VAR)` replaced.
pub fn command(words: &Option<Vec<String>>, env: &[(String, String)]) -> Vec<String> {
    let find = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    words
        .iter()
        .flatten()
        .map(|word| expand::expand(word, find))
        .collect()
}

/// Any printable ASCII but `=`, as Kubernetes allows.
fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

#[derive(Default)]
struct Ordered {
    list: Vec<(String, String)>,
    index: BTreeMap<String, usize>,
}

impl Ordered {
    fn get(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|i| self.list[*i].1.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        match self.index.get(&name) {
            Some(i) => self.list[*i].1 = value,
            None => {
                self.index.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }

    fn set_default(&mut self, name: String, value: String) {
        if !self.index.contains_key(&name) {
            self.set(name, value);
        }
    }
}

/// `None` leaves the variable out: its optional source is not there.
fn from_source(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    inputs: Inputs<'_>,
) -> Result<Option<String>, String> {
    let namespace = pod::namespace(pod);
    if let Some(r) = &source.field_ref {
        return field(pod, &r.field_path, inputs.pod_ips, inputs.host_ips).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        let of = match r.container_name.as_deref().filter(|n| !n.is_empty()) {
            Some(name) => pod::container(pod, name)
                .map(|(_, c)| c)
                .ok_or(format!("container {name} not found"))?,
            None => container,
        };
        let value = resources::field(of, &r.resource, r.divisor.as_ref(), inputs.allocatable);
        return value
            .map(Some)
            .ok_or(format!("unsupported container resource: {}", r.resource));
    }
    let (kind, found, name, key, optional) = if let Some(r) = &source.config_map_key_ref {
        (
            "ConfigMap",
            inputs.objects.config_map(&r.name),
            &r.name,
            &r.key,
            r.optional,
        )
    } else if let Some(r) = &source.secret_key_ref {
        (
            "Secret",
            inputs.objects.secret(&r.name),
            &r.name,
            &r.key,
            r.optional,
        )
    } else if source.file_key_ref.is_some() {
        return Err("env valueFrom.fileKeyRef is not supported by this node".into());
    } else {
        return Ok(None);
    };
    let optional = optional.unwrap_or(false);
    let Some(data) = found else {
        return if optional {
            Ok(None)
        } else {
            Err(format!("{} \"{name}\" not found", kind.to_lowercase()))
        };
    };
    match data.text.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional => Ok(None),
        None => Err(format!(
            "couldn't find key {key} in {kind} {namespace}/{name}"
        )),
    }
}

/// The value of a `fieldRef`.
pub fn field(
    pod: &Pod,
    path: &str,
    pod_ips: &[String],
    host_ips: &[String],
) -> Result<String, String> {
    let spec = pod::spec(pod);
    let lookup = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref()
            .and_then(|m| m.get(key))
            .cloned()
            .unwrap_or_default()
    };
    if let Some((base, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        return match base {
            "metadata.labels" => Ok(lookup(&pod.metadata.labels, key)),
            "metadata.annotations" => Ok(lookup(&pod.metadata.annotations, key)),
            _ => Err(format!("fieldPath {path:?} not supported")),
        };
    }
    Ok(match path {
        "metadata.name" => pod::name(pod).into(),
        "metadata.namespace" => pod::namespace(pod).into(),
        "metadata.uid" => pod::uid(pod).into(),
        "metadata.labels" => map_text(&pod.metadata.labels),
        "metadata.annotations" => map_text(&pod.metadata.annotations),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => host_ips.join(","),
        "status.podIP" => pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => pod_ips.join(","),
        _ => return Err(format!("fieldPath {path:?} not supported")),
    })
}

/// `key="value"` lines, the value as a quoted Go string.
fn map_text(map: &Option<BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", quoted(v)))
        .collect();
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
