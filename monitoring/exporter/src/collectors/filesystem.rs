//! `filesystem`: how full each mounted file system is, from `/proc/1/mounts` and statvfs. What is not storage is left out by
//! node_exporter's defaults.
//!
//! statvfs of a network mount whose server is silent does not return, and nothing can interrupt it. So it runs on a thread
//! of its own ([`prober`]), which is left behind when it takes too long.
//!
//! Other than node_exporter: a mount that is listed twice is shown once (Prometheus refuses the whole scrape otherwise), and
//! sizes are in the unit that statvfs says they are in (`f_frsize`).

mod prober;

use std::collections::BTreeSet;

use rustix::fs::StatVfs;

use self::prober::Prober;
use crate::Settings;
use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const SIZE: Metric = Metric::gauge("node_filesystem_size_bytes", "Filesystem size in bytes.");
const FREE: Metric = Metric::gauge(
    "node_filesystem_free_bytes",
    "Filesystem free space in bytes.",
);
const AVAILABLE: Metric = Metric::gauge(
    "node_filesystem_avail_bytes",
    "Filesystem space available to non-root users in bytes.",
);
const FILES: Metric = Metric::gauge("node_filesystem_files", "Filesystem total file nodes.");
const FILES_FREE: Metric = Metric::gauge(
    "node_filesystem_files_free",
    "Filesystem total free file nodes.",
);
const READ_ONLY: Metric = Metric::gauge("node_filesystem_readonly", "Filesystem read-only status.");
const ERROR: Metric = Metric::gauge(
    "node_filesystem_device_error",
    "Whether an error occurred while getting statistics for the given device.",
);

/// The first name of mount points that are left out, with everything below them.
const EXCLUDED_FOLDERS: [&str; 6] = ["dev", "proc", "run", "sys", "mnt", "media"];
/// Below these, everything is left out.
const EXCLUDED_BELOW: [&str; 2] = ["/var/lib/docker/", "/var/lib/containers/storage/"];
/// Kinds of file systems that store nothing, or nothing of their own.
const EXCLUDED_KINDS: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

pub(crate) struct Filesystem {
    prober: Prober,
}

impl Filesystem {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            prober: Prober::new(settings.mount_timeout),
        }
    }
}

impl Collector for Filesystem {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let mounts = match scrape.parse("proc/1/mounts", parse) {
            // As another user than root one may not look at process 1 where /proc hides it.
            Err(CollectError::Absent { .. } | CollectError::Read { .. }) => {
                scrape.parse("proc/mounts", parse)?
            }
            other => other?,
        };
        let mut seen = BTreeSet::new();
        self.prober.start();
        for mount in &mounts {
            if excluded(&mount.point, &mount.kind)
                || !seen.insert((&mount.device, &mount.point, &mount.kind))
            {
                continue;
            }
            let path = scrape.root_path.join(mount.point.trim_start_matches('/'));
            show(mount, self.prober.statvfs(path), out);
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "samples of Prometheus are floats"
)]
fn show(mount: &Mount, space: Option<StatVfs>, out: &mut Samples) {
    let labels = [
        ("device", mount.device.as_str()),
        ("fstype", &mount.kind),
        ("mountpoint", &mount.point),
    ];
    out.add(&ERROR, &labels, f64::from(space.is_none()));
    let Some(space) = space else {
        return;
    };
    let bytes = |blocks: u64| blocks as f64 * space.f_frsize as f64;
    out.add(&SIZE, &labels, bytes(space.f_blocks));
    out.add(&FREE, &labels, bytes(space.f_bfree));
    out.add(&AVAILABLE, &labels, bytes(space.f_bavail));
    out.add(&FILES, &labels, space.f_files as f64);
    out.add(&FILES_FREE, &labels, space.f_ffree as f64);
    out.add(&READ_ONLY, &labels, f64::from(mount.read_only));
}

/// Whether a mount is left out.
pub(super) fn excluded(point: &str, kind: &str) -> bool {
    let first = point
        .strip_prefix('/')
        .map(|rest| rest.split('/').next().unwrap_or_default());
    first.is_some_and(|first| EXCLUDED_FOLDERS.contains(&first))
        || EXCLUDED_BELOW.iter().any(|below| {
            point
                .strip_prefix(below)
                .is_some_and(|rest| !rest.is_empty())
        })
        || EXCLUDED_KINDS.contains(&kind)
}

#[derive(Debug)]
pub(super) struct Mount {
    device: String,
    point: String,
    kind: String,
    read_only: bool,
}

/// Lines of device, mount point, kind and options, as in fstab(5).
pub(super) fn parse(text: &str) -> Result<Vec<Mount>, Malformed> {
    let mut mounts = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind), Some(options)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Malformed::new("a mount", line));
        };
        mounts.push(Mount {
            device: unescaped(device),
            point: unescaped(point),
            kind: kind.to_owned(),
            read_only: options.split(',').any(|option| option == "ro"),
        });
    }
    Ok(mounts)
}

/// The kernel writes white space and backslashes as `\040`.
fn unescaped(word: &str) -> String {
    let mut parts = word.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        let shown = match parse(text) {
            Ok(mounts) => mounts.iter().map(|mount| format!("{mount:?}\n")).collect(),
            Err(e) => format!("{e:?}\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn mounts() {
        check(
            "/dev/sda1 /srv/with\\040space ext4 rw,errors=remount-ro 0 0\nnas:/a /n nfs4 ro 0 0\n",
            expect![[r#"
                Mount { device: "/dev/sda1", point: "/srv/with space", kind: "ext4", read_only: false }
                Mount { device: "nas:/a", point: "/n", kind: "nfs4", read_only: true }
            "#]],
        );
        check(
            "short line\n",
            expect![[r#"
                Malformed { expected: "a mount", found: "short line" }
            "#]],
        );
    }

    #[test]
    fn escapes() {
        let check = |word, expect| assert_eq!(unescaped(word), expect, "{word}");
        check(r"a\040b\011c\134d", "a b\tc\\d");
        check(r"\04", r"\04");
        check(r"a\", r"a\");
        check(r"\999", r"\999");
        check(r"\377", r"\377");
        check("\\0é", "\\0é");
    }

    #[test]
    fn exclusions() {
        for point in [
            "/dev",
            "/proc/x",
            "/run/user/0",
            "/sys",
            "/mnt/a",
            "/media",
            "/var/lib/docker/overlay2/x/merged",
        ] {
            assert!(excluded(point, "ext4"), "{point}");
        }
        for point in [
            "/",
            "/device",
            "/var/lib/docker",
            "/var/lib/docker/",
            "/srv/run",
            "mnt",
        ] {
            assert!(!excluded(point, "ext4"), "{point}");
        }
        assert!(excluded("/", "cgroup2"));
        assert!(!excluded("/", "tmpfs"));
    }
}
