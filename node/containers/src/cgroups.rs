//! The pod's cgroup: made before its sandbox, given the pod's limits, and removed after it.
//!
//! The runtime makes the containers' cgroups inside. What to make and write is planned purely ([`plan`]) from where the
//! hierarchies are mounted ([`layout`]); only this file touches them. Know before changing: cgroup files answer to order (the
//! period before the quota, controllers enabled from the top down), which the plan keeps.

pub mod layout;
pub mod plan;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minicloud_agent::runtime::Resources;

pub use layout::Layout;
use plan::Step;

/// How long a cgroup may stay busy after its last process was killed.
const SETTLE: Duration = Duration::from_secs(2);

/// Why a cgroup could not be made, limited or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct CgroupError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The cgroup hierarchies of this machine and the folder of ours in them. Calls block for some system calls' time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    layout: Layout,
    parent: String,
}

impl Cgroups {
    /// Looks at what is mounted. `parent` is the absolute cgroup path of ours, as `/minicloud`.
    pub fn detect(parent: &str) -> io::Result<Self> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Cgroups {
            layout: Layout::from_mountinfo(&mountinfo),
            parent: parent.to_owned(),
        })
    }

    /// Where the hierarchies are mounted.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The cgroup path of ours.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// Makes the cgroup `path` (see [`crate::translate::cgroup_path`]) if it is not there, and sets the pod's limits.
    pub fn create(&self, path: &str, resources: &Resources) -> Result<(), CgroupError> {
        for step in plan::create(&self.layout, path, resources) {
            self.carry_out(step)?;
        }
        self.weigh(path);
        Ok(())
    }

    /// Removes the cgroup `path` with what is below it. Processes in it must have ended, or be about to.
    pub fn remove(&self, path: &str) -> Result<(), CgroupError> {
        // Never the hierarchy itself, nor what is not ours.
        if !path.starts_with(&format!("{}/", self.parent.trim_end_matches('/')))
            || path.contains("/..")
        {
            let source = io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not below the cgroup parent",
            );
            return Err(CgroupError {
                action: "remove",
                path: PathBuf::from(path),
                source,
            });
        }
        for root in self.layout.roots() {
            remove_tree(&plan::below(root, path))?;
        }
        self.weigh(path);
        Ok(())
    }

    /// Removes everything of ours in every hierarchy, killing the processes in it.
    pub fn reset(&self) -> Result<(), CgroupError> {
        if self.parent.trim_matches('/').is_empty() {
            return Ok(());
        }
        for root in self.layout.roots() {
            let ours = plan::below(root, &self.parent);
            for dir in folders(&ours) {
                kill_all(&dir);
            }
            remove_tree(&ours)?;
        }
        Ok(())
    }

    /// Process ids in the cgroup `path` and below, in any hierarchy.
    pub fn processes(&self, path: &str) -> Vec<i32> {
        let mut found: Vec<i32> = self
            .layout
            .roots()
            .flat_map(|root| folders(&plan::below(root, path)))
            .flat_map(|dir| processes(&dir))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Gives the level above a pod the sum of its pods' weights. Only a matter of fairness, so failure is passed over.
    fn weigh(&self, path: &str) {
        let Some((level, _)) = path.rsplit_once('/') else {
            return;
        };
        if !level.ends_with("/burstable") {
            return;
        }
        let Some((root, file, most)) = plan::weight_file(&self.layout) else {
            return;
        };
        let dir = plan::below(root, level);
        let Ok(entries) = std::fs::read_dir(&dir) else {
            return;
        };
        let sum: u64 = entries
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join(file)).ok())
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .sum();
        let _ = std::fs::write(dir.join(file), sum.clamp(2, most).to_string());
    }

    fn carry_out(&self, step: Step) -> Result<(), CgroupError> {
        let (action, path, result) = match &step {
            Step::MakeDir(dir) => ("make the cgroup", dir, std::fs::create_dir_all(dir)),
            Step::Write {
                file,
                value,
                required: _,
            } => ("write the cgroup file", file, std::fs::write(file, value)),
            Step::Inherit(file) => ("write the cgroup file", file, inherit(file)),
        };
        match (result, &step) {
            (Ok(()), _) => Ok(()),
            (
                Err(error),
                Step::Write {
                    required: false, ..
                },
            ) => {
                tracing::debug!(file = %path.display(), %error, "cgroup file not written");
                Ok(())
            }
            (Err(source), _) => Err(CgroupError {
                action,
                path: path.clone(),
                source,
            }),
        }
    }
}

/// cpuset on v1: a new cgroup has no processors until it is told, and takes no process before.
fn inherit(file: &Path) -> io::Result<()> {
    if !std::fs::read_to_string(file)?.trim().is_empty() {
        return Ok(());
    }
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let above = dir.parent().unwrap_or(dir).join(name);
    std::fs::write(file, std::fs::read_to_string(above)?.trim())
}

/// `dir` and the folders below it, the deepest first.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        open.extend(
            entries
                .flatten()
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                .map(|e| e.path()),
        );
        found.push(dir);
    }
    found.reverse();
    found
}

fn processes(dir: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

fn kill_all(dir: &Path) {
    for pid in processes(dir) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Removes cgroup folders, the deepest first; one whose last process is still on its way out is busy for a moment.
fn remove_tree(dir: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + SETTLE;
    for dir in folders(dir) {
        loop {
            match std::fs::remove_dir(&dir) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(source) => {
                    return Err(CgroupError {
                        action: "remove the cgroup",
                        path: dir,
                        source,
                    });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use layout::Hierarchy;

    /// A folder on a usual file system stands in for the kernel's: it shows that the right things are made and removed.
    #[test]
    fn creates_weighs_and_removes() {
        let dir = tempfile::tempdir().unwrap();
        let cpu = dir.path().join("cpu");
        let memory = dir.path().join("memory");
        let layout = Layout::V1(vec![
            Hierarchy {
                root: cpu.clone(),
                controllers: vec!["cpu".into()],
            },
            Hierarchy {
                root: memory.clone(),
                controllers: vec!["memory".into()],
            },
        ]);
        let cgroups = Cgroups {
            layout,
            parent: "/mc".into(),
        };
        let resources = Resources {
            cpu_shares: 512,
            memory_limit_bytes: Some(1024),
            ..Default::default()
        };
        cgroups.create("/mc/burstable/podA", &resources).unwrap();
        cgroups.create("/mc/burstable/podB", &resources).unwrap();
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(cpu.join("mc/burstable/podA/cpu.shares")), "512");
        assert_eq!(
            read(memory.join("mc/burstable/podA/memory.limit_in_bytes")),
            "1024"
        );
        assert_eq!(read(cpu.join("mc/burstable/cpu.shares")), "1024");
        for wrong in ["/mc", "/other/podA", "/mc/../x", "/"] {
            assert!(cgroups.remove(wrong).is_err(), "{wrong}");
        }
        // On a real hierarchy the files vanish with their folder.
        std::fs::remove_file(cpu.join("mc/burstable/podA/cpu.shares")).unwrap();
        std::fs::remove_file(memory.join("mc/burstable/podA/memory.limit_in_bytes")).unwrap();
        cgroups.remove("/mc/burstable/podA").unwrap();
        cgroups.remove("/mc/burstable/podA").unwrap();
        assert!(!cpu.join("mc/burstable/podA").exists());
        assert_eq!(read(cpu.join("mc/burstable/cpu.shares")), "512");
    }
}
