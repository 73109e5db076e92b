//! What a pod is promised, on a real node: its containers' lives, what they see, what they may do, whom they reach.
//!
//! One cluster serves all: every topic's manifest is applied at the start, so that what takes its time (back-off, volumes that
//! follow their source) does so beside the rest, and then each step looks at its own pods.

mod access;
mod environment;
mod lifecycle;
mod network;
mod restarts;
mod security;
mod services;
mod volumes;

use minicloud_tests::images::busybox;
use minicloud_tests::walk::Step;
use minicloud_tests::{Cluster, walk};

#[test]
fn pods_get_what_they_are_promised() {
    let cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    let manifests = [
        lifecycle::PODS,
        restarts::PODS,
        environment::PODS,
        volumes::PODS,
        security::PODS,
        network::PODS,
        services::PODS,
        access::PODS,
    ];
    // A folder of the machine for what containers leave behind when they are gone.
    let manifest = manifests
        .join("\n---\n")
        .replace("@host@", &host_dir(&cluster));
    cluster.apply(&manifest);
    let steps: &[Step] = &[
        ("init containers", lifecycle::init_containers_run_in_order),
        (
            "sidecars",
            lifecycle::sidecars_serve_until_the_last_container_ends,
        ),
        ("ends", lifecycle::ended_pods_say_how_they_ended),
        (
            "environment",
            environment::values_come_from_where_they_are_said_to,
        ),
        (
            "missing sources",
            environment::pods_wait_for_what_they_refer_to,
        ),
        ("volumes", volumes::every_kind_of_volume_is_mounted),
        ("claims", volumes::claims_keep_their_data),
        ("bad volumes", volumes::what_cannot_be_mounted_is_told),
        (
            "security",
            security::containers_get_the_rights_they_ask_for_and_no_more,
        ),
        ("sharing", security::namespaces_are_shared_when_asked_for),
        ("names", network::names_are_resolved),
        ("host", network::the_hosts_network_and_ports_are_used),
        ("services", services::services_reach_their_pods),
        ("readiness", services::only_ready_pods_are_reached),
        ("affinity", services::clients_stay_with_their_pod),
        ("tokens", access::tokens_work_inside_pods),
        ("nodes", access::nodes_see_only_what_is_their_own),
        ("restarts", restarts::containers_restart_with_back_off),
        ("probes", restarts::probes_restart_what_hangs),
        (
            "memory",
            restarts::memory_limits_hold_and_their_breach_is_told,
        ),
        ("updates", volumes::volumes_follow_their_source),
        ("deletion", lifecycle::deletion_gives_time_and_runs_hooks),
        ("namespaces", access::namespaces_end_with_all_they_hold),
    ];
    walk(&cluster, steps);
}

/// The folder that `@host@` stands for in manifests.
fn host_dir(cluster: &Cluster) -> String {
    let dir = cluster.scratch().join("host");
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{e}"));
    dir.display().to_string()
}

/// Waits until the pod is ready.
fn ready(c: &Cluster, pod: &str) {
    c.k(&format!(
        "wait --for=condition=Ready pod/{pod} --timeout=60s"
    ));
}

/// Waits until a field of a pod, by JSONPath, has a value.
fn becomes(c: &Cluster, pod: &str, path: &str, wanted: &str) {
    minicloud_tests::eventually(
        &format!("{path} of {pod}"),
        std::time::Duration::from_secs(60),
        || {
            let value = c.try_k(&format!("get pod {pod} -o jsonpath='{path}'"))?;
            anyhow::ensure!(value == wanted, "{value:?}, not {wanted:?}");
            Ok(())
        },
    );
}
