//! `minicloud doctor`: what this host has, what it lacks, and what to do about it.
//!
//! Every check is a function that looks and returns a [`Finding`]; nothing is changed.

mod daemons;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde::Serialize;

use crate::cli::{DoctorArgs, Output};
use crate::output;
use crate::settings::Settings;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    /// It works, with less.
    Warning,
    /// It does not work.
    Failed,
}

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    found: String,
    /// What to do; empty when all is well.
    remedy: String,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            found: found.into(),
            remedy: String::new(),
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Warning,
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn failed(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Failed,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// Checks and prints; fails when something does not work.
pub fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let settings = args.flags.resolve()?;
    let findings = examine(&settings);
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|f| {
            let mark = match f.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Failed => "FAILED",
            };
            vec![f.check.to_owned(), mark.to_owned(), f.found.clone()]
        })
        .collect();
    output::print(args.output, &["CHECK", "RESULT", "FOUND"], &rows, &findings)?;
    if args.output == Output::Table {
        for finding in findings.iter().filter(|f| f.level != Level::Ok) {
            println!(
                "\n{}: {}\n  -> {}",
                finding.check, finding.found, finding.remedy
            );
        }
    }
    let failed = findings.iter().any(|f| f.level == Level::Failed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![
        root(),
        kernel(),
        cgroups(),
        overlay(),
        bridge_netfilter(),
        nftables(),
    ];
    if settings.container_runtime_endpoint.is_none() {
        findings.push(programs(
            "containers",
            &["containerd", "ctr", "runc"],
            "containerd runc",
        ));
        findings.push(cni_plugins());
    }
    findings.push(programs(
        "network tools",
        &["ip", "nft", "iptables"],
        "iproute2 nftables iptables",
    ));
    findings.push(conntrack());
    findings.push(programs("image tools", &["mmdebstrap"], "mmdebstrap"));
    findings.extend(daemons::findings(settings));
    findings.push(ports(settings));
    findings.push(ranges(settings));
    findings.push(disk(settings));
    findings.push(memory());
    findings.push(clock());
    findings
}

fn root() -> Finding {
    if rustix::process::geteuid().is_root() {
        Finding::ok("privileges", "root")
    } else {
        Finding::failed(
            "privileges",
            "not root",
            "run as root: namespaces, cgroups and nftables need it",
        )
    }
}

fn kernel() -> Finding {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let missing: Vec<&str> = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
        .into_iter()
        .filter(|ns| !Path::new("/proc/self/ns").join(ns).exists())
        .collect();
    if missing.is_empty() {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        let found = format!(
            "Linux {release} without the namespaces {}",
            missing.join(", ")
        );
        Finding::failed(
            "kernel",
            found,
            "boot a kernel with namespaces; Debian's has them",
        )
    }
}

fn cgroups() -> Finding {
    let root = Path::new("/sys/fs/cgroup");
    if let Ok(controllers) = std::fs::read_to_string(root.join("cgroup.controllers")) {
        let missing: Vec<&str> = ["cpu", "memory", "pids"]
            .into_iter()
            .filter(|c| !controllers.split_whitespace().any(|x| x == *c))
            .collect();
        return if missing.is_empty() {
            Finding::ok("cgroups", "version 2")
        } else {
            Finding::failed(
                "cgroups",
                format!("version 2 without {}", missing.join(", ")),
                "enable the controllers; on a Raspberry Pi add `cgroup_enable=memory` to /boot/firmware/cmdline.txt and reboot",
            )
        };
    }
    let missing: Vec<&str> = ["cpu", "memory", "pids", "cpuset"]
        .into_iter()
        .filter(|c| !root.join(c).join("tasks").exists())
        .collect();
    if missing.is_empty() {
        Finding::ok("cgroups", "version 1 (no pressure figures per pod)")
    } else {
        Finding::failed(
            "cgroups",
            format!("version 1 without {}", missing.join(", ")),
            "mount the cgroup file systems, e.g. by the package cgroupfs-mount",
        )
    }
}

fn overlay() -> Finding {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known
        .lines()
        .any(|l| l.trim_start_matches("nodev").trim() == "overlay")
    {
        Finding::ok("overlayfs", "there")
    } else if can_load("overlay") {
        Finding::ok("overlayfs", "a module, loaded when needed")
    } else {
        Finding::failed(
            "overlayfs",
            "missing",
            "load it: `modprobe overlay`, and add `overlay` to /etc/modules",
        )
    }
}

/// True when the kernel's module of this name can be loaded; mounting and the server do so on a fresh machine.
fn can_load(module: &str) -> bool {
    Command::new("modprobe")
        .args(["--dry-run", "--quiet", module])
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn bridge_netfilter() -> Finding {
    if Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
        Finding::ok("bridge filter", "there")
    } else if can_load("br_netfilter") {
        Finding::ok("bridge filter", "a module, loaded when needed")
    } else {
        Finding::failed(
            "bridge filter",
            "missing",
            "load it: `modprobe br_netfilter`, and add `br_netfilter` to /etc/modules",
        )
    }
}

