//! What can be set about containers. Plain values; the binary fills them from its own configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything [`crate::Runtime::start`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which containerd.
    pub engine: Engine,
    /// Absolute cgroup path beneath which pods' cgroups are made, as `/minicloud`.
    pub cgroup_parent: String,
    /// When containers' logs are rotated.
    pub logs: LogRotation,
    /// When unused images are removed.
    pub image_collection: ImageCollection,
}

/// Which containerd runs the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// One that this process starts, adopts and restarts.
    Supervised(Containerd),
    /// One that somebody else runs; its own configuration holds (sandbox image, CNI).
    Endpoint {
        /// Its Unix socket.
        socket: PathBuf,
        /// The file system whose fullness makes images be removed.
        root: PathBuf,
    },
}

impl Engine {
    /// The Unix socket on which the engine answers.
    pub fn socket(&self) -> PathBuf {
        match self {
            Engine::Supervised(containerd) => containerd.socket(),
            Engine::Endpoint { socket, .. } => socket.clone(),
        }
    }

    /// The folder that holds images.
    pub fn root(&self) -> &Path {
        match self {
            Engine::Supervised(containerd) => &containerd.root,
            Engine::Endpoint { root, .. } => root,
        }
    }
}

/// A supervised containerd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containerd {
    /// Persistent data (images, snapshots, metadata); survives a reboot.
    pub root: PathBuf,
    /// Sockets, bundles and network namespaces; gone with a reboot.
    pub state: PathBuf,
    /// Where its log goes (rotated at 10 MiB).
    pub log_file: PathBuf,
    /// Folder of CNI plugins.
    pub cni_bin_dir: PathBuf,
    /// Folder of CNI configuration lists; containerd watches it.
    pub cni_conf_dir: PathBuf,
    /// Folder of `HOST/hosts.toml` files (mirrors, certificates of registries).
    pub registry_config_dir: Option<PathBuf>,
    /// The program; searched in `PATH` when it has no slash.
    pub binary: PathBuf,
    /// containerd's own client, for the import of archives.
    pub ctr: PathBuf,
    /// Words put before the program, as `ip netns exec NAME`. What they start must keep its process id.
    pub launcher: Vec<OsString>,
}

impl Containerd {
    /// The usual places beneath a data and a run folder, and Debian's paths for the rest.
    pub fn new(data_dir: &Path, run_dir: &Path, cni_conf_dir: &Path) -> Self {
        Containerd {
            root: data_dir.join("containerd"),
            state: run_dir.join("containerd"),
            log_file: data_dir.join("logs").join("containerd.log"),
            cni_bin_dir: PathBuf::from("/usr/lib/cni"),
            cni_conf_dir: cni_conf_dir.to_owned(),
            registry_config_dir: None,
            binary: PathBuf::from("containerd"),
            ctr: PathBuf::from("ctr"),
            launcher: Vec::new(),
        }
    }

    /// The socket it serves. A socket's path may have 107 bytes at most, so keep `state` short.
    pub fn socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }

    /// The configuration file that is written for it.
    pub fn config_file(&self) -> PathBuf {
        self.state.join("config.toml")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.state.join("containerd.pid")
    }
}

/// Rotation of containers' logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// A file larger than this is renamed.
    pub max_bytes: u64,
    /// Files of one container in all, the current one among them; at least two.
    pub max_files: usize,
    /// How often sizes are looked at.
    pub interval: Duration,
}

impl Default for LogRotation {
    /// kubelet's defaults: 10 MiB, 5 files, every 10 seconds.
    fn default() -> Self {
        LogRotation {
            max_bytes: 10 << 20,
            max_files: 5,
            interval: Duration::from_secs(10),
        }
    }
}

/// Removal of unused images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageCollection {
    /// Removal begins when the file system is fuller than this.
    pub high_percent: u8,
    /// And goes on until it is emptier than this.
    pub low_percent: u8,
    /// Images that were used or came within this time are spared.
    pub min_age: Duration,
    /// How often the file system is looked at.
    pub interval: Duration,
}

impl Default for ImageCollection {
    /// kubelet's defaults: 85 % and 80 %, 2 minutes of age, every 5 minutes.
    fn default() -> Self {
        ImageCollection {
            high_percent: 85,
            low_percent: 80,
            min_age: Duration::from_secs(120),
            interval: Duration::from_secs(300),
        }
    }
}
