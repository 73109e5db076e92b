//! Processes of a cluster, told by their command lines.

use crate::Cluster;

/// The processes whose command line holds a word, with all their words.
///
/// # Panics
/// When /proc cannot be read.
pub fn processes_with(word: &str) -> Vec<(i32, Vec<String>)> {
    let entries = std::fs::read_dir("/proc").unwrap_or_else(|e| panic!("{e}"));
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> = text
            .split(|b| *b == 0)
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect();
        words.iter().any(|w| w == word).then_some((pid, words))
    })
    .collect()
}

fn pids(processes: Vec<(i32, Vec<String>)>) -> Vec<i32> {
    processes.into_iter().map(|(pid, _)| pid).collect()
}

/// The shims of a cluster's pods: those that were started for its containerd.
pub fn shims(cluster: &Cluster) -> Vec<i32> {
    let mut found = processes_with(&cluster.containerd_socket().display().to_string());
    found.retain(|(_, words)| words[0].contains("containerd-shim"));
    pids(found)
}

/// The processes of a cluster's DNS: one, unless something is wrong.
pub fn dns(cluster: &Cluster) -> Vec<i32> {
    let file = cluster.run_dir().join("dns.json");
    pids(processes_with(&file.display().to_string()))
}

/// The Prometheus of a cluster, while it runs.
pub fn prometheus(cluster: &Cluster) -> Option<i32> {
    daemon(cluster, "prometheus")
}

/// One of Debian's daemons that a cluster runs, by the name of its folder. Not by `pgrep`: that has the same word in its own command
/// line, and a server that starts would end it as an earlier daemon.
pub fn daemon(cluster: &Cluster, name: &str) -> Option<i32> {
    let web = cluster.run_dir().join(name).join("web.yml");
    let mut found = processes_with(&format!("--web.config.file={}", web.display()));
    // Until it has become the daemon.
    found.retain(|(_, words)| words[0] != "setpriv");
    found.first().map(|(pid, _)| *pid)
}