fn nftables() -> Finding {
    let output = Command::new("nft")
        .args(["list", "tables"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Finding::ok("nftables", "answers"),
        Ok(output) => Finding::failed(
            "nftables",
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            "run as root, and load the kernel module nf_tables",
        ),
        Err(_) => Finding::failed("nftables", "nft is missing", "apt-get install nftables"),
    }
}

/// Where a program is, looked for as the shell does, with root's folders added.
fn find(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| Path::new(folder).join(program).is_file())
}

fn programs(check: &'static str, names: &[&str], packages: &str) -> Finding {
    let missing: Vec<&str> = names.iter().copied().filter(|p| !find(p)).collect();
    if missing.is_empty() {
        Finding::ok(check, names.join(", "))
    } else if check == "image tools" {
        let found = format!("missing: {}", missing.join(", "));
        Finding::warning(
            check,
            found,
            format!("to build images from Debian packages: apt-get install {packages}"),
        )
    } else {
        Finding::failed(
            check,
            format!("missing: {}", missing.join(", ")),
            format!("apt-get install {packages}"),
        )
    }
}

fn conntrack() -> Finding {
    if find("conntrack") {
        Finding::ok("conntrack", "there")
    } else {
        Finding::warning(
            "conntrack",
            "missing",
            "without it a UDP client may stay with an endpoint that is gone: apt-get install conntrack",
        )
    }
}

fn cni_plugins() -> Finding {
    let missing: Vec<&str> = ["bridge", "host-local", "portmap", "loopback"]
        .into_iter()
        .filter(|p| !Path::new("/usr/lib/cni").join(p).is_file())
        .collect();
    if missing.is_empty() {
        Finding::ok("CNI plugins", "/usr/lib/cni")
    } else {
        let found = format!("missing in /usr/lib/cni: {}", missing.join(", "));
        Finding::failed(
            "CNI plugins",
            found,
            "apt-get install containernetworking-plugins",
        )
    }
}

fn ports(settings: &Settings) -> Finding {
    if crate::server::running(settings).is_some() {
        return Finding::ok("ports", "in use by the server that runs");
    }
    let ports = [
        settings.api_port,
        settings.listener_port,
        settings.agent_port,
        settings.metrics_port,
    ];
    let is_taken = |port: &u16| {
        let address = SocketAddr::new(settings.bind_address, *port);
        TcpListener::bind(address).is_err()
    };
    let show = |ports: &[u16]| {
        let texts: Vec<String> = ports.iter().map(u16::to_string).collect();
        texts.join(", ")
    };
    let taken: Vec<u16> = ports.into_iter().filter(is_taken).collect();
    if taken.is_empty() {
        Finding::ok("ports", format!("{} are free", show(&ports)))
    } else {
        Finding::failed(
            "ports",
            format!("taken: {}", show(&taken)),
            "end what listens there (see `ss -ltnp`), or give others with --api-port, --listener-port, --agent-port, \
             --metrics-port",
        )
    }
}

fn ranges(settings: &Settings) -> Finding {
    let addresses = crate::server::host_addresses();
    let own = [
        settings.node_pod_cidr().hosts().next(),
        Some(settings.cluster_dns),
    ];
    let clash = addresses.iter().find(|ip| match ip {
        IpAddr::V4(ip) => {
            !own.contains(&Some(*ip))
                && (settings.pod_cidr.contains(ip) || settings.service_cidr.contains(ip))
        }
        IpAddr::V6(_) => false,
    });
    match clash {
        None => Finding::ok(
            "address ranges",
            format!("{} and {}", settings.pod_cidr, settings.service_cidr),
        ),
        Some(ip) => Finding::failed(
            "address ranges",
            format!("this host's own address {ip} lies within the cluster's ranges"),
            "give others with --pod-cidr and --service-cidr",
        ),
    }
}

const GIB: u64 = 1 << 30;
const FOUR_GIB: u64 = 4 * GIB;

fn disk(settings: &Settings) -> Finding {
    let folder = settings
        .data_dir
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let found = format!("{} free at {}", output::bytes(free), folder.display());
            match free {
                ..GIB => {
                    Finding::failed("disk", found, "free some space: at least 1 GiB is needed")
                }
                GIB..FOUR_GIB => {
                    Finding::warning("disk", found, "images and volumes want 4 GiB or more")
                }
                _ => Finding::ok("disk", found),
            }
        }
        Err(error) => Finding::failed(
            "disk",
            format!("{}: {error}", folder.display()),
            "check the file system",
        ),
    }
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = text
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))
        .and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0);
    let found = format!("{} available", output::bytes(kib * 1024));
    if kib < 256 * 1024 {
        Finding::warning(
            "memory",
            found,
            "server and containerd take about 100 MiB; little is left for workloads",
        )
    } else {
        Finding::ok("memory", found)
    }
}

fn clock() -> Finding {
    let now = jiff::Timestamp::now();
    // Certificates made by a clock that starts at 1970 would expire when it is set.
    if now.as_second() < 1_700_000_000 {
        Finding::warning(
            "clock",
            now.to_string(),
            "set it (`timedatectl`, or an NTP client) before the first start",
        )
    } else {
        Finding::ok("clock", now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}
