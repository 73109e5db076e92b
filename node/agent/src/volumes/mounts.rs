//! The mounts of one container: its volumes, with subPath and propagation, and the files that the agent adds.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use super::{Claim, Dirs, locate, subpath};
use crate::runtime::{Mount, Propagation};
use crate::{env, pod};

/// What mounts are made from, beyond the pod.
pub struct MountInputs<'a> {
    /// Where volumes live.
    pub dirs: &'a Dirs,
    /// Bound claims by name.
    pub claims: &'a std::collections::BTreeMap<String, Claim>,
    /// The container's environment, for `subPathExpr`.
    pub env: &'a [(String, String)],
    /// The pod's hosts file, if the agent wrote one.
    pub hosts: Option<PathBuf>,
    /// The file for the termination message.
    pub termination_message: Option<PathBuf>,
}

/// The container's mounts, shallow ones first. The volumes are ready. An error is the message of `CreateContainerConfigError`.
pub fn container_mounts(
    pod: &Pod,
    container: &Container,
    inputs: &MountInputs<'_>,
) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    if container
        .volume_devices
        .as_ref()
        .is_some_and(|d| !d.is_empty())
    {
        return Err("volumeDevices (raw block volumes) are not supported by this node".into());
    }
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        mounts.push(volume_mount(pod, container, index, mount, inputs)?);
    }
    let mut add = |path: &Option<PathBuf>, at: &str| {
        let at = Path::new(at);
        if let Some(path) = path
            .as_ref()
            .filter(|_| mounts.iter().all(|m| m.container_path != at))
        {
            mounts.push(Mount {
                host_path: path.clone(),
                container_path: at.into(),
                ..Mount::default()
            });
        }
    };
    add(&inputs.hosts, "/etc/hosts");
    add(
        &inputs.termination_message,
        container
            .termination_message_path
            .as_deref()
            .unwrap_or("/dev/termination-log"),
    );
    // A mount inside another's path must come after it.
    mounts.sort_by_key(|m| m.container_path.components().count());
    Ok(mounts)
}

fn volume_mount(
    pod: &Pod,
    container: &Container,
    index: usize,
    mount: &VolumeMount,
    inputs: &MountInputs<'_>,
) -> Result<Mount, String> {
    let volume = pod::spec(pod)
        .volumes
        .iter()
        .flatten()
        .find(|v| v.name == mount.name)
        .ok_or_else(|| {
            format!(
                "volume {:?} of container {:?} does not exist",
                mount.name, container.name
            )
        })?;
    let (path, only_read) = locate(pod, volume, inputs.dirs, inputs.claims)?;
    let read_only = only_read || mount.read_only.unwrap_or(false);
    let sub = match (&mount.sub_path, &mount.sub_path_expr) {
        (Some(sub), _) if !sub.is_empty() => Some(sub.clone()),
        (_, Some(text)) if !text.is_empty() => {
            let find = |name: &str| {
                inputs
                    .env
                    .iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, v)| v.as_str())
            };
            let sub = env::expand::expand(text, find);
            if sub.contains("$(") {
                return Err(format!(
                    "subPathExpr {text:?} names a variable that is not set"
                ));
            }
            Some(sub)
        }
        _ => None,
    };
    let host_path = match sub {
        None => path,
        Some(sub) => {
            let target = inputs
                .dirs
                .pod_data(pod::uid(pod))
                .join("volume-subpaths")
                .join(&mount.name)
                .join(&container.name)
                .join(index.to_string());
            let opened = subpath::open(&path, &sub, !only_read)?;
            subpath::bind(&opened, &target)?;
            target
        }
    };
    let container_path = Path::new("/").join(mount.mount_path.trim_end_matches('/'));
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        _ => Propagation::Private,
    };
    Ok(Mount {
        host_path,
        container_path,
        read_only,
        propagation,
    })
}
