//! A machine made of files: two pods, one of them with the machine's network.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use minicloud_container_metrics::{Exporter, Listed, Member, Pod, Settings};

/// The exporter, its machine, and who says what runs.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    exporter: Exporter,
    pub(crate) listed: Arc<Mutex<Listed>>,
    /// How often somebody was asked what runs.
    pub(crate) asked: Arc<AtomicU32>,
    pub(crate) away: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Hybrid,
    V2,
}

/// The cgroup of the pod `web`, of its container, and of its sandbox.
pub(crate) const WEB: &str = "/minicloud/burstable/podweb-uid";
pub(crate) const NGINX: &str = "/minicloud/burstable/podweb-uid/nginx-id";
const WEB_SANDBOX: &str = "/minicloud/burstable/podweb-uid/web-sandbox";
/// The same of a pod with the machine's network.
const HOST: &str = "/minicloud/podhost-uid";
const HOST_SANDBOX: &str = "/minicloud/podhost-uid/host-sandbox";

const NET: &str = "Inter-|   Receive                                                |  Transmit\n \
                   face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

impl Machine {
    pub(crate) fn new(version: Version) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listed = Arc::new(Mutex::new(listed()));
        let (asked, away) = (
            Arc::new(AtomicU32::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let settings = Settings {
            root: dir.path().to_owned(),
            cgroup_parent: "/minicloud".into(),
            engine_root: PathBuf::from("/nonexistent"),
            lister: {
                let (listed, asked, away) = (listed.clone(), asked.clone(), away.clone());
                Arc::new(move || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let result = match away.load(Ordering::SeqCst) {
                        true => Err("it is away".to_owned()),
                        false => Ok(listed.lock().unwrap().clone()),
                    };
                    async { result }.boxed()
                })
            },
        };
        let machine = Self {
            dir,
            exporter: Exporter::new(settings),
            listed,
            asked,
            away,
        };
        machine.general();
        match version {
            Version::Hybrid => machine.hybrid(),
            Version::V2 => machine.v2(),
        }
        machine
    }

    /// The text of a scrape, without what is the time or the disk of the machine that tests.
    pub(crate) async fn scrape(&self) -> String {
        let text = self.exporter.scrape().await.unwrap().text();
        let own = [
            "container_last_seen",
            "container_fs_usage",
            "container_fs_limit",
        ];
        let kept = text
            .lines()
            .filter(|line| !line.starts_with('#') && !own.iter().any(|o| line.starts_with(o)));
        kept.map(|line| format!("{line}\n")).collect()
    }

