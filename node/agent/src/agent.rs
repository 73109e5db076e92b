//! Wires the agent: directories, runtime, node, pods, server. Nothing is decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kube::Client;
use minicloud_api::part::Shutdown;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::decide::Host;
use crate::events::Events;
use crate::images::Images;
use crate::machine::Machine;
use crate::objects::Objects;
use crate::pods::{self, Pods};
use crate::runtime::PodRuntime;
use crate::server;
use crate::services::Services;
use crate::shared::{STARTS, Shared};
use crate::volumes::Dirs;
use crate::{node, resources};

const RUNTIME_RETRY: Duration = Duration::from_millis(500);

/// Why an agent cannot run. Show it and exit: the machine or the settings must be mended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The settings are not right.
    #[error("agent: {0}")]
    Config(String),
    /// The directories cannot be made.
    #[error("agent: {0}; make sure that it runs as root and that the disk is writable")]
    Directories(String),
    /// The checkpoints cannot be read.
    #[error("agent: checkpoints in {path}: {source}")]
    Checkpoints {
        /// Their directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server cannot listen.
    #[error(
        "agent: listen on {address}: {source}; another program has the port, or the address is not this machine's"
    )]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The node agent.
pub struct Agent {
    config: Config,
    runtime: Arc<dyn PodRuntime>,
    client: Client,
}

impl Agent {
    /// An agent over a runtime. `client` is `system:node:NAME` in group `system:nodes`.
    pub fn new(config: Config, runtime: Arc<dyn PodRuntime>, client: Client) -> Self {
        Self {
            config,
            runtime,
            client,
        }
    }

    /// Runs until shutdown. Pods run on after it.
    pub async fn run(self, mut shutdown: Shutdown) -> Result<(), AgentError> {
        let Self {
            config,
            runtime,
            client,
        } = self;
        if config.addresses.is_empty() {
            return Err(AgentError::Config(
                "the node has no address; give one".into(),
            ));
        }
        let dirs = Dirs {
            data: config.data_dir.clone(),
            run: config.run_dir.clone(),
        };
        let preparing = dirs.clone();
        blocking(move || preparing.prepare())
            .await
            .map_err(AgentError::Directories)?;
        let path = config.data_dir.join("checkpoints");
        let bad = |source| AgentError::Checkpoints {
            path: path.clone(),
            source,
        };
        let checkpoints = Checkpoints::open(&path).map_err(bad)?;
        let kept = checkpoints.load().map_err(bad)?;
        let listener = server::listen(&config)?;
        let port = listener.port();

        // Nothing can be concluded about pods before the runtime has said what runs.
        let cidrs = node::kept_pod_cidrs(&config);
        let (name, observed) = loop {
            match begin(&*runtime, &cidrs).await {
                Ok(found) => break found,
                Err(error) => {
                    tracing::debug!(%error, "waiting for the runtime");
                    tokio::select! {
                        () = shutdown.wait() => return Ok(()),
                        () = tokio::time::sleep(RUNTIME_RETRY) => {}
                    }
                }
            }
        };
        tracing::info!(
            runtime = name,
            running = observed.len(),
            checkpointed = kept.len(),
            "the runtime answers"
        );
        let machine = Machine::look(&config.data_dir);
        let (_, allocatable) = node::capacity::of(&config, machine);
        let list = Some(allocatable);
        let amount = |name: &str| {
            let q = resources::quantity(&list, name)?;
            Some((
                name.to_owned(),
                if name == "cpu" { q.millis() } else { q.units() },
            ))
        };
        let (events, write_events) = Events::new(client.clone(), &config.node_name);
        let (services, follow_services) = Services::new(client.clone(), &config.data_dir);
        let shared = Arc::new(Shared {
            dirs,
            objects: Objects::new(client.clone()),
            services,
            images: Images::new(runtime.clone(), events.clone()),
            events,
            checkpoints,
            starts: Semaphore::new(STARTS),
            pods: Pods::default(),
            offline: AtomicBool::new(false),
            host: Host {
                ips: config.host_ips(),
                runtime: name,
            },
            memory_bytes: machine.memory_bytes,
            allocatable: ["cpu", "memory", "ephemeral-storage", "pods"]
                .into_iter()
                .filter_map(amount)
                .collect(),
            config,
            client,
            runtime,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(write_events);
        tasks.spawn(follow_services);
        tasks.spawn(node::run(shared.clone(), machine, port, shutdown.clone()));
        tasks.spawn(listener.serve(shared.clone(), shutdown.clone()));
        pods::run(shared, observed, kept, shutdown.clone()).await;
        shutdown.wait().await;
        tasks.shutdown().await;
        Ok(())
    }
}

async fn begin(
    runtime: &dyn PodRuntime,
    cidrs: &[String],
) -> Result<(String, Vec<crate::runtime::ObservedPod>), crate::runtime::RuntimeError> {
    let status = runtime.status().await?;
    if !cidrs.is_empty() {
        runtime.set_pod_cidrs(cidrs).await?;
    }
    Ok((status.name, runtime.list_pods().await?))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(format!("broke off: {e}")))
}
