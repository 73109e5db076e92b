//! Where the cgroup hierarchies are: one (v2), or one for each controller (v1, also beside an empty v2: "hybrid").

use std::path::{Path, PathBuf};

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy with every controller.
    V2(PathBuf),
    /// A hierarchy for each controller or pair of them; that of systemd and an empty v2 among them, with no controllers.
    V1(Vec<Hierarchy>),
    /// Nothing: pods run without limits of their own.
    None,
}

/// One mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where.
    pub root: PathBuf,
    /// Which controllers; none for a named hierarchy.
    pub controllers: Vec<String>,
}

/// What of a v1 mount's options is no controller.
const OPTIONS: &[&str] = &[
    "rw",
    "ro",
    "none",
    "xattr",
    "clone_children",
    "noprefix",
    "cpuset_v2_mode",
    "favordynmods",
];

impl Layout {
    /// Reads `/proc/self/mountinfo`. Any v1 controller makes it v1, since the controllers are then not v2's.
    pub fn from_mountinfo(text: &str) -> Self {
        let mut v1: Vec<Hierarchy> = Vec::new();
        let mut v2: Option<PathBuf> = None;
        for line in text.lines() {
            let Some((before, after)) = line.split_once(" - ") else {
                continue;
            };
            let (Some(root), Some(point)) = (before.split(' ').nth(3), before.split(' ').nth(4))
            else {
                continue;
            };
            // A part of a hierarchy that is bound elsewhere (into a container's root) is not where paths begin.
            if root != "/" {
                continue;
            }
            let point = PathBuf::from(unescape(point));
            let mut after = after.split(' ');
            match after.next() {
                Some("cgroup2") => v2 = v2.or(Some(point)),
                Some("cgroup") => {
                    let options = after.nth(1).unwrap_or_default();
                    let controllers: Vec<String> = options
                        .split(',')
                        .filter(|option| !OPTIONS.contains(option) && !option.contains('='))
                        .map(str::to_owned)
                        .collect();
                    let again = v1.iter().any(|h| {
                        h.root == point || (h.controllers == controllers && !controllers.is_empty())
                    });
                    if !again {
                        v1.push(Hierarchy {
                            root: point,
                            controllers,
                        });
                    }
                }
                _ => {}
            }
        }
        match (
            v1.iter().any(|hierarchy| !hierarchy.controllers.is_empty()),
            v2,
        ) {
            (true, v2) => {
                v1.extend(v2.map(|root| Hierarchy {
                    root,
                    controllers: Vec::new(),
                }));
                Layout::V1(v1)
            }
            (false, Some(root)) => Layout::V2(root),
            (false, None) => Layout::None,
        }
    }

    /// Whether v2's controllers are in use.
    pub fn is_v2(&self) -> bool {
        matches!(self, Layout::V2(_))
    }

    /// Every hierarchy's root.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let (one, many) = match self {
            Layout::V2(root) => (Some(root.as_path()), [].as_slice()),
            Layout::V1(hierarchies) => (None, hierarchies.as_slice()),
            Layout::None => (None, [].as_slice()),
        };
        one.into_iter()
            .chain(many.iter().map(|hierarchy| hierarchy.root.as_path()))
    }

    /// Where a v1 controller is.
    pub fn v1_root(&self, controller: &str) -> Option<&Path> {
        match self {
            Layout::V1(hierarchies) => hierarchies
                .iter()
                .find(|hierarchy| hierarchy.controllers.iter().any(|c| c == controller))
                .map(|hierarchy| hierarchy.root.as_path()),
            _ => None,
        }
    }
}

/// mountinfo writes blanks and backslashes in octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_is_v1() {
        let layout = Layout::from_mountinfo(
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             36 31 0:32 /docker/1 /var/lib/x/memory rw - cgroup cgroup rw,memory\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(
            layout.v1_root("cpuacct"),
            Some(Path::new("/sys/fs/cgroup/cpu,cpuacct"))
        );
        assert_eq!(
            layout.v1_root("memory"),
            Some(Path::new("/sys/fs/cgroup/memory"))
        );
        assert_eq!(layout.v1_root("pids"), None);
        let roots: Vec<String> = layout
            .roots()
            .map(|root| root.display().to_string())
            .collect();
        assert_eq!(
            roots,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/unified"
            ]
        );
    }

    #[test]
    fn v2_alone_is_v2() {
        let layout = Layout::from_mountinfo(
            "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
        );
        assert_eq!(layout, Layout::V2("/sys/fs/cgroup".into()));
        assert_eq!(layout.roots().count(), 1);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "garbage", "1 2 0:1 / / rw - ext4 /dev/vda rw\n"] {
            assert_eq!(Layout::from_mountinfo(text), Layout::None, "{text}");
        }
    }
}
