//! How long a pod takes by bare CRI: the figure that the whole system's pod start is compared with. Prints, and asserts only
//! that nothing is absurd.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use minicloud_agent::runtime::PodRuntime;
use minicloud_containers::Runtime;

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