    /// The values of a series of the container `nginx`.
    pub(crate) async fn nginx(&self, name: &str) -> Option<f64> {
        let text = self.scrape().await;
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("{name}{{")) && l.contains("container=\"nginx\""))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Files of a cgroup of v2, or of one hierarchy of v1.
    fn cgroup(&self, mount: &str, cgroup: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("/sys/fs/cgroup{mount}{cgroup}/{name}"), text);
        }
    }

    fn general(&self) {
        self.write("/etc/machine-id", "0123456789abcdef\n");
        self.write("/proc/sys/kernel/random/boot_id", "boot-1\n");
        self.write("/sys/devices/system/cpu/online", "0-3\n");
        self.write(
            "/proc/meminfo",
            "MemTotal: 4000000 kB\nMemFree: 1000000 kB\nSwapTotal: 0 kB\n",
        );
        self.write("/proc/stat", "cpu 1 2 3\nbtime 1700000000\n");
        self.write("/sys/dev/block/8:0/uevent", "MAJOR=8\nDEVNAME=sda\n");
        for kind in ["cpu", "memory", "io"] {
            self.write(
                &format!("/proc/pressure/{kind}"),
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\n\
                 full avg10=0.00 avg60=0.00 avg300=0.00 total=6000000\n",
            );
        }
        let lo = "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        let interfaces = "  eth0: 100 10 1 2 0 0 0 0 200 20 3 4 0 0 0 0\nveth12: 5 5 0 0 0 0 0 0 5 5 0 0 0 0 0 0\n";
        self.write("/proc/self/net/dev", format!("{NET}{lo}{interfaces}"));
        self.write("/proc/self/ns/net", "");
        let interfaces = "  eth0: 11 12 13 14 0 0 0 0 15 16 17 18 0 0 0 0\n";
        self.write("/proc/42/net/dev", format!("{NET}{lo}{interfaces}"));
        self.write("/proc/42/ns/net", "");
        self.write("/proc/43/net/dev", format!("{NET}{lo}{interfaces}"));
        std::fs::create_dir_all(self.path("/proc/43/ns")).unwrap();
        std::fs::hard_link(self.path("/proc/self/ns/net"), self.path("/proc/43/ns/net")).unwrap();
    }

    fn hybrid(&self) {
        let mount = |name: &str, kind: &str, options: &str| {
            format!("30 20 0:30 / /sys/fs/cgroup/{name} rw - {kind} {kind} rw{options}\n")
        };
        let mounts = [
            mount("cpu,cpuacct", "cgroup", ",cpu,cpuacct"),
            mount("memory", "cgroup", ",memory"),
            mount("blkio", "cgroup", ",blkio"),
            mount("pids", "cgroup", ",pids"),
            mount("systemd", "cgroup", ",name=systemd"),
            mount("unified", "cgroup2", ""),
        ];
        self.write("/proc/self/mountinfo", mounts.concat());
        self.cgroup("/systemd", "/", &[("cgroup.procs", "")]);
        self.cgroup("/unified", "/", &[("cgroup.controllers", "\n")]);
        let levels = ["/", "/minicloud", "/minicloud/burstable"];
        for (number, cgroup) in levels.iter().enumerate() {
            self.v1(cgroup, 1000 - 100 * number as u64, None);
        }
        self.v1(WEB, 500, None);
        self.v1(NGINX, 300, Some("7\n8\n"));
        self.v1(WEB_SANDBOX, 10, Some("42\n"));
        self.v1(HOST, 50, None);
        self.v1(HOST_SANDBOX, 20, Some("43\n"));
    }

    fn v1(&self, cgroup: &str, size: u64, processes: Option<&str>) {
        let limited = [WEB, NGINX].contains(&cgroup);
        self.cgroup(
            "/cpu,cpuacct",
            cgroup,
            &[
                ("cpuacct.usage", &format!("{}\n", size * 10_000_000)),
                (
                    "cpuacct.stat",
                    &format!("user {size}\nsystem {}\n", size / 2),
                ),
                ("cpu.shares", "102\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("cpu.cfs_quota_us", if limited { "20000\n" } else { "-1\n" }),
                (
                    "cpu.stat",
                    "nr_periods 100\nnr_throttled 40\nthrottled_time 2500000000\nnr_bursts 0\n",
                ),
            ],
        );
        let stat = format!(
            "cache 1\nrss 2\npgfault 30\npgmajfault 3\nhierarchical_memory_limit 9223372036854771712\ntotal_cache {}\n\
             total_rss {}\ntotal_mapped_file 8192\ntotal_swap 0\ntotal_pgfault 60\ntotal_pgmajfault 6\n\
             total_inactive_file 4096\ntotal_active_file 16384\n",
            size * 100,
            size * 200
        );
        let limit = if limited {
            "67108864\n"
        } else {
            "9223372036854771712\n"
        };
        self.cgroup(
            "/memory",
            cgroup,
            &[
                ("memory.stat", &stat),
                ("memory.usage_in_bytes", &format!("{}\n", size * 1000)),
                ("memory.max_usage_in_bytes", &format!("{}\n", size * 2000)),
                ("memory.failcnt", "5\n"),
                ("memory.kmem.usage_in_bytes", "77\n"),
                (
                    "memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
                ),
                ("memory.limit_in_bytes", limit),
                ("memory.memsw.limit_in_bytes", limit),
                ("memory.soft_limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        self.cgroup(
            "/blkio",
            cgroup,
            &[
                (
                    "blkio.throttle.io_service_bytes_recursive",
                    "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Async 2\n8:0 Discard 0\n8:0 Total 12288\nTotal 12288\n",
                ),
                (
                    "blkio.throttle.io_serviced_recursive",
                    "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
                ),
            ],
        );
        self.cgroup(
            "/pids",
            cgroup,
            &[
                ("pids.current", "3\n"),
                ("pids.max", "max\n"),
                ("cgroup.procs", processes.unwrap_or_default()),
            ],
        );
        if cgroup != "/" {
            self.pressure("/unified", cgroup);
        }
    }

    fn pressure(&self, mount: &str, cgroup: &str) {
        for (name, total) in [("cpu", 1_500_000), ("memory", 2_500_000), ("io", 3_500_000)] {
            let text = format!(
                "some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n\
                 full avg10=0.00 avg60=0.00 avg300=0.00 total={}\n",
                total - 1_000_000
            );
            self.cgroup(mount, cgroup, &[(&format!("{name}.pressure"), &text)]);
        }
    }

    fn v2(&self) {
        self.write(
            "/proc/self/mountinfo",
            "30 20 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        // The root has no limits and says less.
        self.cgroup(
            "",
            "/",
            &[
                ("cgroup.procs", "1\n2\n"),
                (
                    "cpu.stat",
                    "usage_usec 9000000\nuser_usec 5000000\nsystem_usec 4000000\n",
                ),
                ("memory.stat", "anon 111\nfile 222\ninactive_file 4096\n"),
                (
                    "io.stat",
                    "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
                ),
            ],
        );
        for (number, cgroup) in ["/minicloud", "/minicloud/burstable"].iter().enumerate() {
            self.of_v2(cgroup, 900 - 100 * number as u64, "");
        }
        self.of_v2(WEB, 500, "");
        self.of_v2(NGINX, 300, "7\n8\n");
        self.of_v2(WEB_SANDBOX, 10, "42\n");
        self.of_v2(HOST, 50, "");
        self.of_v2(HOST_SANDBOX, 20, "43\n");
    }

    fn of_v2(&self, cgroup: &str, size: u64, processes: &str) {
        let limited = [WEB, NGINX].contains(&cgroup);
        let stat = format!(
            "usage_usec {}\nuser_usec {}\nsystem_usec 5000\nnr_periods 100\nnr_throttled 40\nthrottled_usec 2500000\n",
            size * 10_000,
            size * 9_000
        );
        let memory = format!(
            "anon {}\nfile {}\nkernel 77\nfile_mapped 8192\ninactive_file 4096\nactive_file 16384\npgfault 60\npgmajfault 6\n",
            size * 200,
            size * 100
        );
        self.cgroup(
            "",
            cgroup,
            &[
                ("cpu.stat", &stat),
                ("cpu.weight", "4\n"),
                (
                    "cpu.max",
                    if limited {
                        "20000 100000\n"
                    } else {
                        "max 100000\n"
                    },
                ),
                ("memory.stat", &memory),
                ("memory.current", &format!("{}\n", size * 1000)),
                ("memory.peak", &format!("{}\n", size * 2000)),
                ("memory.swap.current", "0\n"),
                ("memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\n"),
                ("memory.max", if limited { "67108864\n" } else { "max\n" }),
                ("memory.swap.max", "max\n"),
                ("memory.min", "0\n"),
                (
                    "io.stat",
                    "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
                ),
                ("pids.current", "3\n"),
                ("pids.max", "max\n"),
                ("cgroup.procs", processes),
            ],
        );
        self.pressure("", cgroup);
    }
}

fn listed() -> Listed {
    let pod = |uid: &str, name: &str| Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: name.into(),
        created_seconds: 1_700_000_100.0,
    };
    let member = |pod_uid: &str, cgroup: &str, container: &str, image: &str| Member {
        pod_uid: pod_uid.into(),
        cgroup: cgroup.into(),
        container: container.into(),
        image: image.into(),
        created_seconds: 1_700_000_200.0,
    };
    Listed {
        pods: vec![pod("web-uid", "web"), pod("host-uid", "host")],
        members: vec![
            member("web-uid", "web-sandbox", "", "pause:1"),
            member(
                "web-uid",
                "nginx-id",
                "nginx",
                "docker.io/library/nginx:latest",
            ),
            member("host-uid", "host-sandbox", "", "pause:1"),
        ],
    }
}
