//! Mounted file systems, from `/proc/mounts` (fstab(5)), and their space by statvfs(3).

use serde::{Deserialize, Serialize};

use crate::Root;

/// File systems that are told.
const MOST: usize = 256;

/// Kept by others over a network. Their space is not asked for: a server that is away would hold the caller for ever.
const REMOTE: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "virtiofs",
];

/// A mounted file system that keeps something: on a disk, a pool of disks or over a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSystem {
    /// `/dev/sda1`, `server:/export`
    pub device: String,
    /// `ext4`
    pub fstype: String,
    /// Where it was mounted first; what is mounted again elsewhere is told once.
    pub mountpoint: String,
    /// All of it; absent when it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// What others than root can still fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
}

/// A field of `/proc/mounts`: white space and backslashes are octal escapes.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// True for what keeps something. `/` always counts: where it lies in memory or on another system, there is nothing else.
fn keeps(device: &str, fstype: &str, mountpoint: &str) -> bool {
    let on_disk =
        device.starts_with("/dev/") && !device.starts_with("/dev/loop") && fstype != "devtmpfs";
    on_disk || fstype == "zfs" || REMOTE.contains(&fstype) || mountpoint == "/"
}

/// What is mounted, without sizes.
pub fn parse(mounts: &str) -> Vec<FileSystem> {
    let mut found: Vec<FileSystem> = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').map(unescaped);
        let (Some(device), Some(mountpoint), Some(fstype)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let again = found
            .iter()
            .any(|known| known.device == device && known.fstype == fstype);
        if keeps(&device, &fstype, &mountpoint) && !again && found.len() < MOST {
            found.push(FileSystem {
                device,
                fstype,
                mountpoint,
                ..FileSystem::default()
            });
        }
    }
    found
}

pub(crate) fn read(root: &Root) -> Vec<FileSystem> {
    let mut found = parse(&root.text("/proc/mounts").unwrap_or_default());
    if root.is_this_machine() {
        for local in found
            .iter_mut()
            .filter(|f| !REMOTE.contains(&f.fstype.as_str()))
        {
            (local.size_bytes, local.free_bytes) = root.space_bytes(&local.mountpoint).unzip();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_something() {
        let mounts = "proc /proc proc rw 0 0\n\
                      /dev/sda1 / ext4 rw 0 0\n\
                      /dev/sda1 /run/netns ext4 rw 0 0\n\
                      /dev/loop3 /snap/core squashfs ro 0 0\n\
                      tmpfs /tmp tmpfs rw 0 0\n\
                      nas:/a\\040b /mnt/a\\040b\\134 nfs4 rw 0 0\n\
                      tank /tank zfs rw 0 0\n\
                      broken\n";
        let found = parse(mounts);
        let found: Vec<_> = found
            .iter()
            .map(|f| format!("{} {} {}", f.device, f.mountpoint, f.fstype))
            .collect();
        assert_eq!(
            found,
            [
                "/dev/sda1 / ext4",
                "nas:/a b /mnt/a b\\ nfs4",
                "tank /tank zfs"
            ]
        );
        let in_memory = parse("none / tmpfs rw 0 0\n");
        assert_eq!(in_memory.len(), 1);
    }

    #[test]
    fn escapes() {
        let check = |field: &str, expect: &str| assert_eq!(unescaped(field), expect);
        check("\\011a\\", "\ta\\");
        check("\\9é\\777", "\\9é\\777");
    }
}
