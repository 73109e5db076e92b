//! Service variables: `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`, … Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the agent keeps of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Cluster address; never empty or `None` here.
    pub cluster_ip: String,
    /// `(name, port, protocol)`; the name may be empty.
    pub ports: Vec<(String, i32, String)>,
}

impl Service {
    /// `None` for a Service that makes no variables: headless, or without an address.
    pub fn from_api(service: &k8s_openapi::api::core::v1::Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let cluster_ip = spec
            .cluster_ip
            .clone()
            .filter(|ip| !ip.is_empty() && ip != "None")?;
        let ports = spec.ports.iter().flatten();
        Some(Self {
            namespace: service.metadata.namespace.clone()?,
            name: service.metadata.name.clone()?,
            cluster_ip,
            ports: ports
                .map(|p| {
                    (
                        p.name.clone().unwrap_or_default(),
                        p.port,
                        p.protocol.clone().unwrap_or_else(|| "TCP".into()),
                    )
                })
                .collect(),
        })
    }
}

/// The variables for a pod in `namespace`: those of `default/kubernetes` always, the namespace's own if `links`.
pub fn variables(services: &[Service], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    let master = |s: &&Service| s.namespace == "default" && s.name == "kubernetes";
    for service in services.iter().filter(master) {
        add(&mut vars, service);
    }
    if links {
        for service in services.iter().filter(|s| s.namespace == namespace) {
            add(&mut vars, service);
        }
    }
    vars
}

fn add(vars: &mut BTreeMap<String, String>, service: &Service) {
    let upper = |name: &str| name.to_ascii_uppercase().replace('-', "_");
    let prefix = upper(&service.name);
    let ip = &service.cluster_ip;
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.clone()
    };
    let Some((_, first, _)) = service.ports.first() else {
        return;
    };
    vars.insert(format!("{prefix}_SERVICE_HOST"), ip.clone());
    vars.insert(format!("{prefix}_SERVICE_PORT"), first.to_string());
    for (index, (name, port, protocol)) in service.ports.iter().enumerate() {
        if !name.is_empty() {
            vars.insert(
                format!("{prefix}_SERVICE_PORT_{}", upper(name)),
                port.to_string(),
            );
        }
        let url = format!("{}://{host}:{port}", protocol.to_ascii_lowercase());
        if index == 0 {
            vars.insert(format!("{prefix}_PORT"), url.clone());
        }
        let link = format!("{prefix}_PORT_{port}_{}", protocol.to_ascii_uppercase());
        vars.insert(format!("{link}_PROTO"), protocol.to_ascii_lowercase());
        vars.insert(format!("{link}_PORT"), port.to_string());
        vars.insert(format!("{link}_ADDR"), ip.clone());
        vars.insert(link, url);
    }
}
