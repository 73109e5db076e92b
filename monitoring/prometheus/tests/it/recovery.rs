//! After crashes, power cuts and full disks: what can be saved is saved, and in any case it comes up again.

use std::process::Command;

use crate::harness::Place;

#[tokio::test]
async fn killed_it_comes_back_with_what_it_had() {
    let place = Place::new();
    let mut supervised = place.start();
    supervised.ready().await;
    supervised.has_scraped(5.0).await;
    let pid = place.pid().unwrap();
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    supervised
        .becomes(|state| *state != minicloud_daemon::State::Ready)
        .await;
    supervised.ready().await;
    assert_ne!(place.pid().unwrap(), pid);
    assert!(
        supervised.scrapes().await >= 4.0,
        "{}",
        supervised.scrapes().await
    );
    supervised.leave().await;
    place.stop().await;
}

/// A power cut leaves a journal whose end, or middle, is not what was written.
#[tokio::test]
async fn a_damaged_journal_is_mended() {
    let place = Place::new();
    let mut supervised = place.start();
    supervised.ready().await;
    supervised.has_scraped(3.0).await;
    supervised.leave().await;
    place.stop().await;
    let journal = place.store().join("wal");
    let mut damaged = 0;
    for entry in std::fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes
                .iter_mut()
                .skip(middle)
                .take(4096)
                .for_each(|b| *b ^= 0xa5);
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let mut supervised = place.start();
    supervised.ready().await;
    supervised.has_scraped(2.0).await;
    assert!(
        !place.store().with_extension("broken").exists(),
        "it mends that itself"
    );
    supervised.leave().await;
    place.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_moved_aside() {
    let place = Place::new();
    let store = place.store();
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join("wal"), "no folder").unwrap();
    let mut supervised = place.start();
    supervised.ready().await;
    supervised.has_scraped(2.0).await;
    let aside = store.with_extension("broken");
    assert_eq!(
        std::fs::read_to_string(aside.join("wal")).unwrap(),
        "no folder"
    );
    supervised.leave().await;
    place.stop().await;
}

/// A file system that is small, and its end.
struct Small<'a>(&'a std::path::Path);

impl<'a> Small<'a> {
    fn new(dir: &'a std::path::Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=24m,mode=711", "small"];
        assert!(
            Command::new("mount")
                .args(mount)
                .arg(dir)
                .status()
                .unwrap()
                .success()
        );
        Self(dir)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_no_end() {
    let place = Place::new();
    let data = place.config.data_dir.clone();
    let small = Small::new(&data);
    let mut supervised = place.start();
    supervised.ready().await;
    supervised.has_scraped(2.0).await;
    // Another fills the disk to the last byte, and Prometheus is killed meanwhile.
    let filler = data.join("filler");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k"])
        .arg(format!("of={}", filler.display()))
        .output();
    assert!(!filled.unwrap().status.success());
    let pid = place.pid().unwrap();
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    supervised
        .becomes(|state| *state != minicloud_daemon::State::Ready)
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    std::fs::remove_file(filler).unwrap();
    supervised.ready().await;
    let before = supervised.scrapes().await;
    supervised.has_scraped(before + 3.0).await;
    supervised.leave().await;
    place.stop().await;
    drop(small);
}
