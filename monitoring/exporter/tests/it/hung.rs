//! A mount whose server is silent.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use minicloud_exporter::{Exporter, Settings};
use rustix::mount::{MountFlags, mount};

use crate::exposition::Exposition;

const HUNG: &str = "MINICLOUD_TEST_HUNG_ROOT";

/// A FUSE file system that nobody serves, in a mount namespace of its own so that nothing else on this machine runs into it.
#[test]
fn a_mount_that_hangs_does_not_hang_the_scrape() {
    let root = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hung::inside_the_namespace",
            "--ignored",
            "--nocapture",
        ])
        .env(HUNG, root.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "the other test runs it, in a mount namespace"]
fn inside_the_namespace() {
    let Some(root) = std::env::var_os(HUNG) else {
        return;
    };
    let root = Path::new(&root);
    for folder in ["proc/1", "silent", "fine"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let mounts = "nas /silent fuse.sshfs rw 0 0\n/dev/sda1 /fine ext4 rw 0 0\n";
    std::fs::write(root.join("proc/1/mounts"), mounts).unwrap();
    let fuse = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        fuse.as_raw_fd()
    );
    let options = std::ffi::CString::new(options).unwrap();
    mount(
        "nas",
        root.join("silent"),
        "fuse.sshfs",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .unwrap();

    let settings = Settings {
        mount_timeout: Duration::from_millis(1000),
    };
    let mut exporter = Exporter::new(root, &settings);
    let mut scrape = || {
        let mut text = String::new();
        let started = Instant::now();
        exporter.scrape(&mut text);
        let all = Exposition::parse(&text);
        let error = |device, kind, point| {
            let labels = [("device", device), ("fstype", kind), ("mountpoint", point)];
            all.value("node_filesystem_device_error", &labels)
        };
        assert_eq!(error("/dev/sda1", "ext4", "/fine"), Some(0.0));
        assert!(all.success()["filesystem"]);
        (error("nas", "fuse.sshfs", "/silent"), started.elapsed())
    };
    let (error, first) = scrape();
    assert_eq!(error, Some(1.0));
    assert!(
        first > Duration::from_millis(1000),
        "it did not hang: the test shows nothing"
    );
    assert!(first < Duration::from_secs(3), "{first:?}");
    let (error, second) = scrape();
    assert_eq!(error, Some(1.0));
    assert!(
        second < Duration::from_millis(900),
        "it was waited for again: {second:?}"
    );
    // The kernel lets go of the mount, and of the thread that waits for it.
    drop(fuse);
}
