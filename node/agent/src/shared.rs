//! What every pod's worker uses: one of each per agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::sync::Semaphore;

use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::decide::Host;
use crate::dns;
use crate::events::Events;
use crate::images::Images;
use crate::objects::Objects;
use crate::runtime::{DnsConfig, PodRuntime};
use crate::services::Services;
use crate::volumes::Dirs;

/// Sandboxes and containers that are created at the same time. More only makes each slower.
pub(crate) const STARTS: usize = 8;
/// How long a pod waits for the API server before it makes do with what was checkpointed.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same while the server is known to be away.
const HURRY: Duration = Duration::from_millis(100);
/// Longest call to the API server.
pub(crate) const API_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn PodRuntime>,
    pub(crate) dirs: Dirs,
    pub(crate) objects: Objects,
    pub(crate) services: Services,
    pub(crate) images: Images,
    pub(crate) events: Events,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) starts: Semaphore,
    pub(crate) pods: crate::pods::Pods,
    pub(crate) host: Host,
    pub(crate) memory_bytes: u64,
    /// CPU in thousandths, everything else in units.
    pub(crate) allocatable: BTreeMap<String, i64>,
    /// The API server has not answered since the agent started, and pods run by their checkpoints.
    pub(crate) offline: AtomicBool,
}

impl Shared {
    /// How long to wait for the API server where something else will do.
    pub(crate) fn patience(&self) -> Duration {
        if self.offline.load(Ordering::Relaxed) {
            HURRY
        } else {
            PATIENCE
        }
    }

    /// What a pod's resolver is told. The machine's file is read anew: it changes with the network.
    pub(crate) fn resolver(&self, pod: &k8s_openapi::api::core::v1::Pod) -> DnsConfig {
        let node = std::fs::read_to_string(&self.config.resolv_conf)
            .map(|t| dns::parse(&t))
            .unwrap_or_default();
        dns::resolver(
            pod,
            &node,
            &self.config.cluster_dns,
            &self.config.cluster_domain,
        )
    }
}

/// Limits a call to the API server in time.
pub(crate) async fn api<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(API_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(ApiError::Refused {
            code: status.code,
            message: status.message,
        }),
        Ok(Err(error)) => Err(ApiError::Silent(error.to_string())),
        Err(_) => Err(ApiError::Silent(format!(
            "no answer within {} s",
            API_TIMEOUT.as_secs()
        ))),
    }
}

/// Why a call to the API server came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server answered, and not with what was asked for.
    #[error("{message} ({code})")]
    Refused { code: u16, message: String },
    /// The server did not answer: nothing may be concluded.
    #[error("the API server does not answer: {0}")]
    Silent(String),
}

impl ApiError {
    pub(crate) fn is(&self, wanted: u16) -> bool {
        matches!(self, ApiError::Refused { code, .. } if *code == wanted)
    }
}
