//! A pod's sandbox.

use minicloud_agent::runtime::{NamespaceMode, PortMapping, Protocol, QosClass, SandboxSpec};
use minicloud_cri::v1::{
    self, DnsConfig, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata,
};

use super::{CGROUP, LOG_DIRECTORY, resources, security, to_wire};

/// The pod's cgroup: `PARENT/podUID`, or one level down for the lower classes of service, as kubelet lays it out.
pub fn cgroup_path(parent: &str, qos: QosClass, uid: &str) -> String {
    let parent = parent.trim_end_matches('/');
    match qos {
        QosClass::Guaranteed => format!("{parent}/pod{uid}"),
        QosClass::Burstable => format!("{parent}/burstable/pod{uid}"),
        QosClass::BestEffort => format!("{parent}/besteffort/pod{uid}"),
    }
}

/// CRI's configuration of a sandbox whose pod has the given cgroup. The same for the same specification, since
/// `CreateContainer` wants it again.
pub fn sandbox(spec: &SandboxSpec, cgroup: &str) -> PodSandboxConfig {
    let log_directory = spec.log_directory.to_string_lossy().into_owned();
    let mut annotations = to_wire(&spec.annotations);
    annotations.insert(CGROUP.to_owned(), cgroup.to_owned());
    annotations.insert(LOG_DIRECTORY.to_owned(), log_directory.clone());
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: spec.name.clone(),
            uid: spec.uid.clone(),
            namespace: spec.namespace.clone(),
            attempt: spec.attempt,
        }),
        hostname: spec.hostname.clone(),
        log_directory,
        dns_config: spec.dns.as_ref().map(|dns| DnsConfig {
            servers: dns.servers.clone(),
            searches: dns.searches.clone(),
            options: dns.options.clone(),
        }),
        // With the machine's network a container's port is the machine's already.
        port_mappings: match spec.network {
            NamespaceMode::Node => Vec::new(),
            _ => spec
                .port_mappings
                .iter()
                .filter(|port| port.host_port != 0)
                .map(port)
                .collect(),
        },
        labels: to_wire(&spec.labels),
        annotations,
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup.to_owned(),
            security_context: Some(security::sandbox(spec)),
            sysctls: to_wire(&spec.sysctls),
            overhead: None,
            // The pod's own cgroup carries the limits; this only informs the runtime.
            resources: Some(resources::linux(&spec.resources)),
        }),
    }
}

fn port(mapping: &PortMapping) -> v1::PortMapping {
    v1::PortMapping {
        protocol: match mapping.protocol {
            Protocol::Tcp => v1::Protocol::Tcp,
            Protocol::Udp => v1::Protocol::Udp,
            Protocol::Sctp => v1::Protocol::Sctp,
        } as i32,
        container_port: i32::from(mapping.container_port),
        host_port: i32::from(mapping.host_port),
        host_ip: mapping.host_ip.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use minicloud_agent::runtime;

    use super::*;

    #[test]
    fn cgroups_lie_where_kubelet_puts_them() {
        for (parent, qos, expect) in [
            ("/minicloud", QosClass::Guaranteed, "/minicloud/podu"),
            (
                "/minicloud",
                QosClass::Burstable,
                "/minicloud/burstable/podu",
            ),
            (
                "/minicloud/",
                QosClass::BestEffort,
                "/minicloud/besteffort/podu",
            ),
            ("/", QosClass::Guaranteed, "/podu"),
        ] {
            assert_eq!(cgroup_path(parent, qos, "u"), expect);
        }
    }

    fn spec() -> SandboxSpec {
        SandboxSpec {
            name: "web".into(),
            namespace: "shop".into(),
            uid: "u".into(),
            attempt: 2,
            hostname: "web-0".into(),
            log_directory: PathBuf::from("/d/logs/shop_web_u"),
            dns: Some(runtime::DnsConfig {
                servers: vec!["10.43.0.10".into()],
                searches: vec!["shop.svc.cluster.local".into()],
                options: vec!["ndots:5".into()],
            }),
            port_mappings: vec![PortMapping {
                protocol: Protocol::Udp,
                container_port: 53,
                host_port: 5353,
                host_ip: "127.0.0.1".into(),
            }],
            labels: BTreeMap::from([("app".into(), "web".into())]),
            annotations: BTreeMap::from([("a".into(), "b".into())]),
            sysctls: BTreeMap::from([("net.core.somaxconn".into(), "1024".into())]),
            ..Default::default()
        }
    }

    #[test]
    fn carries_everything() {
        let config = sandbox(&spec(), "/minicloud/podu");
        let metadata = config.metadata.unwrap();
        assert_eq!(
            (metadata.name.as_str(), metadata.namespace.as_str()),
            ("web", "shop")
        );
        assert_eq!((metadata.uid.as_str(), metadata.attempt), ("u", 2));
        assert_eq!(config.hostname, "web-0");
        assert_eq!(config.log_directory, "/d/logs/shop_web_u");
        assert_eq!(config.dns_config.unwrap().options, ["ndots:5"]);
        let port = &config.port_mappings[0];
        assert_eq!(
            (
                port.protocol,
                port.container_port,
                port.host_port,
                port.host_ip.as_str()
            ),
            (1, 53, 5353, "127.0.0.1")
        );
        assert_eq!(config.labels["app"], "web");
        assert_eq!(config.annotations["a"], "b");
        assert_eq!(config.annotations[CGROUP], "/minicloud/podu");
        assert_eq!(config.annotations[LOG_DIRECTORY], "/d/logs/shop_web_u");
        let linux = config.linux.unwrap();
        assert_eq!(linux.cgroup_parent, "/minicloud/podu");
        assert_eq!(linux.sysctls["net.core.somaxconn"], "1024");
    }

    #[test]
    fn host_network_maps_no_ports() {
        let spec = SandboxSpec {
            network: NamespaceMode::Node,
            hostname: String::new(),
            ..spec()
        };
        let config = sandbox(&spec, "/c");
        assert!(config.port_mappings.is_empty());
        assert_eq!(
            config
                .linux
                .unwrap()
                .security_context
                .unwrap()
                .namespace_options
                .unwrap()
                .network,
            2
        );
    }
}
