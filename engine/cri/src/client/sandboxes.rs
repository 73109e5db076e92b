//! Calls about sandboxes.

use super::{CHANGE, Client, READ, SANDBOX, call};
use crate::error::CallError;
use crate::v1::*;

impl Client {
    /// Makes and starts a sandbox; returns its id.
    pub async fn run_pod_sandbox(
        &self,
        config: PodSandboxConfig,
        handler: &str,
    ) -> Result<String, CallError> {
        let object = config
            .metadata
            .as_ref()
            .map(|m| format!("{}/{} ({})", m.namespace, m.name, m.uid))
            .unwrap_or_default();
        let message = RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: handler.to_owned(),
        };
        let mut stub = self.runtime();
        call("RunPodSandbox", &object, SANDBOX, message, |m| async move {
            stub.run_pod_sandbox(m).await
        })
        .await
        .map(|r| r.pod_sandbox_id)
    }

    /// Kills what runs in the sandbox and gives its network back. Repeatable.
    pub async fn stop_pod_sandbox(&self, id: &str) -> Result<(), CallError> {
        let message = StopPodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        let mut stub = self.runtime();
        call("StopPodSandbox", id, SANDBOX, message, |m| async move {
            stub.stop_pod_sandbox(m).await
        })
        .await
        .map(drop)
    }

    /// Removes a sandbox with its containers. Repeatable.
    pub async fn remove_pod_sandbox(&self, id: &str) -> Result<(), CallError> {
        let message = RemovePodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        let mut stub = self.runtime();
        call("RemovePodSandbox", id, CHANGE, message, |m| async move {
            stub.remove_pod_sandbox(m).await
        })
        .await
        .map(drop)
    }

    /// A sandbox's status; `verbose` adds what containerd knows about its network namespace and process.
    pub async fn pod_sandbox_status(
        &self,
        id: &str,
        verbose: bool,
    ) -> Result<PodSandboxStatusResponse, CallError> {
        let message = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose,
        };
        let mut stub = self.runtime();
        call("PodSandboxStatus", id, READ, message, |m| async move {
            stub.pod_sandbox_status(m).await
        })
        .await
    }

    /// Sandboxes that match.
    pub async fn list_pod_sandbox(
        &self,
        filter: PodSandboxFilter,
    ) -> Result<Vec<PodSandbox>, CallError> {
        let message = ListPodSandboxRequest {
            filter: Some(filter),
        };
        let mut stub = self.runtime();
        call("ListPodSandbox", "", READ, message, |m| async move {
            stub.list_pod_sandbox(m).await
        })
        .await
        .map(|r| r.items)
    }
}
