//! Limits hold, and what breaks them is named.

use minicloud_agent::runtime::{NamespaceMode, PodRuntime, Profile, Resources};

use crate::site::{Site, eventually, exit_of, launch, read, script, shell};

#[tokio::test(flavor = "multi_thread")]
async fn limits_reach_the_cgroups() {
    let site = Site::new();
    let runtime = site.start_with_image().await;
    let mut sandbox = site.sandbox("limited");
    sandbox.resources = Resources {
        cpu_shares: 512,
        cpu_quota_us: Some(50_000),
        cpu_period_us: 100_000,
        memory_limit_bytes: Some(64 << 20),
        oom_score_adj: 0,
    };
    let sandbox_id = runtime.run_sandbox(&sandbox).await.unwrap();
    let layout = runtime.cgroups().layout().clone();
    let pod = format!("{}/burstable/pod{}", site.name, sandbox.uid);
    let file = |controller: &str, v1: &str, v2: &str| match layout.v1_root(controller) {
        Some(root) => read(&root.join(&pod).join(v1)),
        None => read(&layout.roots().next().unwrap().join(&pod).join(v2)),
    };
    assert_eq!(
        file("memory", "memory.limit_in_bytes", "memory.max").trim(),
        (64 << 20).to_string()
    );
    let cpu = file("cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(cpu.starts_with("50000"), "{cpu}");

    // The container's own limit lies inside, and the kernel's kill is told as such.
    let mut hog = script(&runtime, &sandbox, "hog", "tail -c 100m /dev/zero").await;
    hog.resources = Resources {
        cpu_shares: 256,
        memory_limit_bytes: Some(16 << 20),
        oom_score_adj: 900,
        ..Default::default()
    };
    let hog_id = launch(&runtime, &sandbox_id, &sandbox, &hog).await;
    let (code, reason) = exit_of(&runtime, &sandbox, &hog_id).await;
    assert_eq!(code, 137);
    // The kernel's notice of it may come after the exit itself.
    if reason != "OOMKilled" {
        eventually("the reason is OOMKilled", || async {
            (exit_of(&runtime, &sandbox, &hog_id).await.1 == "OOMKilled").then_some(())
        })
        .await;
    }
    let listed = runtime.list_pods().await.unwrap();
    let state = format!("{:?}", listed[0].containers[0].state);
    assert!(state.contains("OOMKilled"), "{state}");

    let mut quiet = script(&runtime, &sandbox, "quiet", "while :; do sleep 1; done").await;
    quiet.resources = Resources {
        oom_score_adj: 700,
        ..Default::default()
    };
    quiet.security.seccomp = Profile::RuntimeDefault;
    let quiet_id = launch(&runtime, &sandbox_id, &sandbox, &quiet).await;
    assert_eq!(
        shell(&runtime, &quiet_id, "cat /proc/1/oom_score_adj").await,
        "700"
    );
    assert!(
        shell(&runtime, &quiet_id, "cat /proc/1/status")
            .await
            .contains("Seccomp:\t2")
    );

    runtime.stop_sandbox(&sandbox_id).await.unwrap();
    runtime.remove_sandbox(&sandbox_id).await.unwrap();
    site.finish(runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_those_asked_for() {
    let site = Site::new();
    let runtime = site.start_with_image().await;

    let mut host = site.sandbox("host");
    host.network = NamespaceMode::Node;
    host.pid = NamespaceMode::Node;
    host.ipc = NamespaceMode::Node;
    host.hostname = String::new();
    let sandbox_id = runtime.run_sandbox(&host).await.unwrap();
    let pod = runtime.pod(&host.uid).await.unwrap().unwrap();
    assert!(pod.sandboxes[0].host_network && pod.sandboxes[0].ips.is_empty());
    let container = script(&runtime, &host, "app", "while :; do sleep 1; done").await;
    let id = launch(&runtime, &sandbox_id, &host, &container).await;
    // The machine's process 1 is not the container's shell.
    assert!(
        !shell(&runtime, &id, "cat /proc/1/cmdline")
            .await
            .contains("while")
    );
    // containerd's network is the machine's here.
    assert!(shell(&runtime, &id, "ip link").await.contains("lo:"));

    let mut shared = site.sandbox("shared");
    shared.pid = NamespaceMode::Pod;
    shared.security.privileged = true;
    let shared_id = runtime.run_sandbox(&shared).await.unwrap();
    let mut container = script(&runtime, &shared, "app", "while :; do sleep 1; done").await;
    container.security.privileged = true;
    let id = launch(&runtime, &shared_id, &shared, &container).await;
    assert!(
        shell(&runtime, &id, "cat /proc/1/cmdline")
            .await
            .contains("/pause")
    );
    // Privileged: nothing is masked, and devices of the machine are there.
    assert!(shell(&runtime, &id, "ls /dev").await.contains("kmsg"));

    for id in [sandbox_id, shared_id] {
        runtime.stop_sandbox(&id).await.unwrap();
        runtime.remove_sandbox(&id).await.unwrap();
    }
    site.finish(runtime).await;
}
