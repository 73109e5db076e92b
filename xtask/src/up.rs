//! `cargo xtask up` and `down`: the way of a new user, and what the documentation promises.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::host::{self, run, step, wait_for};

const DATA_DIR: &str = "/var/lib/minicloud";
const LOG_FILE: &str = "/var/log/minicloud.log";
const PID_FILE: &str = "/run/minicloud/server.pid";
/// The example's Service answers here on every address of this machine.
const NODE_PORT: u16 = 30080;

fn binary() -> PathBuf {
    host::target_dir().join("release/minicloud")
}

fn minicloud(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    command
}

/// Installs, builds, starts, applies, waits and tells.
pub fn up() -> anyhow::Result<()> {
    ensure!(
        host::is_root(),
        "run as root: a minicloud needs namespaces, cgroups and nftables (`sudo -E cargo xtask up`)"
    );
    host::install_to_run()?;
    let kubectl = host::kubectl()?;
    build()?;
    start()?;
    images()?;
    let kubeconfig = Path::new(DATA_DIR).join("admin.kubeconfig");
    let kubectl_run = |arguments: &[&str]| {
        run(Command::new(&kubectl)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(arguments))
    };
    step("applying examples/application", || {
        let folder = host::root().join("examples/application");
        kubectl_run(&["apply", "--filename", &folder.display().to_string()])
    })?;
    step("waiting for WordPress and MariaDB", || {
        for deployment in ["mariadb", "wordpress"] {
            kubectl_run(&[
                "--namespace=application",
                "rollout",
                "status",
                &format!("deployment/{deployment}"),
                "--timeout=300s",
            ])?;
        }
        wait_for("the first page", Duration::from_secs(60), || {
            first_page().map(drop).map_err(|e| format!("{e:#}"))
        })
    })?;
    tell(&kubectl, &kubeconfig);
    Ok(())
}

/// Stops everything and removes what is left, data included.
pub fn down() -> anyhow::Result<()> {
    ensure!(host::is_root(), "run as root");
    ensure!(
        binary().exists(),
        "{} is not built, so nothing was started with it; to clean up after another build run `minicloud reset --data`",
        binary().display()
    );
    step("stopping and removing everything", || {
        run(&mut minicloud(&["reset", "--data", "--yes"]))
    })?;
    let _ = std::fs::remove_file(LOG_FILE);
    Ok(())
}

fn build() -> anyhow::Result<()> {
    crate::console::build()?;
    println!("        building minicloud (the first time takes some minutes)");
    host::show(&mut host::cargo(&[
        "build",
        "--release",
        "--package",
        "minicloud",
    ]))
}

/// Starts the server unless it answers already, and waits until its node is ready.
fn start() -> anyhow::Result<()> {
    let answers = || match run(&mut minicloud(&["status", "--output", "json"])) {
        Ok(text) => {
            let status: serde_json::Value =
                serde_json::from_str(&text).map_err(|e| e.to_string())?;
            let nodes = status["nodes"].as_array().map_or(0, Vec::len);
            if status["ready"] == true && nodes > 0 {
                Ok(())
            } else {
                Err("the node is not ready".to_owned())
            }
        }
        Err(error) => Err(format!("{error:#}")),
    };
    if let Some(pid) = outdated() {
        // The pods run on meanwhile.
        step("stopping the server of the build before", || {
            run(Command::new("kill").arg(&pid))?;
            wait_for("its end", Duration::from_secs(30), || {
                match Path::new("/proc").join(&pid).exists() {
                    true => Err(format!("process {pid} is there")),
                    false => Ok(()),
                }
            })
        })?;
    }
    if answers().is_ok() {
        println!("  done  the server runs already");
        return Ok(());
    }
    step("starting the server", || {
        let running = run(&mut minicloud(&["doctor", "--output", "json"]))
            .is_ok_and(|t| t.contains("server that runs"));
        if !running {
            let log = File::options()
                .create(true)
                .append(true)
                .open(LOG_FILE)
                .context(LOG_FILE)?;
            // A session of its own: closing this terminal does not end the server.
            run(Command::new("setsid")
                .arg("--fork")
                .arg(binary())
                .arg("server")
                .stdout(Stdio::from(log.try_clone()?))
                .stderr(Stdio::from(log)))?;
        }
        wait_for("the server", Duration::from_secs(60), answers)
            .with_context(|| format!("see {LOG_FILE}, and `{} doctor`", binary().display()))
    })
}

/// The process of a server that was started from this folder, if its program has been built anew since.
fn outdated() -> Option<String> {
    let pid = std::fs::read_to_string(PID_FILE).ok()?.trim().to_owned();
    let program = std::fs::read_link(Path::new("/proc").join(&pid).join("exe")).ok()?;
    let replaced = format!("{} (deleted)", binary().display());
    (program.as_os_str() == replaced.as_str()).then_some(pid)
}

/// Builds and imports the example's images; those that are there already cost nothing.
fn images() -> anyhow::Result<()> {
    for name in ["mariadb", "wordpress"] {
        let folder = host::root().join("examples/application/images").join(name);
        let folder = folder.display().to_string();
        step(&format!("building the image of {name}"), || {
            run(&mut minicloud(&["image", "build", &folder]))
        })?;
    }
    Ok(())
}

/// The example's first page, through its Service.
fn first_page() -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", NODE_PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "GET / HTTP/1.0\r\nHost: 127.0.0.1:{NODE_PORT}\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.take(1 << 20).read_to_string(&mut page)?;
    ensure!(
        page.contains(" 200 ") && page.contains("WordPress"),
        "not WordPress: {:.200}",
        page
    );
    Ok(page)
}

fn tell(kubectl: &Path, kubeconfig: &Path) {
    let (kubectl, minicloud) = (kubectl.display(), binary());
    println!(
        "
The minicloud is up.

  application   http://127.0.0.1:{NODE_PORT}/  (user admin, password change-me-admin, at /wp-login.php)
  console       https://127.0.0.1:3000/  (sign in with a token, as docs/console.md says)
  credentials   {credentials}
  server's log  {LOG_FILE}

Five commands to try:

  export KUBECONFIG={credentials}
  {kubectl} get pods --all-namespaces -o wide
  {kubectl} -n application logs deployment/wordpress --tail=5
  {kubectl} -n application exec deployment/mariadb -- mariadb --version
  {kubectl} -n application rollout restart deployment/wordpress
  {minicloud} status

`cargo xtask down` stops it and removes everything.",
        credentials = kubeconfig.display(),
        minicloud = minicloud.display(),
    );
}
