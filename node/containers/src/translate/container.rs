//! A container.

use minicloud_agent::runtime::{ContainerSpec, Propagation, SandboxSpec};
use minicloud_cri::v1::{
    ContainerConfig, ContainerMetadata, Device, ImageSpec, KeyValue, LinuxContainerConfig, Mount,
    MountPropagation,
};

use super::{IMAGE, STOP_SIGNAL, resources, security, to_wire};

/// CRI's configuration of a container in that sandbox, on a machine with cgroup v2 or without.
pub fn container(spec: &ContainerSpec, sandbox: &SandboxSpec, cgroup_v2: bool) -> ContainerConfig {
    let mut annotations = to_wire(&spec.annotations);
    annotations.insert(IMAGE.to_owned(), spec.image.clone());
    if let Some(signal) = &spec.stop_signal {
        annotations.insert(STOP_SIGNAL.to_owned(), signal.clone());
    }
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: spec.name.clone(),
            attempt: spec.attempt,
        }),
        image: Some(ImageSpec {
            image: spec.image_id.clone(),
            user_specified_image: spec.image.clone(),
            ..Default::default()
        }),
        command: spec.command.clone(),
        args: spec.args.clone(),
        working_dir: spec.working_dir.clone(),
        envs: spec
            .env
            .iter()
            .map(|(key, value)| KeyValue {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        mounts: spec
            .mounts
            .iter()
            .map(|mount| Mount {
                container_path: mount.container_path.to_string_lossy().into_owned(),
                host_path: mount.host_path.to_string_lossy().into_owned(),
                readonly: mount.read_only,
                selinux_relabel: false,
                propagation: match mount.propagation {
                    Propagation::Private => MountPropagation::PropagationPrivate,
                    Propagation::HostToContainer => MountPropagation::PropagationHostToContainer,
                    Propagation::Bidirectional => MountPropagation::PropagationBidirectional,
                } as i32,
            })
            .collect(),
        devices: spec
            .devices
            .iter()
            .map(|device| Device {
                container_path: device.container_path.to_string_lossy().into_owned(),
                host_path: device.host_path.to_string_lossy().into_owned(),
                permissions: device.permissions.clone(),
            })
            .collect(),
        labels: to_wire(&spec.labels),
        annotations,
        log_path: spec.log_path.to_string_lossy().into_owned(),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        tty: spec.tty,
        linux: Some(LinuxContainerConfig {
            resources: Some(resources::container(&spec.resources, cgroup_v2)),
            security_context: Some(security::container(&spec.security, sandbox)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use minicloud_agent::runtime;

    use super::*;

    #[test]
    fn carries_everything() {
        let spec = ContainerSpec {
            name: "app".into(),
            attempt: 3,
            image_id: "sha256:0".into(),
            image: "nginx".into(),
            command: vec!["/bin/sh".into()],
            args: vec!["-c".into(), "true".into()],
            working_dir: "/srv".into(),
            env: vec![("A".into(), "1".into()), ("B".into(), "2".into())],
            mounts: vec![runtime::Mount {
                host_path: "/h".into(),
                container_path: "/c".into(),
                read_only: true,
                propagation: Propagation::Bidirectional,
            }],
            devices: vec![runtime::Device {
                host_path: "/dev/kvm".into(),
                container_path: "/dev/kvm".into(),
                permissions: "rw".into(),
            }],
            log_path: PathBuf::from("app/3.log"),
            stdin: true,
            stdin_once: true,
            tty: true,
            stop_signal: Some("SIGUSR1".into()),
            ..Default::default()
        };
        let config = container(&spec, &SandboxSpec::default(), false);
        assert_eq!(
            config.metadata,
            Some(ContainerMetadata {
                name: "app".into(),
                attempt: 3
            })
        );
        let image = config.image.unwrap();
        assert_eq!(
            (image.image.as_str(), image.user_specified_image.as_str()),
            ("sha256:0", "nginx")
        );
        assert_eq!(
            (config.command.join(" "), config.args.join(" ")),
            ("/bin/sh".into(), "-c true".into())
        );
        assert_eq!(config.working_dir, "/srv");
        assert_eq!(
            config.envs[1],
            KeyValue {
                key: "B".into(),
                value: "2".into()
            }
        );
        let mount = &config.mounts[0];
        assert_eq!(
            (mount.host_path.as_str(), mount.container_path.as_str()),
            ("/h", "/c")
        );
        assert_eq!((mount.readonly, mount.propagation), (true, 2));
        assert_eq!(config.devices[0].permissions, "rw");
        assert_eq!(config.log_path, "app/3.log");
        assert!(config.stdin && config.stdin_once && config.tty);
        assert_eq!(config.annotations[IMAGE], "nginx");
        assert_eq!(config.annotations[STOP_SIGNAL], "SIGUSR1");
        // Its process namespace is its own, though the wire's zero would be the pod's.
        let security = config.linux.unwrap().security_context.unwrap();
        assert_eq!(security.namespace_options.unwrap().pid, 1);
    }
}
