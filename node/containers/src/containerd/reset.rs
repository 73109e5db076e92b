//! Taking everything away again: pods, engine, mounts, cgroups, files.
//!
//! Know before changing: this runs when things are half broken, so every step goes on after a failure of the one before
//! and the report names what stayed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use minicloud_cri::Client;
use minicloud_cri::v1::PodSandboxFilter;
use rustix::mount::UnmountFlags;

use super::process;
use crate::cgroups::Cgroups;
use crate::config::Containerd;
use crate::shims;

/// What a [`reset`] did and could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResetReport {
    /// Pods that were removed by the engine, with their networks.
    pub pods: usize,
    /// What is left, and why, in words for a person.
    pub problems: Vec<String>,
}

/// Removes every pod, ends containerd and whatever it started, and deletes its folders and our cgroups.
///
/// Nothing else may be using this containerd; the server must not run.
pub async fn reset(config: &Containerd, cgroup_parent: &str) -> ResetReport {
    let mut report = ResetReport::default();
    if let Some(process) = process::find(config).await {
        let mut failed = remove_pods(config, &mut report).await;
        if !failed.is_empty() {
            // Shims hold what the engine cannot remove, such as a container that it does not know to run.
            let of = config.clone();
            let _ = tokio::task::spawn_blocking(move || kill_shims(&of)).await;
            failed = remove_pods(config, &mut report).await;
        }
        report.problems.extend(failed);
        if let Err(error) = process.stop().await {
            report.problems.push(error.to_string());
        }
    }
    let cgroups = Cgroups::detect(cgroup_parent);
    let config = config.clone();
    let rest = tokio::task::spawn_blocking(move || {
        let mut problems = Vec::new();
        kill_shims(&config);
        match cgroups {
            Ok(cgroups) => problems.extend(cgroups.reset().err().map(words)),
            Err(error) => problems.push(format!("cannot see the cgroups: {error}")),
        }
        for dir in [&config.state, &config.root] {
            problems.extend(unmount_below(dir));
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    problems.push(format!("cannot remove {}: {error}", dir.display()));
                }
                _ => {}
            }
        }
        // Its shims' sockets are at this fixed place, which another containerd may be using too.
        for dir in ["/run/containerd/s", "/run/containerd"] {
            let _ = fs::remove_dir(dir);
        }
        problems
    });
    match rest.await {
        Ok(problems) => report.problems.extend(problems),
        Err(error) => report.problems.push(error.to_string()),
    }
    report
}

/// Through the engine, since only it gives addresses and port mappings back. Says what it could not remove.
async fn remove_pods(config: &Containerd, report: &mut ResetReport) -> Vec<String> {
    let client = Client::new(&config.socket());
    let sandboxes = match client.list_pod_sandbox(PodSandboxFilter::default()).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => return vec![format!("pods were not removed in order: {error}")],
    };
    let client = &client;
    let results: Vec<_> = stream::iter(sandboxes)
        .map(|sandbox| async move {
            client.stop_pod_sandbox(&sandbox.id).await?;
            client.remove_pod_sandbox(&sandbox.id).await
        })
        .buffer_unordered(8)
        .collect()
        .await;
    report.pods += results.iter().filter(|result| result.is_ok()).count();
    let failed = results.into_iter().filter_map(Result::err);
    failed.map(|error| error.to_string()).collect()
}

/// Shims hold the containers whose removal failed.
fn kill_shims(config: &Containerd) {
    let shims = shims::of(&config.socket());
    for (shim, _) in &shims {
        shims::kill(*shim);
    }
    if !shims.is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn unmount_below(dir: &Path) -> Vec<String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts_below(&mountinfo, dir)
        .into_iter()
        .filter_map(
            |point| match rustix::mount::unmount(&point, UnmountFlags::DETACH) {
                Ok(()) => None,
                Err(error) => Some(format!("cannot unmount {}: {error}", point.display())),
            },
        )
        .collect()
}

/// Mount points at or below a folder, the last mounted first.
fn mounts_below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(dir))
        .collect();
    points.reverse();
    points
}

fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_come_last_first() {
        let text = "1 0 0:1 / / rw - ext4 d rw\n\
                    2 1 0:2 / /d/a rw - overlay o rw\n\
                    3 2 0:3 / /d/a/b\\040c rw - proc p rw\n\
                    4 1 0:4 / /data rw - tmpfs t rw\n";
        assert_eq!(
            mounts_below(text, Path::new("/d")),
            [PathBuf::from("/d/a/b c"), PathBuf::from("/d/a")]
        );
    }
}
