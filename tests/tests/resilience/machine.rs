//! What the machine itself says of a cluster's containers, behind the API's back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use minicloud_tests::processes::shims;
use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};
use rustix::process::{Pid, Signal, kill_process};

/// The process id in a file of the run folder.
pub fn pid_of(c: &Cluster, file: &str) -> anyhow::Result<i32> {
    let path = c.run_dir().join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    Ok(text.trim().parse()?)
}

pub fn containerd(c: &Cluster) -> i32 {
    pid_of(c, "containerd/containerd.pid").unwrap_or_else(|e| panic!("{e:#}"))
}

pub fn send(pid: i32, signal: Signal) {
    let sent = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
    assert!(matches!(sent, Some(Ok(()))), "process {pid}: {sent:?}");
}

/// The processes of every running container and sandbox, by its id.
pub fn tasks(c: &Cluster) -> anyhow::Result<BTreeMap<String, String>> {
    let list = c.ctr("tasks list")?;
    let running = list.lines().filter(|line| line.contains("RUNNING"));
    Ok(running
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect())
}

/// How often each container was restarted, as `POD COUNTS` lines.
pub fn restarts(c: &Cluster) -> String {
    let path = "{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
    c.k(&format!("get pods -o jsonpath='{path}'"))
}

/// Mount points below a folder.
pub fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir) && point != dir)
        .collect()
}

/// The folders of this cluster's cgroup, one in each hierarchy that has it.
pub fn cgroup_roots(c: &Cluster) -> Vec<PathBuf> {
    // Named after the data folder, as the program does it.
    let script = format!("printf %s {} | sha256sum", c.data_dir().display());
    let digest = run(Command::new("sh").args(["-c", &script])).unwrap_or_else(|e| panic!("{e:#}"));
    let name = format!("minicloud-{}", &digest[..8]);
    let top = PathBuf::from("/sys/fs/cgroup");
    let mut roots = children(&top);
    roots.push(top);
    roots.retain(|root| root.join(&name).is_dir());
    roots.iter().map(|root| root.join(&name)).collect()
}

/// A cgroup and those below it, the deepest first.
pub fn cgroups_of(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = children(dir).iter().flat_map(|d| cgroups_of(d)).collect();
    found.push(dir.to_owned());
    found
}

fn pod_cgroups(c: &Cluster) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = cgroup_roots(c).iter().flat_map(|d| cgroups_of(d)).collect();
    all.retain(|dir| {
        dir.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("pod"))
    });
    all
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.path()).filter(|p| p.is_dir()).collect()
}

/// Files in a folder.
fn entries(dir: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The end of containerd's log.
fn end_of_log(c: &Cluster) -> String {
    let log = std::fs::read_to_string(c.data_dir().join("logs/containerd.log"));
    let log = log.unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(40).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// When the API has no pod, the machine has nothing of any.
pub fn nothing_is_left(c: &Cluster) {
    eventually("nothing is left", Duration::from_secs(80), || {
        let pods = c.try_k("get pods -A -o name")?;
        ensure!(pods.is_empty(), "pods: {pods}");
        let containers = c.ctr("containers list --quiet")?;
        ensure!(containers.trim().is_empty(), "containers: {containers}");
        let snapshots = c.ctr("snapshots list")?;
        ensure!(
            !snapshots.contains("Active"),
            "layers of containers: {snapshots}"
        );
        ensure!(
            shims(c).is_empty(),
            "shims: {:?}; containerd says: {}",
            shims(c),
            end_of_log(c)
        );
        // What the agent mounts in is a mount itself.
        let agent = c.run_dir().join("agent");
        let mut mounts = mounts_below(&c.run_dir());
        mounts.retain(|point| *point != agent);
        ensure!(mounts.is_empty(), "mounts: {mounts:?}");
        let mounts = mounts_below(&c.data_dir());
        ensure!(mounts.is_empty(), "mounts: {mounts:?}");
        let links = run(c
            .command("ip")
            .args(["-o", "link", "show", "master", "minicloud0"]))?;
        ensure!(links.is_empty(), "interfaces: {links}");
        let mut addresses = entries(c.data_dir().join("cni/addresses/minicloud"));
        addresses.retain(|name| name.starts_with("10."));
        ensure!(addresses.is_empty(), "addresses: {addresses:?}");
        let dirs = [
            c.data_dir().join("agent/pods"),
            c.run_dir().join("agent/pods"),
            c.data_dir().join("agent/checkpoints"),
            c.data_dir().join("logs/pods"),
            c.run_dir().join("containerd/netns"),
        ];
        for dir in dirs {
            let left = entries(dir.clone());
            ensure!(left.is_empty(), "{}: {left:?}", dir.display());
        }
        let cgroups = pod_cgroups(c);
        ensure!(cgroups.is_empty(), "cgroups: {cgroups:?}");
        Ok(())
    });
}

/// Deletes all pods, and looks that nothing stays.
pub fn clean(c: &Cluster) {
    c.k("delete pods --all --wait=true --timeout=60s");
    nothing_is_left(c);
}
