//! What pods cost by bare CRI: the figures with which the whole system's are compared. Prints, and asserts only that nothing is
//! absurd.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use minicloud_agent::runtime::PodRuntime;
use minicloud_containers::Runtime;
use minicloud_containers::config::LogRotation;

use crate::site::{Site, launch, script};

struct Took {
    sandbox: Duration,
    container: Duration,
}

async fn one(site: &Site, runtime: &Runtime, name: &str) -> Took {
    let sandbox = site.sandbox(name);
    let container = script(runtime, &sandbox, "app", "while :; do sleep 60; done").await;
    let started = Instant::now();
    let id = runtime.run_sandbox(&sandbox).await.unwrap();
    let took = started.elapsed();
    let started = Instant::now();
    launch(runtime, &id, &sandbox, &container).await;
    Took {
        sandbox: took,
        container: started.elapsed(),
    }
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values[values.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_start_quickly() {
    let site = Site::new();
    let started = Instant::now();
    let runtime = site.start_with_image().await;
    println!(
        "containerd started and two images imported: {:?}",
        started.elapsed()
    );

    let mut alone = Vec::new();
    for number in 0..10 {
        alone.push(one(&site, &runtime, &format!("alone-{number}")).await);
    }
    let sandbox = median(alone.iter().map(|took| took.sandbox).collect());
    let container = median(alone.iter().map(|took| took.container).collect());
    println!(
        "RunPodSandbox {sandbox:?}, Create + Start {container:?} (median of {})",
        alone.len()
    );

    let started = Instant::now();
    let names: Vec<String> = (0..20).map(|number| format!("crowd-{number}")).collect();
    stream::iter(&names)
        .map(|name| one(&site, &runtime, name))
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    println!("20 pods, 8 at a time: {:?}", started.elapsed());

    let listing = Instant::now();
    assert_eq!(runtime.list_pods().await.unwrap().len(), 30);
    let first = listing.elapsed();
    let listing = Instant::now();
    runtime.list_pods().await.unwrap();
    println!(
        "list of 30 pods: {first:?} cold, {:?} known",
        listing.elapsed()
    );
    assert!(sandbox < Duration::from_secs(5) && container < Duration::from_secs(5));

    let started = Instant::now();
    site.finish(runtime).await;
    println!("reset with 30 pods: {:?}", started.elapsed());
}

/// CPU time of a process so far.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may hold blanks: state is the first, user and system time are the 12th and 13th.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = [fields[11], fields[12]]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Measures for a minute, so it is not part of the usual run.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; a figure, not a test"]
async fn idle_costs_little() {
    let mut site = Site::new();
    site.config.logs = LogRotation::default();
    let runtime = site.start_with_image().await;
    for number in 0..10 {
        one(&site, &runtime, &format!("idle-{number}")).await;
    }
    runtime.list_pods().await.unwrap();
    let engine = site.containerd_pid().cast_unsigned();
    let ours = std::process::id();
    let before = (cpu(ours), cpu(engine));
    let window = Duration::from_secs(60);
    tokio::time::sleep(window).await;
    let percent =
        |from: Duration, to: Duration| (to - from).as_secs_f64() / window.as_secs_f64() * 100.0;
    println!(
        "{}",
        std::fs::read_to_string(&site.containerd().log_file).unwrap()
    );
    println!(
        "idle with 10 pods: we {:.3} % CPU, containerd {:.3} % CPU, {} KiB",
        percent(before.0, cpu(ours)),
        percent(before.1, cpu(engine)),
        resident_kib(engine),
    );
    site.finish(runtime).await;
}
