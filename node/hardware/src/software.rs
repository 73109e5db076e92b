//! Installed software with versions, from dpkg's list of packages (dpkg-query(1), deb-control(5)).

use serde::{Deserialize, Serialize};

use crate::Root;

/// Bytes of dpkg's list that are read: ten times that of a full desktop.
const STATUS_BYTES: u64 = 64 << 20;

/// The packages that are told when nobody says which: what others choose a machine by.
pub const DEFAULT: [&str; 28] = [
    "apache2",
    "containerd",
    "containerd.io",
    "crun",
    "docker-ce",
    "docker.io",
    "ffmpeg",
    "mariadb-server",
    "mosquitto",
    "nftables",
    "nginx",
    "nodejs",
    "nvidia-container-toolkit",
    "nvidia-driver",
    "openssh-server",
    "php",
    "podman",
    "postgresql",
    "prometheus",
    "python3",
    "qemu-system-arm",
    "qemu-system-x86",
    "redis-server",
    "rocm-hip-runtime",
    "runc",
    "systemd",
    "tensorrt",
    "wireguard-tools",
];

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Software {
    /// The Debian package.
    pub name: String,
    /// Its version as dpkg has it, with epoch and revision.
    pub version: String,
}

/// Those of `wanted` that are installed, by name. A package that is there for several architectures is told once.
pub fn parse(lines: impl Iterator<Item = String>, wanted: &[String]) -> Vec<Software> {
    let mut found: Vec<Software> = Vec::new();
    let mut paragraph = Paragraph::default();
    // The last paragraph may end without an empty line.
    for line in lines.chain([String::new()]) {
        if line.is_empty() {
            found.extend(std::mem::take(&mut paragraph).software());
        } else if let Some((field, value)) = line.split_once(": ") {
            paragraph.field(field, value, wanted);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|a, b| a.name == b.name);
    found
}

/// A package while it is read.
#[derive(Default)]
struct Paragraph {
    name: Option<String>,
    version: Option<String>,
    installed: bool,
}

impl Paragraph {
    fn field(&mut self, field: &str, value: &str, wanted: &[String]) {
        match field {
            "Package" => self.name = wanted.iter().find(|name| *name == value).cloned(),
            // Also what is held back; not what was removed and left its settings.
            "Status" => self.installed = value.ends_with(" ok installed"),
            "Version" => self.version = crate::root::clean(value),
            _ => {}
        }
    }

    fn software(self) -> Option<Software> {
        let (name, version) = (self.name?, self.version?);
        self.installed.then_some(Software { name, version })
    }
}

pub(crate) fn read(root: &Root, wanted: &[String]) -> Vec<Software> {
    parse(root.lines("/var/lib/dpkg/status", STATUS_BYTES), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages() {
        let status = "Package: runc\nStatus: install ok installed\nVersion: 1.1.5+ds1-1\nDescription: x\n Package: nginx\n\n\
                      Package: nginx\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                      Package: vim\nStatus: install ok installed\nVersion: 2\n\n\
                      Package: crun\nStatus: hold ok installed\nVersion: 1.8.1-1\n";
        let wanted = ["runc", "nginx", "crun"].map(str::to_owned);
        let found = parse(status.lines().map(str::to_owned), &wanted);
        let found: Vec<_> = found
            .iter()
            .map(|s| (s.name.as_str(), s.version.as_str()))
            .collect();
        assert_eq!(found, [("crun", "1.8.1-1"), ("runc", "1.1.5+ds1-1")]);
    }
}
