//! One `minicloud server` and the ways to use and to hurt it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::netns::Netns;
use crate::programs::{self, run};

/// A cluster of one machine.
pub struct Cluster {
    netns: Netns,
    dir: tempfile::TempDir,
    server: Option<Child>,
    extra: Vec<String>,
}

/// How long a server may take to be ready in a test: debug builds on a busy machine.
const START: Duration = Duration::from_secs(90);

impl Cluster {
    /// Starts a server and waits until its node is ready.
    ///
    /// # Panics
    /// When it does not become ready; its log is in the message.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// [`Cluster::start`] with further arguments.
    pub fn start_with(extra: &[&str]) -> Self {
        let mut cluster =
            Self::prepare(extra).unwrap_or_else(|e| panic!("cannot prepare a cluster: {e:#}"));
        cluster.start_server();
        cluster.wait_ready();
        cluster
    }

    /// The namespace and the folders of a cluster whose server does not run yet.
    ///
    /// # Errors
    /// When this is not root, or iproute2 is missing.
    pub fn prepare(extra: &[&str]) -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "these tests need root"
        );
        // A short path: sockets have room for 107 bytes.
        let dir = tempfile::Builder::new().prefix("mct-").tempdir_in("/tmp")?;
        let extra = extra.iter().map(|a| (*a).to_owned()).collect();
        Ok(Self {
            netns: Netns::new()?,
            dir,
            server: None,
            extra,
        })
    }

    /// Other arguments for the next start of the server.
    pub fn extra(&mut self, extra: &[&str]) {
        self.extra = extra.iter().map(|a| (*a).to_owned()).collect();
    }

    /// Where the cluster keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Where the cluster keeps its sockets.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The cluster's network.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    fn settings(&self) -> Vec<String> {
        vec![
            "--data-dir".into(),
            self.data_dir().display().to_string(),
            "--run-dir".into(),
            self.run_dir().display().to_string(),
            "--node-name".into(),
            "edge-1".into(),
        ]
    }

    /// A program that will run in the cluster's network.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.netns.command(program);
        command
            .env("KUBECONFIG", self.kubeconfig())
            // kubectl caches discovery below HOME; a cluster must not see another's.
            .env("HOME", self.dir.path());
        command
    }

    /// The program itself with a subcommand and this cluster's settings.
    pub fn minicloud(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(programs::minicloud());
        command.args(arguments).args(self.settings());
        command
    }

    /// kubectl with these words.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(programs::kubectl());
        command.args(arguments);
        command
    }

    /// What kubectl prints for words separated by spaces, or `'quoted'`.
    ///
    /// # Errors
    /// When kubectl fails; with what it said.
    pub fn try_k(&self, words: &str) -> anyhow::Result<String> {
        run(&mut self.kubectl_line(words))
    }

    /// Where its containerd listens.
    pub fn containerd_socket(&self) -> PathBuf {
        self.run_dir().join("containerd/containerd.sock")
    }

    /// What containerd's own client prints for the words of a line: a look behind the API's back.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn ctr(&self, line: &str) -> anyhow::Result<String> {
        let mut command = self.command("ctr");
        command.arg("--address").arg(self.containerd_socket());
        command.args(["--namespace", "k8s.io"]);
        run(command.args(programs::words(line)))
    }

    /// What a script prints in a pod's first container.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn sh(&self, pod: &str, script: &str) -> anyhow::Result<String> {
        run(&mut self.kubectl(&["exec", pod, "--", "sh", "-c", script]))
    }

    /// kubectl with the words of a line.
    pub fn kubectl_line(&self, line: &str) -> Command {
        let words = programs::words(line);
        self.kubectl(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// [`Cluster::try_k`] for what must work.
    ///
    /// # Panics
    /// When kubectl fails.
    pub fn k(&self, words: &str) -> String {
        self.try_k(words).unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// kubectl prints all of these parts, in this order; returns all that it printed.
    ///
    /// # Panics
    /// When it fails or prints something else.
    pub fn says(&self, words: &str, parts: &[&str]) -> String {
        let output = self.k(words);
        let mut rest = output.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("kubectl {words}: no {part:?} in what follows {parts:?} in:\n{output}");
            };
            rest = after;
        }
        output
    }

    /// kubectl fails with this exit code and says all of these parts.
    ///
    /// # Panics
    /// When it succeeds, or fails in another way.
    pub fn refuses(&self, words: &str, code: i32, parts: &[&str]) {
        let output =
            programs::output(&mut self.kubectl_line(words)).unwrap_or_else(|e| panic!("{e:#}"));
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.code() == Some(code) && parts.iter().all(|p| said.contains(p)),
            "kubectl {words}: expected {code} and {parts:?}, got {}: {said}",
            output.status
        );
    }

    /// `kubectl apply` of a manifest given as text.
    ///
    /// # Panics
    /// When kubectl fails.
    pub fn apply(&self, manifest: &str) -> String {
        let file = self.dir.path().join("manifest.yaml");
        std::fs::write(&file, manifest).unwrap_or_else(|e| panic!("{e}"));
        self.k(&format!("apply -f {}", file.display()))
    }

    /// The administrator's credentials.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// Where the server logs.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// A folder for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(60).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Starts the server's process without waiting for it.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start_server(&mut self) {
        let spawn = || -> anyhow::Result<Child> {
            let log = File::options()
                .create(true)
                .append(true)
                .open(self.log_file())?;
            let mut command = self.minicloud(&["server"]);
            command
                .args(&self.extra)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log);
            command.spawn().context("cannot start the server")
        };
        self.server = Some(spawn().unwrap_or_else(|e| panic!("{e:#}")));
    }

    /// Waits until the node is ready.
    ///
    /// # Panics
    /// When the server ends or is not ready in time.
    pub fn wait_ready(&mut self) {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self
                .server
                .as_mut()
                .and_then(|s| s.try_wait().ok().flatten())
            {
                panic!("the server ended ({status}):\n{}", self.log());
            }
            let ready = self.try_k(
                "get node edge-1 -o jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
            );
            match ready {
                Ok(text) if text == "True" => return,
                other if Instant::now() > deadline => {
                    panic!("the node is not ready: {other:?}\n{}", self.log());
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The server's process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn server_pid(&self) -> u32 {
        // nsenter replaces itself by the program, so the child is the server.
        self.server
            .as_ref()
            .map(Child::id)
            .unwrap_or_else(|| panic!("the server does not run"))
    }

    /// Ends the server at once, as a crash would, and waits for its end.
    pub fn kill_server(&mut self) {
        self.end_server(Signal::KILL);
    }

    /// Asks the server to end, and waits for its end.
    pub fn stop_server(&mut self) {
        self.end_server(Signal::TERM);
    }

    fn end_server(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        if let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        let _ = server.wait();
    }

    /// Imports an image archive.
    ///
    /// # Panics
    /// When it is refused.
    pub fn import(&self, archive: &Path) {
        run(&mut self.minicloud(&["image", "import", &archive.display().to_string()]))
            .unwrap_or_else(|e| panic!("{e:#}"));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
        self.end_server(Signal::TERM);
        if let Err(error) = run(&mut self.minicloud(&["reset", "--data", "--yes"])) {
            eprintln!("the cluster could not be removed whole: {error:#}");
        }
    }
}
