//! A full disk: writes fail as a whole, memory and disk agree, and all is well once there is space. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;

use minicloud_store::{Options, Store, StoreError};
use tempfile::{TempDir, tempdir};

use super::support::{bytes, crash_image, open, open_with, told};

/// A file system of 16 MiB that goes away with it.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let dir = tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "mct-store"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Small(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn writes_fail_and_then_succeed() {
    let Some(disk) = Small::mount() else {
        eprintln!("skipped: cannot mount a tmpfs here");
        return;
    };
    let store = open_with(&disk.path().join("store"), Options::default());
    let ballast = disk.path().join("ballast");
    store.create("/lease", bytes("new")).await.unwrap();
    let lease = store
        .update_volatile("/lease", bytes("beat"), 2)
        .await
        .unwrap();
    fs::write(&ballast, vec![0; 7 << 20]).unwrap();

    let value = bytes(&"x".repeat(50_000));
    let mut written = 0;
    let error = loop {
        match store
            .create(&format!("/a/{written:04}"), value.clone())
            .await
        {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the disk does not fill");
    };
    let text = error.to_string();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(
        text.contains("no space left to write") && text.contains("store.db"),
        "{text}"
    );

    // Nothing of the failed write is to be seen, nor to be found after a crash.
    assert_eq!(
        (store.count("/a/"), store.get(&format!("/a/{written:04}"))),
        (written, None)
    );
    let shown = told(&store.list("/a/", None, 0, None).await.unwrap());
    let elsewhere = tempdir().unwrap();
    crash_image(&disk.path().join("store"), elsewhere.path());
    let crashed = open(elsewhere.path());
    assert_eq!(
        told(&crashed.list("/a/", None, 0, None).await.unwrap()),
        shown
    );
    crashed.close().await.unwrap();

    // Heartbeats go on, alone or together with writes that fail.
    let large = bytes(&"y".repeat(1_500_000));
    let (beat, durable) = tokio::join!(
        store.update_volatile("/lease", bytes("beat"), lease.mod_revision),
        store.create("/large", large.clone())
    );
    assert!(
        matches!(durable, Err(StoreError::DiskFull { .. })),
        "{durable:?}"
    );
    assert!(beat.unwrap().mod_revision > lease.mod_revision);

    fs::remove_file(&ballast).unwrap();
    store.create("/large", large).await.unwrap();
    let revision = store
        .create("/a/9999", bytes("v"))
        .await
        .unwrap()
        .mod_revision;
    assert_eq!(store.revision(), revision);
    // There is no space to empty the log on disk, which is no loss.
    store.close().await.unwrap();
    let store = Store::open(disk.path().join("store"), Options::default()).unwrap();
    assert_eq!(
        (store.count("/a/"), store.revision()),
        (written + 1, revision)
    );
    store.close().await.unwrap();
}
