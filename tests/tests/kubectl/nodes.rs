//! Nodes: cordon, taint, drain.

use std::time::Duration;

use minicloud_tests::{Cluster, eventually};

/// `cordon`, `uncordon`, `taint` and `drain`.
pub fn nodes_are_cordoned_tainted_and_drained(c: &Cluster) {
    c.says("cordon edge-1", &["node/edge-1 cordoned"]);
    c.says("get nodes", &["Ready,SchedulingDisabled"]);
    c.k("run waiting --image=minicloud.local/busybox:1 --command -- sh -c 'trap exit TERM; sleep 1000 & wait'");
    eventually("the scheduler says why", Duration::from_secs(20), || {
        let events = c.try_k("events --for pod/waiting")?;
        anyhow::ensure!(
            events.contains("0/1 nodes are available: 1 node(s) were unschedulable"),
            "{events}"
        );
        Ok(())
    });
    c.says("uncordon edge-1", &["node/edge-1 uncordoned"]);
    c.k("wait --for=condition=Ready pod/waiting --timeout=30s");
    c.says(
        "taint nodes edge-1 test=yes:NoExecute",
        &["node/edge-1 tainted"],
    );
    c.says(
        "wait --for=delete pod/waiting pod/shell --timeout=60s",
        &["condition met", "condition met"],
    );
    c.says("taint nodes edge-1 test-", &["node/edge-1 untainted"]);

    c.apply(super::APPLICATION);
    c.k("rollout status deployment/web --timeout=60s");
    c.refuses(
        "drain edge-1 --timeout=30s",
        1,
        &["cannot delete", "declare no controller"],
    );
    c.says(
        "drain edge-1 --force --delete-emptydir-data --timeout=60s",
        &["evicting pod default/web-", "node/edge-1 drained"],
    );
    c.says("get pods -l app=web", &["Pending"]);
    c.k("uncordon edge-1");
    c.k("rollout status deployment/web --timeout=60s");
}
