//! `minicloud server`: starts the parts in order, keeps them until a signal, stops them in order.
//!
//! The order at start is a promise: unreachable routes before anything else, the API before who uses it, the node last.
//! At the end nothing that runs for users is touched: containers, addresses and rules stay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use minicloud_api::part::{Shutdown, ShutdownTrigger};
use tokio::task::JoinSet;

use crate::settings::Settings;

mod addresses;
mod certificates;
mod companions;
mod control;
mod ensure;
pub mod files;
mod kvm;
mod node;
mod prometheus;
mod single;

pub use addresses::host_addresses;
pub use node::{engine, network_config};
pub use prometheus::stop as stop_prometheus;
pub use single::running;

/// How long the parts have to end.
const GRACE: Duration = Duration::from_secs(15);

/// The version that clients see: the Kubernetes version that the API behaves as, and ours.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every stage of the start adds to: parts that run until shutdown, by name.
struct Parts {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: Shutdown,
}

impl Parts {
    /// Runs `part` until shutdown.
    fn spawn<F>(&mut self, name: &'static str, part: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let future = part(self.shutdown.clone());
        self.tasks.spawn(async move { (name, future.await) });
    }
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or a part ended that should not have.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    start_log(&settings.log)?;
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "the server needs root for namespaces, cgroups and nftables; run it with sudo, or see `minicloud doctor`"
    );
    for dir in [&settings.data_dir, &settings.run_dir] {
        files::create_private_dir(dir)?;
    }
    let _single = single::Single::claim(&settings)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("TLS is set up already"))?;
    tokio::runtime::Builder::new_multi_thread()
        // Two workers serve a small machine; more would only take memory.
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(serve(settings))
}

/// Logs to standard error what passes `filter`.
///
/// # Errors
/// When `filter` is none.
pub fn start_log(filter: &str) -> anyhow::Result<()> {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse(filter)
        .with_context(|| {
            format!(
                "log {filter:?} is no filter; give error, warn, info, debug or target=level pairs"
            )
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let (trigger, shutdown) = Shutdown::new();
    let mut signals = Signals::new()?;
    let mut parts = Parts {
        tasks: JoinSet::new(),
        shutdown,
    };
    let node_ip = settings
        .node_ip
        .unwrap_or_else(|| addresses::node_ip(&settings));
    tracing::info!(node = %settings.node_name, %node_ip, version = VERSION, "starting");

    let network = node::network_config(&settings, node_ip);
    // First of all: no packet for the cluster's ranges may leave by the default route.
    minicloud_network::prepare(&network)
        .await
        .context("cannot prepare the network")?;
    // The engine needs nothing of the API; it starts meanwhile.
    let runtime = node::start_runtime(&settings);

    let control = tokio::select! {
        control = control::start(&settings, node_ip, &mut parts) => control?,
        () = signals.wait() => return Ok(()),
    };
    tracing::info!(
        ms = started.elapsed().as_millis() as u64,
        "the Kubernetes API is ready"
    );
    node::start(&settings, node_ip, network, runtime, &control, &mut parts)?;

    let outcome = tokio::select! {
        () = signals.wait() => {
            tracing::info!("stopping; workloads go on");
            Ok(())
        }
        ended = parts.tasks.join_next() => Err(early_end(ended)),
    };
    stop(trigger, parts, control.store).await;
    outcome
}

fn early_end(
    ended: Option<Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>>,
) -> anyhow::Error {
    match ended {
        Some(Ok((name, Ok(())))) => anyhow::anyhow!("{name} ended"),
        Some(Ok((name, Err(error)))) => error.context(format!("{name} failed")),
        Some(Err(error)) => anyhow::anyhow!("a part crashed: {error}"),
        None => anyhow::anyhow!("nothing runs"),
    }
}

async fn stop(trigger: ShutdownTrigger, mut parts: Parts, store: minicloud_store::Store) {
    trigger.shut_down();
    let all = async { while parts.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("some parts did not end in {GRACE:?}; they are cut off");
    }
    if let Err(error) = store.close().await {
        tracing::error!(%error, "the store did not close cleanly; what was acknowledged is on disk all the same");
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The API server's own address on this machine.
fn listen(settings: &Settings, port: u16) -> SocketAddr {
    SocketAddr::new(settings.bind_address, port)
}

/// `ip` as any address.
fn any(ip: Ipv4Addr) -> IpAddr {
    IpAddr::V4(ip)
}
