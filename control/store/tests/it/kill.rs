//! `kill -9` at any moment under load: what was acknowledged is there, and revisions go on.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use minicloud_store::{Options, Store};
use tempfile::tempdir;

use super::support::{bytes, crash_image, open};

/// Tells the test binary, started again by the test, that it is the one to be killed.
const DIR: &str = "STORE_KILL_DIR";
const ROUNDS: u64 = 20;
const TASKS: usize = 8;

/// The last acknowledged write of a key, by its number; each task writes its own keys, one after the other.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    number: u64,
    revision: u64,
}

#[test]
fn acknowledged_writes_survive_kill() {
    let dir = tempdir().unwrap();
    let mut seen: HashMap<String, Acknowledged> = HashMap::new();
    let mut newest = 0;
    for round in 0..ROUNDS {
        let lines = killed(
            dir.path(),
            Duration::from_millis(20 + (round * 7_919) % 180),
        );
        for line in &lines {
            let [key, number, revision] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let acknowledged = Acknowledged {
                number: number.parse().unwrap(),
                revision: revision.parse().unwrap(),
            };
            seen.insert(key.into(), acknowledged);
            newest = newest.max(acknowledged.revision);
        }
        assert!(!lines.is_empty(), "round {round}: nothing was written");
        // On a copy, so that the next process finds what the kill left.
        let copy = tempdir().unwrap();
        crash_image(dir.path(), copy.path());
        let store = open(copy.path());
        assert!(
            store.revision() >= newest,
            "round {round}: {} after {newest}",
            store.revision()
        );
        for (key, acknowledged) in &seen {
            check(&store, key, *acknowledged);
        }
    }
}

/// Every fifth write deletes, the next creates. A write that was under way may have been done: one more than was seen.
fn check(store: &Store, key: &str, acknowledged: Acknowledged) {
    let found = store.get(key);
    if key.starts_with("/volatile/") {
        return assert!(found.is_some(), "{key} is gone");
    }
    let number = found.as_ref().map(|entry| {
        std::str::from_utf8(&entry.value)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    });
    let is_as_after = |write: u64| match number {
        Some(number) => number == write && write % 5 != 4,
        None => write % 5 == 4,
    };
    let right = is_as_after(acknowledged.number) || is_as_after(acknowledged.number + 1);
    assert!(
        right,
        "{key} is {number:?} after {acknowledged:?} was acknowledged"
    );
    if number == Some(acknowledged.number) {
        assert_eq!(found.unwrap().mod_revision, acknowledged.revision);
    }
}

/// Lets a process write for a while, kills it, and returns what it acknowledged.
fn killed(dir: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it::kill::writes_until_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    let mut killer = None;
    let mut line = String::new();
    // What was not written to its end was not acknowledged to anybody.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        if let Some(acknowledged) = line.strip_prefix("ack ") {
            lines.push(acknowledged.trim_end().to_owned());
            if killer.is_none() {
                // It is waited for only after this, so the id is still its own.
                let id = child.id().to_string();
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(after);
                    assert!(
                        Command::new("kill")
                            .args(["-9", &id])
                            .status()
                            .unwrap()
                            .success()
                    );
                }));
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    killer
        .expect("the process to have written something")
        .join()
        .unwrap();
    lines
}

/// Not a test by itself: what is killed.
#[test]
fn writes_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::open(dir, Options::default()).unwrap();
        let tasks = (0..TASKS)
            .map(|task| tokio::spawn(write_for_ever(store.clone(), task)))
            .collect::<Vec<_>>();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn write_for_ever(store: Store, task: usize) {
    if task == 0 {
        let key = "/volatile/0";
        let mut revision = match store.get(key) {
            Some(entry) => entry.mod_revision,
            None => store.create(key, bytes("0")).await.unwrap().mod_revision,
        };
        for number in 0.. {
            revision = store
                .update_volatile(key, bytes("beat"), revision)
                .await
                .unwrap()
                .mod_revision;
            if number % 100 == 0 {
                println!("ack {key} 0 {revision}");
            }
        }
    }
    let key = format!("/durable/{task}");
    // The counter lives in a second key, so that it goes on after a delete.
    let mut number = number_of(&store, &key);
    loop {
        // A delete is not to be told from nothing by the key alone: the note says which write comes next.
        let value = bytes(&format!("{number:>600}"));
        let revision = match (number % 5, store.get(&key)) {
            (4, _) => store.delete(&key, None).await.unwrap().revision,
            (_, Some(entry)) => {
                store
                    .update(&key, value, entry.mod_revision)
                    .await
                    .unwrap()
                    .mod_revision
            }
            (_, None) => store.create(&key, value).await.unwrap().mod_revision,
        };
        println!("ack {key} {number} {revision}");
        number += 1;
        note(&store, &key, number).await;
    }
}

/// The number of the next write to `key`: from its value, or from its note after a delete.
fn number_of(store: &Store, key: &str) -> u64 {
    let number = |key: &str| {
        store.get(key).map(|entry| {
            std::str::from_utf8(&entry.value)
                .unwrap()
                .trim()
                .parse::<u64>()
                .unwrap()
        })
    };
    let noted = number(&format!("/note{key}")).unwrap_or(0);
    match number(key) {
        Some(number) => number + 1,
        // The note is written after the write: the delete may be done and not noted.
        None if noted % 5 == 4 => noted + 1,
        None => noted,
    }
}

async fn note(store: &Store, key: &str, number: u64) {
    let (key, value) = (format!("/note{key}"), bytes(&number.to_string()));
    match store.get(&key) {
        Some(entry) => store.update(&key, value, entry.mod_revision).await.unwrap(),
        None => store.create(&key, value).await.unwrap(),
    };
}
