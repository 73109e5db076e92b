//! Neither the death of containerd nor that of this process touches a container.

use std::time::Duration;

use minicloud_agent::runtime::{ContainerSpec, ContainerState, PodChange, PodRuntime, SandboxSpec};
use minicloud_containers::Runtime;
use rustix::process::{Pid, Signal};

use crate::site::{Site, eventually, launch, observed, run, script, shell};

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_containerd_and_us() {
    let site = Site::new();
    let runtime = site.start_with_image().await;
    let mut changes = runtime.changes();
    let sandbox = site.sandbox("steady");
    let sandbox_id = runtime.run_sandbox(&sandbox).await.unwrap();
    let text = "echo started >> /tmp/starts; while :; do sleep 1; done";
    let container = script(&runtime, &sandbox, "app", text).await;
    let id = launch(&runtime, &sandbox_id, &sandbox, &container).await;
    let before = observed(&runtime, &sandbox, &id).await;

    // containerd is killed, and comes back under supervision.
    let first = site.containerd_pid();
    rustix::process::kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    eventually("another containerd answers", || async {
        (site.containerd_pid() != first && runtime.status().await.is_ok()).then_some(())
    })
    .await;
    assert_eq!(observed(&runtime, &sandbox, &id).await.state, before.state);
    assert_eq!(shell(&runtime, &id, "cat /tmp/starts").await, "started");
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        while changes.recv().await.unwrap() != PodChange::All {}
    });
    told.await.expect("the agent is told to look at everything");

    // Events flow again.
    let brief = script(&runtime, &sandbox, "brief", "exit 0").await;
    launch(&runtime, &sandbox_id, &sandbox, &brief).await;
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        while changes.recv().await.unwrap() != PodChange::Pod(sandbox.uid.clone()) {}
    });
    told.await.expect("the exit is told");

    // The runtime goes, containerd stays, the next one adopts it.
    let second = site.containerd_pid();
    drop(runtime);
    let runtime = site.start().await;
    assert_eq!(site.containerd_pid(), second);
    let after = observed(&runtime, &sandbox, &id).await;
    assert!(matches!(after.state, ContainerState::Running { .. }));
    assert_eq!(after.state, before.state);

    // Even without its pid file, by its socket; another configuration restarts it.
    std::fs::remove_file(site.containerd().state.join("containerd.pid")).unwrap();
    drop(runtime);
    let runtime = site.start().await;
    assert!(!site.containerd().state.join("containerd.pid").exists());
    drop(runtime);
    std::fs::write(site.containerd().config_file(), "version = 2\n").unwrap();
    let runtime = site.start().await;
    assert_ne!(site.containerd_pid(), second);
    assert_eq!(observed(&runtime, &sandbox, &id).await.state, before.state);
    assert_eq!(shell(&runtime, &id, "cat /tmp/starts").await, "started");

    // Reset finds the running pod and takes it away.
    site.finish(runtime).await;
}

/// What a start leaves that was cut off at the wrong moment: containerd runs a container that it takes for not started.
async fn untold(site: &Site, runtime: &Runtime, name: &str) -> String {
    let sandbox = site.sandbox(name);
    let sandbox_id = runtime.run_sandbox(&sandbox).await.unwrap();
    let container = script(runtime, &sandbox, "app", "while :; do sleep 1; done").await;
    let id = runtime
        .create_container(&sandbox_id, &sandbox, &container)
        .await
        .unwrap();
    let socket = site.containerd().socket();
    let socket = socket.to_str().unwrap();
    let words = ["-a", socket, "-n", "k8s.io", "task", "start", "--detach"];
    run("ctr", &[&words[..], &[id.as_str()]].concat());
    let state = observed(runtime, &sandbox, &id).await.state;
    assert!(matches!(state, ContainerState::Created), "{state:?}");
    sandbox_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_runs_untold_is_removed_with_its_sandbox() {
    let site = Site::new();
    let runtime = site.start_with_image().await;
    let sandbox_id = untold(&site, &runtime, "untold").await;
    runtime.stop_sandbox(&sandbox_id).await.unwrap();
    eventually("the sandbox can be removed", || async {
        runtime.remove_sandbox(&sandbox_id).await.ok()
    })
    .await;
    assert!(runtime.list_pods().await.unwrap().is_empty());
    // A reset has the same to do, at once.
    untold(&site, &runtime, "another").await;
    site.finish(runtime).await;
}

/// A cold boot: processes, mounts, cgroups and `/run` are gone; what is on disk is there.
#[tokio::test(flavor = "multi_thread")]
async fn pods_start_again_after_a_cold_boot() {
    let site = Site::new();
    let runtime = site.start_with_image().await;
    let sandbox = site.sandbox("reborn");
    let sandbox_id = runtime.run_sandbox(&sandbox).await.unwrap();
    let container = script(&runtime, &sandbox, "app", "while :; do sleep 1; done").await;
    let id = launch(&runtime, &sandbox_id, &sandbox, &container).await;
    drop(runtime);
    site.lose_power();

    let runtime = site.start().await;
    let pods = runtime.list_pods().await.unwrap();
    assert_eq!(pods.len(), 1);
    assert!(!pods[0].sandboxes[0].ready);
    let state = &pods[0]
        .containers
        .iter()
        .find(|container| container.id == id)
        .unwrap()
        .state;
    assert!(
        matches!(
            state,
            ContainerState::Exited { .. } | ContainerState::Unknown
        ),
        "{state:?}"
    );

    // The next attempt starts beside the old one, offline, and the old one goes.
    let next = SandboxSpec {
        attempt: 1,
        ..sandbox.clone()
    };
    let next_id = runtime.run_sandbox(&next).await.unwrap();
    let container = ContainerSpec {
        attempt: 1,
        log_path: "app/1.log".into(),
        ..container
    };
    let next_container = launch(&runtime, &next_id, &next, &container).await;
    runtime.stop_sandbox(&sandbox_id).await.unwrap();
    runtime.remove_sandbox(&sandbox_id).await.unwrap();
    let pod = runtime.pod(&sandbox.uid).await.unwrap().unwrap();
    assert_eq!((pod.sandboxes.len(), pod.containers.len()), (1, 1));
    assert!(pod.sandboxes[0].ready && !pod.sandboxes[0].ips.is_empty());
    assert_eq!(shell(&runtime, &next_container, "echo here").await, "here");
    // Its cgroup was not taken away with the old sandbox.
    assert!(
        !runtime
            .cgroups()
            .processes(&format!("/{}", site.name))
            .is_empty()
    );
    // The dead one's address was given back: only the living one's is held.
    let held = std::fs::read_dir(site.dir.path().join("ipam").join(&site.name)).unwrap();
    let held = held
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("10."))
        .count();
    assert_eq!(held, 1);
    site.finish(runtime).await;
}
