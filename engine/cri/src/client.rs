//! The client: one method for each call, each with its deadline.
//!
//! Know before changing: a deadline is enforced twice, as the `grpc-timeout` header, by which the runtime gives up its own work,
//! and here, because a runtime that hangs honours no header. The second is later by [`SLACK`], so that the runtime's own
//! message wins where there is one.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

use crate::error::CallError;
use crate::events::Events;
use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::runtime_service_client::RuntimeServiceClient;
use crate::v1::{self, *};

/// The largest message accepted from a runtime: two streams of `ExecSync` at 16 MiB each, and room around them.
pub const MAX_MESSAGE_BYTES: usize = 40 << 20;

/// For calls that only read. A machine under memory pressure with a slow disk takes many seconds for a list.
const READ: Duration = Duration::from_secs(30);
/// For calls that change something; kubelet's default for a runtime request.
const CHANGE: Duration = Duration::from_secs(120);
/// A sandbox needs several processes, a network and mounts; kubelet doubles its default for it.
const SANDBOX: Duration = Duration::from_secs(240);
const SLACK: Duration = Duration::from_secs(2);

/// A connection to a runtime's socket. Cheap to clone; opens itself at the first call and again after a break.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client for the Unix socket at `socket`. Connects at the first call, which must run on a tokio runtime.
    pub fn new(socket: &Path) -> Self {
        let path = socket.to_path_buf();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(&path).await.map(TokioIo::new) }
        });
        // The authority is never resolved; it only has to be a valid one.
        let channel = Endpoint::from_static("http://localhost")
            .connect_timeout(Duration::from_secs(5))
            .connect_with_connector_lazy(connector);
        Client { channel }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The runtime's name and version.
    pub async fn version(&self) -> Result<VersionResponse, CallError> {
        let message = VersionRequest {
            version: "v1".into(),
        };
        let mut stub = self.runtime();
        call("Version", "", READ, message, |m| async move {
            stub.version(m).await
        })
        .await
    }

    /// The runtime's conditions; `verbose` adds its configuration.
    pub async fn status(&self, verbose: bool) -> Result<StatusResponse, CallError> {
        let mut stub = self.runtime();
        call(
            "Status",
            "",
            READ,
            StatusRequest { verbose },
            |m| async move { stub.status(m).await },
        )
        .await
    }

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
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let message = StopContainerRequest {
            container_id: id.to_owned(),
            timeout,
        };
        let mut stub = self.runtime();
        let deadline = CHANGE.saturating_add(grace);
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
        // Zero would mean for ever.
        let seconds = timeout
            .as_secs()
            .saturating_add(u64::from(timeout.subsec_nanos() > 0))
            .max(1);
        let message = ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            timeout: i64::try_from(seconds).unwrap_or(i64::MAX),
        };
        let mut stub = self.runtime();
        // Later than the runtime's own limit, whose answer says that it was the command which took too long.
        let deadline = Duration::from_secs(seconds).saturating_add(Duration::from_secs(5));
        call("ExecSync", id, deadline, message, |m| async move {
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

    /// Every image present.
    pub async fn list_images(&self) -> Result<Vec<Image>, CallError> {
        let mut stub = self.images();
        call(
            "ListImages",
            "",
            READ,
            ListImagesRequest::default(),
            |m| async move { stub.list_images(m).await },
        )
        .await
        .map(|r| r.images)
    }

    /// The image of that name or id, if it is present.
    pub async fn image_status(&self, image: &str) -> Result<Option<Image>, CallError> {
        let message = ImageStatusRequest {
            image: Some(spec(image)),
            verbose: false,
        };
        let mut stub = self.images();
        call("ImageStatus", image, READ, message, |m| async move {
            stub.image_status(m).await
        })
        .await
        .map(|r| r.image)
    }

    /// Fetches an image from its registry within `deadline`; returns its id.
    pub async fn pull_image(
        &self,
        image: &str,
        auth: Option<AuthConfig>,
        deadline: Duration,
    ) -> Result<String, CallError> {
        let message = PullImageRequest {
            image: Some(spec(image)),
            auth,
            sandbox_config: None,
        };
        let mut stub = self.images();
        call("PullImage", image, deadline, message, |m| async move {
            stub.pull_image(m).await
        })
        .await
        .map(|r| r.image_ref)
    }

    /// Removes an image with all its tags. Repeatable.
    pub async fn remove_image(&self, image: &str) -> Result<(), CallError> {
        let message = RemoveImageRequest {
            image: Some(spec(image)),
        };
        let mut stub = self.images();
        call("RemoveImage", image, CHANGE, message, |m| async move {
            stub.remove_image(m).await
        })
        .await
        .map(drop)
    }

    /// The file systems that hold images.
    pub async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, CallError> {
        let mut stub = self.images();
        call(
            "ImageFsInfo",
            "",
            READ,
            ImageFsInfoRequest {},
            |m| async move { stub.image_fs_info(m).await },
        )
        .await
        .map(|r| r.image_filesystems)
    }

    /// Subscribes to containerd's own events. Fails with [`crate::ErrorKind::Unimplemented`] at other runtimes.
    pub async fn events(&self) -> Result<Events, CallError> {
        Events::subscribe(self).await
    }
}

fn spec(image: &str) -> ImageSpec {
    ImageSpec {
        image: image.to_owned(),
        ..Default::default()
    }
}

async fn call<M, R, F>(
    name: &'static str,
    object: &str,
    deadline: Duration,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, CallError>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    match tokio::time::timeout(deadline.saturating_add(SLACK), send(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(CallError::status(name, object, &status)),
        Err(_) => Err(CallError::timeout(name, object, deadline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn no_socket_is_unavailable() {
        let client = Client::new(Path::new("/nonexistent/containerd.sock"));
        let error = client.version().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}
