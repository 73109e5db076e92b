//! A pod's volumes on this machine. Blocking; run on a blocking thread. Know before changing: everything is idempotent (a restarted
//! agent makes all volumes again under running containers), and nothing is removed while something is mounted beneath it.
//!
//! Layout, as the kubelet's: `DATA/pods/UID/volumes/kubernetes.io~PLUGIN/NAME` for what lives on disk (emptyDir), the same under
//! `RUN` (a tmpfs) for what must not touch the disk: secrets and tokens, and with them every small generated volume, which spares
//! the flash. A cold start makes those anew.

pub mod atomic;
pub mod content;
mod hostpath;
mod mounts;
mod ownership;
mod subpath;
mod teardown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};
use serde::{Deserialize, Serialize};

use crate::objects::Resolved;
use crate::pod;

pub use mounts::{MountInputs, container_mounts};
pub use teardown::{remove_pod, unmount_beneath};

/// `f_type` of a tmpfs.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Where volumes live.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// On disk.
    pub data: PathBuf,
    /// On a tmpfs.
    pub run: PathBuf,
}

impl Dirs {
    /// The pod's directory on disk.
    pub fn pod_data(&self, uid: &str) -> PathBuf {
        self.data.join("pods").join(uid)
    }

    /// The pod's directory on tmpfs.
    pub fn pod_run(&self, uid: &str) -> PathBuf {
        self.run.join("pods").join(uid)
    }

    fn on_disk(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.pod_data(uid)
            .join("volumes")
            .join(format!("kubernetes.io~{plugin}"))
            .join(name)
    }

    fn in_memory(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.pod_run(uid)
            .join("volumes")
            .join(format!("kubernetes.io~{plugin}"))
            .join(name)
    }

    /// UIDs of pods that have a directory.
    pub fn pods(&self) -> Vec<String> {
        let mut uids: Vec<String> = [&self.data, &self.run]
            .iter()
            .flat_map(|dir| {
                fs::read_dir(dir.join("pods"))
                    .into_iter()
                    .flatten()
                    .flatten()
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        uids.sort_unstable();
        uids.dedup();
        uids
    }

    /// Makes the directories, and a tmpfs for those that need one.
    pub fn prepare(&self) -> Result<(), String> {
        for dir in [&self.data, &self.run] {
            make_dir(dir, 0o700)?;
        }
        let stat =
            rustix::fs::statfs(&self.run).map_err(|e| format!("{}: {e}", self.run.display()))?;
        if stat.f_type != TMPFS_MAGIC {
            mount_tmpfs(&self.run, 0o700, None)?;
        }
        for dir in [&self.data, &self.run] {
            make_dir(&dir.join("pods"), 0o700)?;
        }
        Ok(())
    }
}

/// A bound claim: where its data is. Kept in the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// On this machine.
    pub path: PathBuf,
    /// The kind of the hostPath behind it; `None` for a local volume.
    pub host_path_type: Option<String>,
    /// Every access mode of the volume is read-only.
    pub read_only: bool,
}

/// What volumes are made from, beyond the pod.
pub struct Inputs<'a> {
    /// ConfigMaps and Secrets.
    pub objects: &'a Resolved,
    /// Bound claims by name.
    pub claims: &'a BTreeMap<String, Claim>,
    /// Service-account tokens by (volume, path in it).
    pub tokens: &'a BTreeMap<(String, String), Vec<u8>>,
    /// The node's allocatable resources.
    pub allocatable: &'a BTreeMap<String, i64>,
}

/// Makes all volumes of a pod, or brings them up to date. An error is the message of a `FailedMount` event. One that cannot be made
/// keeps none of the others from following its source.
pub fn mount_all(pod: &Pod, dirs: &Dirs, inputs: &Inputs<'_>) -> Result<(), String> {
    let uid = pod::uid(pod);
    make_dir(&dirs.pod_data(uid), 0o700)?;
    make_dir(&dirs.pod_run(uid), 0o700)?;
    let mut result = Ok(());
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let mounted = mount_one(pod, volume, dirs, inputs).map_err(|why| {
            format!(
                "MountVolume.SetUp failed for volume \"{}\" : {why}",
                volume.name
            )
        });
        result = result.and(mounted);
    }
    result
}

fn fs_group(pod: &Pod) -> Option<u32> {
    pod::spec(pod)
        .security_context
        .as_ref()?
        .fs_group
        .and_then(|g| u32::try_from(g).ok())
}

