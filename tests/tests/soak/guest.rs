//! A Debian machine in QEMU whose power can be cut.
//!
//! The root file system is read-only and holds only Debian's packages; a second disk holds the program under test, a third,
//! the data disk, is all that lasts. The guest reaches nothing: its network leads to this machine's loopback, inwards only.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use minicloud_tests::images::busybox;
use minicloud_tests::programs::{self, run};

/// What the guest's Debian has.
const PACKAGES: &str = "containerd,runc,containernetworking-plugins,nftables,iproute2,iptables,conntrack,kmod,busybox-static,linux-image-cloud-amd64";

/// What the kernel needs as modules before it can read its disks.
const MODULES: [&str; 2] = ["virtio_pci", "virtio_blk"];

/// Before the root file system is there.
const EARLY_INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module; done
until [ -b /dev/vda ] && [ -b /dev/vdc ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o ro /dev/vda /root
/bin/busybox mount -t ext4 -o ro /dev/vdc /root/mnt
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /mnt/init
";

/// The data disk's size in bytes; the file is sparse.
const DATA_BYTES: u64 = 4 << 30;

/// What does not change between boots.
#[derive(Debug)]
pub struct Machine {
    /// Debian's part, built once.
    debian: PathBuf,
    /// This run's part.
    dir: tempfile::TempDir,
}

impl Machine {
    /// Builds what is missing below `target/`.
    ///
    /// # Errors
    /// When a program is missing or fails.
    pub fn prepare() -> anyhow::Result<Self> {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let debian = tmp.join("soak-debian");
        if !std::fs::read_to_string(debian.join("done")).is_ok_and(|done| done == PACKAGES) {
            println!("building the guest's Debian (minutes, once)");
            build_debian(&debian)?;
        }
        let dir = tempfile::Builder::new().prefix("soak-").tempdir_in(tmp)?;
        let machine = Self { debian, dir };
        machine.build_initrd()?;
        machine.build_payload()?;
        let data = std::fs::File::create_new(machine.data())?;
        data.set_len(DATA_BYTES)?;
        run(Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-E", "lazy_itable_init=0"])
            .arg(machine.data()))?;
        Ok(machine)
    }

    /// The data disk.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data.img")
    }

    /// A folder for sockets and logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The initial file system: it loads modules and mounts disks.
    fn build_initrd(&self) -> anyhow::Result<()> {
        let folder = self.dir.path().join("initrd.d");
        for dir in ["bin", "dev", "modules", "root"] {
            std::fs::create_dir_all(folder.join(dir))?;
        }
        std::fs::copy("/bin/busybox", folder.join("bin/busybox"))?;
        for module in std::fs::read_dir(self.debian.join("modules"))? {
            let module = module?;
            std::fs::copy(
                module.path(),
                folder.join("modules").join(module.file_name()),
            )?;
        }
        write_program(&folder.join("init"), EARLY_INIT)?;
        run(Command::new("/bin/busybox")
            .args([
                "sh",
                "-c",
                "busybox find . | busybox cpio -o -H newc > ../initrd",
            ])
            .current_dir(&folder))?;
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    /// A disk with the program under test.
    fn build_payload(&self) -> anyhow::Result<()> {
        let folder = self.dir.path().join("payload");
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(busybox(self.dir.path()), folder.join("busybox.tar"))?;
        let program = folder.join("minicloud");
        std::fs::copy(programs::minicloud(), &program)?;
        // A debug build's symbols are most of it.
        let _ = run(Command::new("strip").arg("--strip-debug").arg(&program));
        write_program(&folder.join("init"), include_str!("guest-init.sh"))?;
        image(&folder, &self.dir.path().join("payload.img"))?;
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    /// Turns the machine on; `disk` is where the data disk is served. Without a network the guest has no interface at all.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn boot(&self, disk: &Path, network: bool, number: usize) -> anyhow::Result<Guest> {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let (console, report) = (
            at(&format!("console-{number}")),
            at(&format!("report-{number}")),
        );
        let address = free_address()?;
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args([
            "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024",
        ])
        .arg("-kernel")
        .arg(self.debian.join("vmlinuz"))
        .arg("-initrd")
        .arg(self.dir.path().join("initrd"))
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 no_timer_check tsc=unstable",
        ])
        .args([
            "-serial",
            &format!("file:{console}"),
            "-serial",
            &format!("file:{report}"),
        ]);
        let root = format!(
            "file.filename={},file.driver=file,driver=raw,read-only=on",
            self.debian.join("root.img").display()
        );
        let data = format!("driver=nbd,server.type=unix,server.path={}", disk.display());
        let payload = format!(
            "file.filename={},file.driver=file,driver=raw,read-only=on",
            at("payload.img")
        );
        for (name, options) in [("root", root), ("data", data), ("payload", payload)] {
            qemu.args(["-blockdev", &format!("node-name={name},{options}")])
                .args(["-device", &format!("virtio-blk-pci,drive={name}")]);
        }
        if network {
            qemu.args([
                "-netdev",
                &format!("user,id=net,restrict=on,hostfwd=tcp:{address}-10.0.2.15:6443"),
            ])
            .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        }
        let log_file = self.dir.path().join(format!("qemu-{number}"));
        let log = std::fs::File::create(&log_file)?;
        let process = qemu
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run qemu-system-x86_64")?;
        Ok(Guest {
            process,
            log: log_file,
            console: console.into(),
            report: report.into(),
            address,
            read: 0,
            started: Instant::now(),
        })
    }
}

