//! Calls about containers, and streams into them.

use std::time::Duration;

use super::{CHANGE, Client, LONGEST, READ, call, call_or};
use crate::error::{CallError, ErrorKind};
use crate::v1::{self, *};

impl Client {
    /// Makes a container in a sandbox; returns its id. `sandbox` is the configuration the sandbox was made from.
    pub async fn create_container(
        &self,
        sandbox_id: &str,
        container: ContainerConfig,
        sandbox: PodSandboxConfig,
    ) -> Result<String, CallError> {
        let name = container
            .metadata
            .as_ref()
            .map(|m| m.name.as_str())
            .unwrap_or_default();
        let object = format!("{name} in {sandbox_id}");
        let message = CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(container),
            sandbox_config: Some(sandbox),
        };
        let mut stub = self.runtime();
        call(
            "CreateContainer",
            &object,
            CHANGE,
            message,
            |m| async move { stub.create_container(m).await },
        )
        .await
        .map(|r| r.container_id)
    }

    /// Starts a created container.
    pub async fn start_container(&self, id: &str) -> Result<(), CallError> {
        let message = StartContainerRequest {
            container_id: id.to_owned(),
        };
        let mut stub = self.runtime();
        call("StartContainer", id, CHANGE, message, |m| async move {
            stub.start_container(m).await
        })
        .await
        .map(drop)
    }

    /// Sends the stop signal, waits `grace` (whole seconds), kills. Returns when the container is down.
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), CallError> {
        let grace = grace.min(LONGEST);
        let message = StopContainerRequest {
            container_id: id.to_owned(),
            timeout: grace.as_secs().cast_signed(),
        };
        let mut stub = self.runtime();
        let deadline = CHANGE + grace;
        call("StopContainer", id, deadline, message, |m| async move {
            stub.stop_container(m).await
        })
        .await
        .map(drop)
    }

    /// Removes a container, killing it if need be. Repeatable.
    pub async fn remove_container(&self, id: &str) -> Result<(), CallError> {
        let message = RemoveContainerRequest {
            container_id: id.to_owned(),
        };
        let mut stub = self.runtime();
        call("RemoveContainer", id, CHANGE, message, |m| async move {
            stub.remove_container(m).await
        })
        .await
        .map(drop)
    }

    /// Containers that match.
    pub async fn list_containers(
        &self,
        filter: ContainerFilter,
    ) -> Result<Vec<Container>, CallError> {
        let message = ListContainersRequest {
            filter: Some(filter),
        };
        let mut stub = self.runtime();
        call("ListContainers", "", READ, message, |m| async move {
            stub.list_containers(m).await
        })
        .await
        .map(|r| r.containers)
    }

    /// A container's status.
    pub async fn container_status(&self, id: &str) -> Result<v1::ContainerStatus, CallError> {
        self.container_status_verbose(id, false)
            .await
            .map(|(status, _)| status)
    }

    /// A container's status and, if `verbose`, what containerd knows about its process.
    pub async fn container_status_verbose(
        &self,
        id: &str,
        verbose: bool,
    ) -> Result<
        (
            v1::ContainerStatus,
            std::collections::HashMap<String, String>,
        ),
        CallError,
    > {
        let message = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose,
        };
        let mut stub = self.runtime();
        let response = call("ContainerStatus", id, READ, message, |m| async move {
            stub.container_status(m).await
        })
        .await?;
        let status = response
            .status
            .ok_or_else(|| CallError::incomplete("ContainerStatus", id, "status"))?;
        Ok((status, response.info))
    }

    /// Changes a running container's limits.
    pub async fn update_container_resources(
        &self,
        id: &str,
        linux: LinuxContainerResources,
    ) -> Result<(), CallError> {
        let message = UpdateContainerResourcesRequest {
            container_id: id.to_owned(),
            linux: Some(linux),
            ..Default::default()
        };
        let mut stub = self.runtime();
        call(
            "UpdateContainerResources",
            id,
            CHANGE,
            message,
            |m| async move { stub.update_container_resources(m).await },
        )
        .await
        .map(drop)
    }

    /// Has the runtime open a container's log file anew, after the old one was renamed.
    pub async fn reopen_container_log(&self, id: &str) -> Result<(), CallError> {
        let message = ReopenContainerLogRequest {
            container_id: id.to_owned(),
        };
        let mut stub = self.runtime();
        call("ReopenContainerLog", id, READ, message, |m| async move {
            stub.reopen_container_log(m).await
        })
        .await
        .map(drop)
    }

    /// Runs a command to its end, or kills it after `timeout` (whole seconds, at least one).
    pub async fn exec_sync(
        &self,
        id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecSyncResponse, CallError> {
        let timeout = timeout.min(LONGEST);
        // Zero would mean for ever.
        let seconds = (timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)).max(1);
        let message = ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            timeout: seconds.cast_signed(),
        };
        let mut stub = self.runtime();
        // Much later than the runtime's own limit, which counts from the command's start and says that it was the command which
        // took too long: a slow machine needs seconds to start it, and a probe must not fail for that.
        let deadline = Duration::from_secs(seconds + 60);
        // A runtime that does not answer even then hangs, which says nothing about the command.
        let silence = ErrorKind::Unavailable;
        call_or(silence, "ExecSync", id, deadline, message, |m| async move {
            stub.exec_sync(m).await
        })
        .await
    }

    /// The URL at which the runtime serves the streams of a command.
    pub async fn exec(&self, request: ExecRequest) -> Result<String, CallError> {
        let id = request.container_id.clone();
        let mut stub = self.runtime();
        call(
            "Exec",
            &id,
            READ,
            request,
            |m| async move { stub.exec(m).await },
        )
        .await
        .map(|r| r.url)
    }

    /// The URL at which the runtime serves the streams of a container's first process.
    pub async fn attach(&self, request: AttachRequest) -> Result<String, CallError> {
        let id = request.container_id.clone();
        let mut stub = self.runtime();
        call("Attach", &id, READ, request, |m| async move {
            stub.attach(m).await
        })
        .await
        .map(|r| r.url)
    }

    /// The URL at which the runtime forwards to ports of a sandbox.
    pub async fn port_forward(&self, sandbox_id: &str, ports: &[u16]) -> Result<String, CallError> {
        let message = PortForwardRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            port: ports.iter().map(|port| i32::from(*port)).collect(),
        };
        let mut stub = self.runtime();
        call("PortForward", sandbox_id, READ, message, |m| async move {
            stub.port_forward(m).await
        })
        .await
        .map(|r| r.url)
    }

    /// Measurements of running containers that match.
    pub async fn list_container_stats(
        &self,
        filter: ContainerStatsFilter,
    ) -> Result<Vec<ContainerStats>, CallError> {
        let message = ListContainerStatsRequest {
            filter: Some(filter),
        };
        let mut stub = self.runtime();
        call("ListContainerStats", "", READ, message, |m| async move {
            stub.list_container_stats(m).await
        })
        .await
        .map(|r| r.stats)
    }
}
