//! Cluster DNS, a process of its own.

use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::processes::dns;
use minicloud_tests::{Cluster, eventually};
use rustix::process::Signal;

use crate::machine::send;

fn resolves(c: &Cluster) {
    eventually("names resolve", Duration::from_secs(5), || {
        let script =
            "curl --silent --fail --max-time 2 http://steady.default.svc.cluster.local:8080/passwd";
        let page = c.sh("steady", script)?;
        ensure!(page.contains("root"), "{page:?}");
        Ok(())
    });
}

pub fn dies(c: &Cluster) {
    resolves(c);
    for _ in 0..2 {
        let before = dns(c);
        assert_eq!(before.len(), 1, "{before:?}");
        send(before[0], Signal::KILL);
        eventually("another one", Duration::from_secs(5), || {
            let now = dns(c);
            ensure!(now.len() == 1 && now != before, "{now:?}");
            Ok(())
        });
        resolves(c);
    }
}

/// One that hangs is ended, and another takes its place.
pub fn hangs(c: &Cluster) {
    let hung = dns(c);
    assert_eq!(hung.len(), 1, "{hung:?}");
    send(hung[0], Signal::STOP);
    eventually("another one", Duration::from_secs(40), || {
        let now = dns(c);
        ensure!(now.len() == 1 && now != hung, "{now:?}");
        Ok(())
    });
    resolves(c);
}

/// It needs no rights once it has its port.
fn has_no_rights(pid: i32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(field("Uid:"), "65534 65534 65534 65534");
    assert_eq!(field("Gid:"), "65534 65534 65534 65534");
    assert_eq!(field("Groups:"), "");
    for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
}

pub fn is_replaced(c: &mut Cluster) {
    let first = dns(c);
    assert_eq!(first.len(), 1, "{first:?}");
    has_no_rights(first[0]);
    c.stop_server();
    assert_eq!(dns(c), first, "it ended with the server");
    c.start_server();
    c.wait_ready();
    eventually("a new one", Duration::from_secs(5), || {
        let now = dns(c);
        ensure!(now.len() == 1 && now != first, "{now:?}");
        Ok(())
    });
    resolves(c);
    // Changes reach the new one.
    c.k("create service externalname other --external-name steady.default.svc.cluster.local");
    eventually("a new name", Duration::from_secs(5), || {
        c.sh(
            "steady",
            "curl --silent --fail --max-time 2 http://other.default.svc.cluster.local:8080/passwd",
        )
    });
}