fn mount_one(pod: &Pod, volume: &Volume, dirs: &Dirs, inputs: &Inputs<'_>) -> Result<(), String> {
    let group = fs_group(pod);
    if let Some(path) = &volume.host_path {
        return hostpath::check(
            Path::new(&path.path),
            path.type_.as_deref().unwrap_or_default(),
        );
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let claim = inputs.claims.get(&claim.claim_name).ok_or_else(|| {
            format!(
                "persistentvolumeclaim \"{}\" is not bound yet",
                claim.claim_name
            )
        })?;
        return match &claim.host_path_type {
            Some(kind) => hostpath::check(&claim.path, kind),
            None => {
                hostpath::check(&claim.path, "Directory")?;
                ownership::apply(pod, &claim.path, group)
            }
        };
    }
    let (path, _) = locate(pod, volume, dirs, inputs.claims)?;
    if let Some(source) = &volume.empty_dir {
        return empty_dir(pod, source, &path, group);
    }
    let files = content::files(pod, volume, inputs)?;
    make_dir(&path, 0o755)?;
    atomic::write(&path, &files, group).map_err(|e| format!("{}: {e}", path.display()))
}

/// Where a volume is, and whether it can only be read.
pub(crate) fn locate(
    pod: &Pod,
    volume: &Volume,
    dirs: &Dirs,
    claims: &BTreeMap<String, Claim>,
) -> Result<(PathBuf, bool), String> {
    let (uid, name) = (pod::uid(pod), volume.name.as_str());
    if let Some(path) = &volume.host_path {
        return Ok((PathBuf::from(&path.path), false));
    }
    if let Some(source) = &volume.persistent_volume_claim {
        let claim = claims.get(&source.claim_name).ok_or_else(|| {
            format!(
                "persistentvolumeclaim \"{}\" is not bound yet",
                source.claim_name
            )
        })?;
        return Ok((
            claim.path.clone(),
            claim.read_only || source.read_only.unwrap_or(false),
        ));
    }
    if let Some(source) = &volume.empty_dir {
        return Ok(match source.medium.as_deref() {
            Some("Memory") => (dirs.in_memory(uid, "empty-dir", name), false),
            _ => (dirs.on_disk(uid, "empty-dir", name), false),
        });
    }
    let plugin = if volume.config_map.is_some() {
        "configmap"
    } else if volume.secret.is_some() {
        "secret"
    } else if volume.downward_api.is_some() {
        "downward-api"
    } else if volume.projected.is_some() {
        "projected"
    } else {
        return Err(format!(
            "volumes of the kind {} are not supported by this node; supported are emptyDir, hostPath, configMap, secret, \
             downwardAPI, projected and persistentVolumeClaim",
            kind(volume)
        ));
    };
    Ok((dirs.in_memory(uid, plugin, name), true))
}

/// The field that says what a volume is.
fn kind(volume: &Volume) -> String {
    let fields = serde_json::to_value(volume).ok();
    let fields = fields.as_ref().and_then(serde_json::Value::as_object);
    let kind = fields
        .into_iter()
        .flat_map(|f| f.keys())
        .find(|k| *k != "name");
    kind.map_or_else(|| "(none)".to_owned(), Clone::clone)
}

fn empty_dir(
    pod: &Pod,
    source: &EmptyDirVolumeSource,
    path: &Path,
    group: Option<u32>,
) -> Result<(), String> {
    let fresh = !path.exists();
    make_dir(path, 0o777)?;
    match source.medium.as_deref().unwrap_or_default() {
        "" => {}
        "Memory" => {
            if !is_mount_point(path)? {
                let limit = source
                    .size_limit
                    .as_ref()
                    .and_then(|q| q.0.parse::<minicloud_api::quantity::Quantity>().ok());
                let limit = limit.map(|q| q.units()).filter(|b| *b > 0);
                // The pod's memory limit bounds it too: the pages are charged to the pod.
                let pod_limit = crate::resources::pod_cgroup(pod).memory_limit_bytes;
                let size = [limit, pod_limit].into_iter().flatten().min();
                mount_tmpfs(path, 0o777, size)?;
            }
        }
        medium => {
            return Err(format!(
                "emptyDir medium {medium:?} is not supported by this node"
            ));
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    if fresh || group.is_some() {
        ownership::apply(pod, path, group)
    } else {
        Ok(())
    }
}

/// Makes a directory with its parents; the mode is for the last one and holds against any umask.
fn make_dir(path: &Path, mode: u32) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    let fail = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)
}

fn mount_tmpfs(path: &Path, mode: u32, size_bytes: Option<i64>) -> Result<(), String> {
    use rustix::mount::MountFlags;
    let size = size_bytes.map(|b| format!(",size={b}")).unwrap_or_default();
    let options =
        std::ffi::CString::new(format!("mode={mode:o}{size}")).map_err(|e| e.to_string())?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_c_str())
        .map_err(|e| format!("mount a tmpfs on {}: {e}", path.display()))
}

fn is_mount_point(path: &Path) -> Result<bool, String> {
    Ok(teardown::mounts_beneath(path)?.iter().any(|m| m == path))
}