/// A machine that is on. Dropping it cuts its power.
#[derive(Debug)]
pub struct Guest {
    process: Child,
    log: PathBuf,
    console: PathBuf,
    report: PathBuf,
    address: SocketAddr,
    /// How much of the report was read.
    read: u64,
    started: Instant,
}

impl Guest {
    /// Where the guest's Kubernetes API is on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Since the power is on.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the guest said since the last call.
    ///
    /// # Errors
    /// When it says that it failed, or QEMU ended.
    pub fn report(&mut self) -> anyhow::Result<Vec<String>> {
        if let Some(status) = self.process.try_wait()? {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("QEMU ended ({status}) {said}\n{}", self.console());
        }
        let Ok(mut file) = std::fs::File::open(&self.report) else {
            return Ok(Vec::new());
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new(file);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = reader.read_line(&mut line)?;
            if !line.ends_with('\n') {
                break;
            }
            self.read += count as u64;
            let line = line.trim_end().to_owned();
            ensure!(!line.starts_with("FAILED"), "{line}\n{}", self.console());
            lines.push(line);
        }
        Ok(lines)
    }

    /// The end of what the guest's console shows: kernel and server.
    pub fn console(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().rev().take(80).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Cuts the power: whatever the machine was doing, it does no more.
    pub fn cut(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // SIGKILL.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the guest's console ---\n{}", self.console());
        }
        self.end();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn write_program(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// An ext4 image of a folder with little room to spare.
fn image(folder: &Path, image: &Path) -> anyhow::Result<()> {
    let used = run(Command::new("du")
        .args(["-s", "--block-size=1M"])
        .arg(folder))?;
    let mib: u64 = used.split_whitespace().next().unwrap_or_default().parse()?;
    run(Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(folder)
        .arg(image)
        .arg(format!("{}M", mib + mib / 4 + 32)))?;
    Ok(())
}

/// Kernel, modules and root image.
fn build_debian(to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    let root = to.join("root");
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=essential", "--mode=root"])
        .arg(format!("--include={PACKAGES}"))
        .args(["doc", "locale", "man"].map(|d| format!("--dpkgopt=path-exclude=/usr/share/{d}/*")))
        .arg("bookworm")
        .arg(&root))?;
    // Mount points that Debian's packages do not bring.
    std::fs::create_dir_all(root.join("var/lib/minicloud"))?;
    std::fs::copy(root.join("vmlinuz"), to.join("vmlinuz"))?;
    copy_modules(&root, &to.join("modules"))?;
    image(&root, &to.join("root.img"))?;
    std::fs::remove_dir_all(&root)?;
    Ok(std::fs::write(to.join("done"), PACKAGES)?)
}

/// The modules that the initial file system loads, named so that they sort in the order of loading.
fn copy_modules(root: &Path, to: &Path) -> anyhow::Result<()> {
    let version = std::fs::read_dir(root.join("usr/lib/modules"))?
        .next()
        .context("the guest has no kernel modules")??
        .path();
    let dependencies = std::fs::read_to_string(version.join("modules.dep"))?;
    std::fs::create_dir(to)?;
    for (number, module) in load_order(&dependencies, &MODULES).iter().enumerate() {
        std::fs::copy(version.join(module), to.join(format!("{number:02}")))?;
    }
    Ok(())
}

/// The files of these modules and of what they need, in the order of loading. A line of `modules.dep` names a file and all that
/// it needs, what is to be loaded first last.
fn load_order<'a>(dependencies: &'a str, modules: &[&str]) -> Vec<&'a str> {
    let mut order: Vec<&str> = Vec::new();
    for module in modules {
        let line = dependencies.lines().find_map(|line| {
            let (file, needs) = line.split_once(':')?;
            let name = file.rsplit('/').next()?.split('.').next()?;
            (name == *module).then_some((file, needs))
        });
        if let Some((file, needs)) = line {
            for each in needs.split_whitespace().rev().chain([file]) {
                if !order.contains(&each) {
                    order.push(each);
                }
            }
        }
    }
    order
}

#[test]
fn modules_are_loaded_after_what_they_need() {
    let dependencies = "a/virtio.ko:\na/ring.ko: a/virtio.ko\na/virtio_blk.ko: a/ring.ko a/virtio.ko\na/virtio_pci.ko: a/modern.ko a/ring.ko a/virtio.ko\n";
    assert_eq!(
        load_order(dependencies, &MODULES),
        [
            "a/virtio.ko",
            "a/ring.ko",
            "a/modern.ko",
            "a/virtio_pci.ko",
            "a/virtio_blk.ko"
        ]
    );
}
