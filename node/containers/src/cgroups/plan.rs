//! What to make and write for a pod's cgroup. Pure.

use std::path::{Path, PathBuf};

use minicloud_agent::runtime::Resources;

use super::layout::Layout;

/// One thing to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a folder and those above it.
    MakeDir(PathBuf),
    /// Write a file. What is not `required` (a controller that this kernel lacks) may fail.
    Write {
        /// Which.
        file: PathBuf,
        /// What.
        value: String,
        /// Whether failure is the pod's.
        required: bool,
    },
    /// Fill an empty v1 cpuset file from the level above.
    Inherit(PathBuf),
}

/// The controllers that pods are given on v2.
const CONTROLLERS: &[&str] = &["cpu", "cpuset", "io", "memory", "pids"];
/// The longest and shortest period the kernel takes, in microseconds.
const PERIOD_US: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

/// A cgroup path below a hierarchy's root.
pub fn below(root: &Path, cgroup: &str) -> PathBuf {
    root.join(cgroup.trim_start_matches('/'))
}

/// The file that holds a cgroup's weight, in which hierarchy, and its largest value.
pub fn weight_file(layout: &Layout) -> Option<(&Path, &'static str, u64)> {
    match layout {
        Layout::V2(root) => Some((root, "cpu.weight", 10_000)),
        Layout::V1(_) => layout
            .v1_root("cpu")
            .map(|root| (root, "cpu.shares", 262_144)),
        Layout::None => None,
    }
}

/// Steps that make `cgroup` (absolute) and set the pod's limits. Repeating them is harmless.
pub fn create(layout: &Layout, cgroup: &str, resources: &Resources) -> Vec<Step> {
    match layout {
        Layout::V2(root) => v2(root, cgroup, resources),
        Layout::V1(_) => v1(layout, cgroup, resources),
        Layout::None => Vec::new(),
    }
}

/// `cgroup` and the levels above it below the root, from the top.
fn levels(root: &Path, cgroup: &str) -> Vec<PathBuf> {
    let mut dir = root.to_owned();
    cgroup
        .split('/')
        .filter(|name| !name.is_empty())
        .map(|name| {
            dir.push(name);
            dir.clone()
        })
        .collect()
}

fn v1(layout: &Layout, cgroup: &str, resources: &Resources) -> Vec<Step> {
    let mut steps: Vec<Step> = layout
        .roots()
        .map(|root| Step::MakeDir(below(root, cgroup)))
        .collect();
    let mut write = |dir: &Path, name: &str, value: String, required| {
        steps.push(Step::Write {
            file: dir.join(name),
            value,
            required,
        });
    };
    if let Some(root) = layout.v1_root("cpu") {
        if let Some(level) = best_effort_level(cgroup) {
            write(&below(root, level), "cpu.shares", "2".into(), false);
        }
        let dir = below(root, cgroup);
        write(
            &dir,
            "cpu.shares",
            resources.cpu_shares.clamp(2, 262_144).to_string(),
            true,
        );
        if let Some((quota, period)) = quota(resources) {
            write(&dir, "cpu.cfs_period_us", period.to_string(), true);
            write(&dir, "cpu.cfs_quota_us", quota.to_string(), true);
        }
    }
    if let (Some(root), Some(limit)) = (layout.v1_root("memory"), memory(resources)) {
        write(
            &below(root, cgroup),
            "memory.limit_in_bytes",
            limit.to_string(),
            true,
        );
    }
    if let Some(root) = layout.v1_root("cpuset") {
        for dir in levels(root, cgroup) {
            steps.push(Step::Inherit(dir.join("cpuset.cpus")));
            steps.push(Step::Inherit(dir.join("cpuset.mems")));
        }
    }
    steps
}

fn v2(root: &Path, cgroup: &str, resources: &Resources) -> Vec<Step> {
    let mut steps = Vec::new();
    let levels = levels(root, cgroup);
    // Controllers are enabled for the children of each level; one at a time, since one that is missing fails the whole line.
    for level in std::iter::once(root).chain(levels.iter().map(PathBuf::as_path)) {
        if level != root {
            steps.push(Step::MakeDir(level.to_owned()));
        }
        for controller in CONTROLLERS {
            let value = format!("+{controller}");
            steps.push(Step::Write {
                file: level.join("cgroup.subtree_control"),
                value,
                required: false,
            });
        }
    }
    let mut write = |dir: &Path, name: &str, value: String, required| {
        steps.push(Step::Write {
            file: dir.join(name),
            value,
            required,
        });
    };
    if let Some(level) = best_effort_level(cgroup) {
        write(&below(root, level), "cpu.weight", "1".into(), false);
    }
    let dir = below(root, cgroup);
    write(
        &dir,
        "cpu.weight",
        weight(resources.cpu_shares).to_string(),
        false,
    );
    if let Some((quota, period)) = quota(resources) {
        write(&dir, "cpu.max", format!("{quota} {period}"), true);
    }
    if let Some(limit) = memory(resources) {
        write(&dir, "memory.max", limit.to_string(), true);
    }
    steps
}

