//! Prints what the store does on this machine: `cargo run --release -p minicloud-store --example bench [DIR]`.
//!
//! The figure to compare with is the first: how long the disk takes to make one small write durable.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minicloud_store::{Options, Store};

const TASKS: usize = 32;
const OBJECTS: usize = 10_000;
const VALUE_BYTES: usize = 900;
const WATCHERS: usize = 100;
const PREFIX: &str = "/registry/configmaps/default/";

#[tokio::main]
async fn main() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let dir = std::env::args()
        .nth(1)
        .map_or(scratch.path().to_owned(), Into::into);
    fs::create_dir_all(&dir).expect("the folder");
    fsync(&dir);

    let started = Instant::now();
    let store = Store::open(dir.join("store"), Options::default()).expect("a store");
    println!(
        "open, empty                    {:>9.1} ms",
        ms(started.elapsed())
    );
    println!("memory, empty                  {:>9.1} MB", memory_mb());

    one_writer(&store).await;
    let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
    timed("durable creates, 32 tasks", &store, move |store, number| {
        let value = value.clone();
        async move { drop(store.create(&key(number), value).await.expect("a create")) }
    })
    .await;
    println!("memory, 10,000 objects         {:>9.1} MB", memory_mb());
    timed("gets, 32 tasks", &store, |store, number| async move {
        assert!(store.get(&key(number)).is_some());
    })
    .await;
    store.close().await.expect("a clean close");
    let started = Instant::now();
    let store = Store::open(dir.join("store"), Options::default()).expect("a store");
    println!(
        "open, 10,000 objects           {:>9.1} ms",
        ms(started.elapsed())
    );
    list(&store).await;
    watchers(&store).await;
    timed(
        "durable deletes, 32 tasks",
        &store,
        |store, number| async move {
            drop(store.delete(&key(number), None).await.expect("a delete"));
        },
    )
    .await;
    println!("memory, all deleted            {:>9.1} MB", memory_mb());
    store.compact(store.revision()).await.expect("a compaction");
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("memory, compacted              {:>9.1} MB", memory_mb());
    println!(
        "file, compacted                {:>9.1} MB",
        files_mb(&dir.join("store"))
    );
    idle(&store, &dir.join("store")).await;
    let started = Instant::now();
    store.close().await.expect("a clean close");
    println!(
        "close                          {:>9.1} ms",
        ms(started.elapsed())
    );
}

fn key(number: usize) -> String {
    format!("{PREFIX}object-{number:05}")
}

/// What the disk itself can do, for comparison.
fn fsync(dir: &Path) {
    let path = dir.join("fsync");
    let mut file = File::create(&path).expect("a file");
    let mut times = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        file.write_all(&[7; 4096])
            .and_then(|()| file.sync_data())
            .expect("a durable write");
        times.push(started.elapsed());
    }
    report("4 KiB + fdatasync, raw disk", &mut times, None);
    let _ = fs::remove_file(path);
}

async fn one_writer(store: &Store) {
    let mut times = Vec::new();
    let started = Instant::now();
    for number in 0..300 {
        let begun = Instant::now();
        store
            .create(&format!("/one/{number}"), vec![b'x'; VALUE_BYTES].into())
            .await
            .expect("a create");
        times.push(begun.elapsed());
    }
    report(
        "durable creates, 1 task",
        &mut times,
        Some(started.elapsed()),
    );
}

/// Runs `work` for each object in 32 tasks.
async fn timed<F, W>(what: &str, store: &Store, work: W)
where
    W: Fn(Store, usize) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let work = Arc::new(work);
    let started = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let (store, work) = (store.clone(), work.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            for number in (task..OBJECTS).step_by(TASKS) {
                let begun = Instant::now();
                work(store.clone(), number).await;
                times.push(begun.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await.expect("a task that ends"));
    }
    report(what, &mut times, Some(started.elapsed()));
}

async fn list(store: &Store) {
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(
            store
                .list(PREFIX, None, 0, None)
                .await
                .expect("a list")
                .entries
                .len(),
            OBJECTS
        );
        times.push(begun.elapsed());
    }
    report("list of 10,000", &mut times, None);
    let mut times = Vec::new();
    let mut start: Option<Arc<str>> = None;
    loop {
        let begun = Instant::now();
        let page = store
            .list(PREFIX, start.as_deref(), 500, None)
            .await
            .expect("a page");
        times.push(begun.elapsed());
        start = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    report("page of 500 of 10,000", &mut times, None);
}

/// From just before a write is asked for until each of 100 watchers has its event.
async fn watchers(store: &Store) {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for _ in 0..WATCHERS {
        let mut watch = store
            .watch(PREFIX, store.revision())
            .await
            .expect("a watch");
        let sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            while let Ok(event) = watch.next().await {
                if sender.send((event.revision(), Instant::now())).is_err() {
                    break;
                }
            }
        }));
    }
    let (mut from_call, mut from_answer) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let entry = store.get(&key(0)).expect("an object");
        let begun = Instant::now();
        store
            .update(&key(0), entry.value, entry.mod_revision)
            .await
            .expect("an update");
        let answered = Instant::now();
        for _ in 0..WATCHERS {
            let (_, at) = received.recv().await.expect("an event");
            from_call.push(at - begun);
            from_answer.push(at.saturating_duration_since(answered));
        }
    }
    report("event to 100 watchers, from call", &mut from_call, None);
    report("the same, after the answer", &mut from_answer, None);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn idle(store: &Store, dir: &Path) {
    let written = |dir: &Path| {
        let file = |file: fs::DirEntry| {
            file.metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        fs::read_dir(dir)
            .expect("the folder")
            .flatten()
            .filter_map(file)
            .max()
    };
    let mut lease = store
        .create("/leases/n", Bytes::from_static(b"beat"))
        .await
        .expect("a create")
        .mod_revision;
    lease = store
        .update_volatile("/leases/n", Bytes::from_static(b"beat"), lease)
        .await
        .expect("a beat")
        .mod_revision;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (before, io) = (written(dir), io_bytes());
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let beat = store
            .update_volatile("/leases/n", Bytes::from_static(b"beat"), lease)
            .await;
        lease = beat.expect("a beat").mod_revision;
    }
    let touched = if written(dir) == before {
        "no file touched"
    } else {
        "files were touched"
    };
    println!(
        "written by 20 heartbeats       {:>9} bytes, {touched}",
        io_bytes() - io
    );
}

fn report(what: &str, times: &mut [Duration], total: Option<Duration>) {
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    let rate = total.map(|total| format!("{:>9.0}/s", times.len() as f64 / total.as_secs_f64()));
    println!(
        "{what:<33} p50 {:>8.3} ms  p99 {:>8.3} ms  max {:>8.3} ms {}",
        at(0.5),
        at(0.99),
        at(1.0),
        rate.unwrap_or_default()
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e3
}

fn io_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .unwrap_or(0)
}

fn files_mb(dir: &Path) -> f64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum::<u64>() as f64
        / 1e6
}
