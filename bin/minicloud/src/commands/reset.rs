//! `minicloud reset`: stops everything and removes what the server made: processes, mounts, namespaces, bridge, rules, routes,
//! cgroups; with `--data` also all data.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use minicloud_containers::config::Engine;
use minicloud_containers::containerd;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::block_on;
use crate::cli::ResetArgs;
use crate::server;
use crate::settings::Settings;

/// How long the server has to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops and removes.
pub fn run(args: ResetArgs) -> anyhow::Result<()> {
    let settings = args.flags.resolve()?;
    anyhow::ensure!(rustix::process::geteuid().is_root(), "reset needs root");
    if !args.yes && !confirmed(&settings, args.data)? {
        bail!("nothing was changed");
    }
    stop_server(&settings)?;
    let mut problems = Vec::new();
    if let Engine::Supervised(containerd) = server::engine(&settings) {
        problems.extend(
            block_on(async {
                Ok(containerd::reset(&containerd, &settings.cgroup_parent()).await)
            })?
            .problems,
        );
    }
    block_on(async {
        server::stop_prometheus(&settings).await;
        Ok(())
    })?;
    let network = server::network_config(&settings, std::net::Ipv4Addr::UNSPECIFIED);
    block_on(async {
        minicloud_network::clean_up(&network).await;
        Ok(())
    })?;
    unmount_below(&settings, &mut problems);
    remove(&settings.run_dir, &mut problems);
    if args.data {
        remove(&settings.data_dir, &mut problems);
    } else {
        // Without the engine's data these would only mislead.
        remove(&settings.data_dir.join("agent"), &mut problems);
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("this is left: {}", problems.join("; "))
}

fn confirmed(settings: &Settings, data: bool) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("say --yes to go on without being asked");
    }
    let what = if data {
        format!(", and all data in {}", settings.data_dir.display())
    } else {
        String::new()
    };
    print!(
        "This stops every pod and removes what Minicloud made on this machine{what}. Go on? [y/N] "
    );
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks the server to end, waits, and then ends it.
fn stop_server(settings: &Settings) -> anyhow::Result<()> {
    let Some(pid) = server::running(settings).and_then(Pid::from_raw) else {
        return Ok(());
    };
    kill_process(pid, Signal::TERM).context("cannot signal the server")?;
    let deadline = Instant::now() + PATIENCE;
    while server::running(settings).is_some() {
        if Instant::now() > deadline {
            kill_process(pid, Signal::KILL).context("cannot end the server")?;
        }
        if Instant::now() > deadline + Duration::from_secs(5) || test_kill_process(pid).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Volumes of pods that are still mounted, the deepest first.
fn unmount_below(settings: &Settings, problems: &mut Vec<String>) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut targets: Vec<String> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| path.replace("\\040", " "))
        .filter(|path| {
            let path = std::path::Path::new(path);
            path.starts_with(&settings.run_dir) || path.starts_with(&settings.data_dir)
        })
        .collect();
    targets.reverse();
    for target in targets {
        if let Err(error) = rustix::mount::unmount(&target, rustix::mount::UnmountFlags::DETACH) {
            problems.push(format!("{target} is still mounted: {error}"));
        }
    }
}

fn remove(dir: &std::path::Path, problems: &mut Vec<String>) {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("{}: {error}", dir.display())),
    }
}