/// The level that yields to everything else.
fn best_effort_level(cgroup: &str) -> Option<&str> {
    let (level, _) = cgroup.rsplit_once('/')?;
    level.ends_with("/besteffort").then_some(level)
}

fn quota(resources: &Resources) -> Option<(i64, u64)> {
    let quota = resources.cpu_quota_us.filter(|quota| *quota > 0)?;
    let period = match resources.cpu_period_us {
        0 => 100_000,
        period => period.clamp(*PERIOD_US.start(), *PERIOD_US.end()),
    };
    // The kernel's least quota.
    Some((quota.max(1_000), period))
}

fn memory(resources: &Resources) -> Option<i64> {
    resources.memory_limit_bytes.filter(|limit| *limit > 0)
}

/// v1's shares (2 to 262144) as v2's weight (1 to 10000): the conversion runc and Kubernetes use.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::layout::Hierarchy;

    fn show(steps: &[Step]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::MakeDir(dir) => format!("mkdir {}", dir.display()),
                Step::Write {
                    file,
                    value,
                    required,
                } => {
                    format!(
                        "{} {value}{}",
                        file.display(),
                        if *required { "" } else { " ?" }
                    )
                }
                Step::Inherit(file) => format!("inherit {}", file.display()),
            })
            .collect()
    }

    fn limits() -> Resources {
        Resources {
            cpu_shares: 512,
            cpu_quota_us: Some(50_000),
            cpu_period_us: 100_000,
            memory_limit_bytes: Some(1024),
            oom_score_adj: 0,
        }
    }

    #[test]
    fn v1_sets_limits_where_the_controllers_are() {
        let hierarchy = |name: &str, controllers: &[&str]| Hierarchy {
            root: Path::new("/c").join(name),
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        };
        let layout = Layout::V1(vec![
            hierarchy("cpu", &["cpu"]),
            hierarchy("cpuset", &["cpuset"]),
            hierarchy("mem", &["memory"]),
            hierarchy("systemd", &[]),
        ]);
        assert_eq!(
            show(&create(&layout, "/mc/podA", &limits())),
            [
                "mkdir /c/cpu/mc/podA",
                "mkdir /c/cpuset/mc/podA",
                "mkdir /c/mem/mc/podA",
                "mkdir /c/systemd/mc/podA",
                "/c/cpu/mc/podA/cpu.shares 512",
                "/c/cpu/mc/podA/cpu.cfs_period_us 100000",
                "/c/cpu/mc/podA/cpu.cfs_quota_us 50000",
                "/c/mem/mc/podA/memory.limit_in_bytes 1024",
                "inherit /c/cpuset/mc/cpuset.cpus",
                "inherit /c/cpuset/mc/cpuset.mems",
                "inherit /c/cpuset/mc/podA/cpuset.cpus",
                "inherit /c/cpuset/mc/podA/cpuset.mems",
            ]
        );
        let layout = Layout::V1(vec![hierarchy("cpu", &["cpu"])]);
        assert_eq!(
            show(&create(
                &layout,
                "/mc/besteffort/podA",
                &Resources::default()
            )),
            [
                "mkdir /c/cpu/mc/besteffort/podA",
                "/c/cpu/mc/besteffort/cpu.shares 2 ?",
                "/c/cpu/mc/besteffort/podA/cpu.shares 2",
            ]
        );
    }

    #[test]
    fn v2_enables_controllers_from_the_top() {
        let steps = show(&create(&Layout::V2("/c".into()), "/mc/podA", &limits()));
        let enable = |dir: &str| -> Vec<String> {
            CONTROLLERS
                .iter()
                .map(|c| format!("{dir}/cgroup.subtree_control +{c} ?"))
                .collect()
        };
        let mut expect = enable("/c");
        expect.push("mkdir /c/mc".into());
        expect.extend(enable("/c/mc"));
        expect.push("mkdir /c/mc/podA".into());
        expect.extend(enable("/c/mc/podA"));
        expect.push("/c/mc/podA/cpu.weight 20 ?".into());
        expect.push("/c/mc/podA/cpu.max 50000 100000".into());
        expect.push("/c/mc/podA/memory.max 1024".into());
        assert_eq!(steps, expect);
    }

    #[test]
    fn weights_are_those_of_runc() {
        for (shares, expect) in [
            (0, 1),
            (2, 1),
            (1024, 39),
            (512, 20),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), expect, "{shares}");
        }
    }

    #[test]
    fn what_is_not_set_is_not_written() {
        assert_eq!(quota(&Resources::default()), None);
        assert_eq!(
            quota(&Resources {
                cpu_quota_us: Some(-1),
                ..Default::default()
            }),
            None
        );
        assert_eq!(
            quota(&Resources {
                cpu_quota_us: Some(5),
                ..Default::default()
            }),
            Some((1000, 100_000))
        );
        assert_eq!(
            memory(&Resources {
                memory_limit_bytes: Some(0),
                ..Default::default()
            }),
            None
        );
        assert!(create(&Layout::None, "/mc/podA", &limits()).is_empty());
    }
}
