//! A containerd in folders, a network namespace and a cgroup of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use minicloud_agent::runtime::{
    ContainerSpec, ContainerState, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE,
    LABEL_POD_UID, NamespaceMode, ObservedContainer, PodRuntime, QosClass, SandboxSpec,
};
use minicloud_containers::Runtime;
use minicloud_containers::cgroups::Cgroups;
use minicloud_containers::config::{Config, Containerd, Engine, ImageCollection, LogRotation};
use minicloud_containers::containerd::reset;
use minicloud_images::archive::in_memory;
use minicloud_images::layer::{Content, Entry};
use minicloud_images::recipe::ImageConfig;

pub const IMAGE: &str = "minicloud.local/busybox:1";

pub struct Site {
    pub name: String,
    pub dir: tempfile::TempDir,
    pub config: Config,
}

impl Site {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mct-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let dir = tempfile::Builder::new().prefix("mct-").tempdir().unwrap();
        let cni = dir.path().join("cni");
        std::fs::create_dir(&cni).unwrap();
        let conf = serde_json::json!({
            "cniVersion": "0.4.0",
            "name": name,
            "plugins": [{
                "type": "bridge",
                "bridge": "mct0",
                "isGateway": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": dir.path().join("ipam"),
                    "ranges": [[{"subnet": "10.99.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        });
        std::fs::write(cni.join("10-mct.conflist"), conf.to_string()).unwrap();
        let mut containerd =
            Containerd::new(&dir.path().join("data"), &dir.path().join("run"), &cni);
        // Not `ip netns exec`: that hides the cgroup hierarchies.
        containerd.launcher = vec!["nsenter".into(), format!("--net=/run/netns/{name}").into()];
        let config = Config {
            engine: Engine::Supervised(containerd),
            cgroup_parent: format!("/{name}"),
            logs: LogRotation {
                max_bytes: 4096,
                max_files: 3,
                interval: Duration::from_millis(200),
            },
            image_collection: ImageCollection::default(),
        };
        Site { name, dir, config }
    }

    pub fn containerd(&self) -> &Containerd {
        match &self.config.engine {
            Engine::Supervised(containerd) => containerd,
            Engine::Endpoint { .. } => unreachable!("a site has its own"),
        }
    }

    pub fn containerd_pid(&self) -> i32 {
        let file = self.containerd().state.join("containerd.pid");
        std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    pub async fn start(&self) -> Runtime {
        Runtime::start(self.config.clone()).await.unwrap()
    }

    /// Starts and brings the test's image in.
    pub async fn start_with_image(&self) -> Runtime {
        let runtime = self.start().await;
        let path = self.dir.path().join("busybox.tar");
        std::fs::write(&path, busybox()).unwrap();
        assert_eq!(runtime.import_image(&path).await.unwrap(), [IMAGE]);
        runtime
    }

    pub fn sandbox(&self, name: &str) -> SandboxSpec {
        let uid = format!("uid-{name}");
        SandboxSpec {
            name: name.into(),
            namespace: "test".into(),
            uid: uid.clone(),
            hostname: name.into(),
            log_directory: self
                .dir
                .path()
                .join("logs")
                .join(format!("test_{name}_{uid}")),
            labels: BTreeMap::from([
                (LABEL_POD_NAME.into(), name.into()),
                (LABEL_POD_NAMESPACE.into(), "test".into()),
                (LABEL_POD_UID.into(), uid),
            ]),
            annotations: BTreeMap::from([("note".into(), "verbatim".into())]),
            qos: QosClass::Burstable,
            network: NamespaceMode::Pod,
            pid: NamespaceMode::Container,
            ipc: NamespaceMode::Pod,
            ..Default::default()
        }
    }

    /// Ends everything at once and leaves only what a disk keeps.
    pub fn lose_power(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let kill = |pid: i32| {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        };
        kill(self.containerd_pid());
        let cgroups = Cgroups::detect(&self.config.cgroup_parent).unwrap();
        cgroups
            .processes(&self.config.cgroup_parent)
            .into_iter()
            .for_each(kill);
        self.processes().into_iter().for_each(|(pid, _)| kill(pid));
        cgroups.reset().unwrap();
        let dir = self.dir.path();
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
        for point in points
            .filter(|point| Path::new(point).starts_with(dir))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
        std::fs::remove_dir_all(&self.containerd().state).unwrap();
    }

    /// Takes everything away and asserts that nothing is left.
    pub async fn finish(self, runtime: Runtime) {
        drop(runtime);
        let report = reset(self.containerd(), &self.config.cgroup_parent).await;
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().to_string_lossy().into_owned();
        left.extend(
            mountinfo
                .lines()
                .filter(|line| line.contains(&dir))
                .map(|line| format!("mount {line}")),
        );
        for root in Cgroups::detect("/x").unwrap().layout().roots() {
            let ours = root.join(&self.name);
            if ours.exists() {
                left.push(format!("cgroup {}", ours.display()));
            }
        }
        left.extend(
            self.processes()
                .into_iter()
                .map(|(pid, command)| format!("process {pid} {command}")),
        );
        for dir in [&self.containerd().root, &self.containerd().state] {
            if dir.exists() {
                left.push(format!("folder {}", dir.display()));
            }
        }
        left
    }

    /// Processes whose command line names the test's folder.
    fn processes(&self) -> Vec<(i32, String)> {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").unwrap();
        entries
            .flatten()
            .filter_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                (command.contains(&dir) && pid.cast_unsigned() != std::process::id())
                    .then_some((pid, command))
            })
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let containerd = self.containerd().clone();
        let parent = self.config.cgroup_parent.clone();
        if containerd.state.exists() || containerd.root.exists() {
            if std::thread::panicking() {
                let log = std::fs::read_to_string(&containerd.log_file).unwrap_or_default();
                eprintln!("containerd's log:\n{log}");
            }
            // The test's own runtime may be gone or be the one that unwinds.
            let work = move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(reset(&containerd, &parent))
            };
            let report = std::thread::spawn(work).join();
            eprintln!("cleaned up after a failure: {report:?}");
        }
        run("ip", &["netns", "del", &self.name]);
    }
}

pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    // Panicking in a drop while unwinding would hide the cause.
    if !output.status.success() && !std::thread::panicking() {
        panic!("{program} {arguments:?}: {words}");
    }
}

fn busybox() -> Vec<u8> {
    let program = std::fs::read("/usr/bin/busybox").expect("install busybox-static");
    let file = |path: &str, mode, content| Entry {
        path: path.into(),
        mode,
        content,
    };
    let mut entries = vec![
        file("bin", 0o755, Content::Directory),
        file("etc", 0o755, Content::Directory),
        file("tmp", 0o1777, Content::Directory),
        file(
            "etc/passwd",
            0o644,
            Content::File(b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n".to_vec()),
        ),
        file(
            "etc/group",
            0o644,
            Content::File(b"root:x:0:\napp:x:1000:\n".to_vec()),
        ),
        file("bin/busybox", 0o755, Content::File(program)),
    ];
    for name in [
        "cat", "dd", "echo", "hostname", "id", "ip", "ls", "ping", "sh", "sleep", "tail", "true",
        "yes",
    ] {
        entries.push(file(
            &format!("bin/{name}"),
            0o777,
            Content::Symlink("busybox".into()),
        ));
    }
    let config = ImageConfig {
        cmd: vec!["/bin/sh".into()],
        env: [("PATH".into(), "/bin".into())].into(),
        ..Default::default()
    };
    in_memory(IMAGE, &config, &entries).unwrap()
}

/// A container that runs a shell script.
pub async fn script(
    runtime: &Runtime,
    sandbox: &SandboxSpec,
    name: &str,
    script: &str,
) -> ContainerSpec {
    let image = runtime
        .image(IMAGE)
        .await
        .unwrap()
        .expect("the image is there");
    let mut labels = sandbox.labels.clone();
    labels.insert(LABEL_CONTAINER_NAME.into(), name.into());
    ContainerSpec {
        name: name.into(),
        image_id: image.id,
        image: IMAGE.into(),
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        labels,
        annotations: BTreeMap::from([("hash".into(), "1".into())]),
        log_path: PathBuf::from(name).join("0.log"),
        ..Default::default()
    }
}

/// Creates and starts; returns the id.
pub async fn launch(
    runtime: &Runtime,
    sandbox_id: &str,
    sandbox: &SandboxSpec,
    container: &ContainerSpec,
) -> String {
    let id = runtime
        .create_container(sandbox_id, sandbox, container)
        .await
        .unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

pub async fn observed(runtime: &Runtime, sandbox: &SandboxSpec, id: &str) -> ObservedContainer {
    let pod = runtime
        .pod(&sandbox.uid)
        .await
        .unwrap()
        .expect("the pod is there");
    pod.containers
        .into_iter()
        .find(|container| container.id == id)
        .expect("the container is there")
}

/// Waits for the container's end; returns exit code and reason.
pub async fn exit_of(runtime: &Runtime, sandbox: &SandboxSpec, id: &str) -> (i32, String) {
    eventually("the container ends", || async {
        match observed(runtime, sandbox, id).await.state {
            ContainerState::Exited {
                exit_code, reason, ..
            } => Some((exit_code, reason)),
            _ => None,
        }
    })
    .await
}

pub async fn shell(runtime: &Runtime, id: &str, script: &str) -> String {
    let command = ["/bin/sh", "-c", script].map(String::from);
    let output = runtime
        .exec_sync(id, &command, Duration::from_secs(10))
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.exit_code, 0, "{script}: {words}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Polls until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
