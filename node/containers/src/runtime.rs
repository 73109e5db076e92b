//! [`PodRuntime`] carried out on CRI: this file is the list of calls; what takes more than a few lines is in the modules below.

mod changes;
mod errors;
mod housekeeping;
mod known;
mod pods;
mod signal;
mod starts;
mod stop;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use minicloud_agent::runtime::{
    ContainerSpec, ExecOutput, Image, ObservedPod, PodChange, PodRuntime, PodStats, RegistryAuth,
    RuntimeError, RuntimeStatus, SandboxSpec, StreamRequest,
};
use minicloud_cri::{Client, v1};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::cgroups::{CgroupError, Cgroups};
use crate::config::{Config, Engine};
use crate::containerd::{ContainerdError, Supervisor};
use crate::images::import::{self, ImportError, Importer};
use crate::images::{pause, reference};
use crate::translate;

use errors::{blocking, runtime_error};
use known::Known;
use starts::Starts;

/// A pull may take this long, on a slow line.
const PULL: Duration = Duration::from_secs(3600);
/// How long the end of the process waits for what is being started.
const FINISH: Duration = Duration::from_secs(8);
/// Notices that may wait for a slow receiver before it has to look at everything.
const NOTICES: usize = 256;

/// Why the runtime cannot be had. Report it and exit: a person must do something.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine does not run.
    #[error("containerd cannot be used")]
    Containerd(#[from] ContainerdError),
    /// The sandbox image did not get in.
    #[error("the sandbox image cannot be brought in")]
    Pause(#[from] ImportError),
    /// The image itself could not be made.
    #[error("the sandbox image cannot be made")]
    Archive(#[source] minicloud_images::ImageError),
    /// The cgroup hierarchies cannot be seen.
    #[error("the cgroup hierarchies cannot be read from /proc/self/mountinfo")]
    Cgroups(#[source] std::io::Error),
}

/// Pods on containerd. Dropping it ends what this process does about them, and leaves them and containerd running.
#[derive(Debug)]
pub struct Runtime {
    shared: Arc<Shared>,
    _supervisor: Option<Supervisor>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    client: Client,
    cgroups: Cgroups,
    importer: Importer,
    known: Mutex<Known>,
    starts: Arc<Starts>,
    changes: broadcast::Sender<PodChange>,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic while it was held leaves a cache that is at worst incomplete.
        self.known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Runtime {
    /// Starts or adopts the engine, brings the sandbox image in if it is missing, and begins to watch.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let cgroups = Cgroups::detect(&config.cgroup_parent).map_err(StartError::Cgroups)?;
        let socket = config.engine.socket();
        let client = Client::new(&socket);
        let (supervisor, ctr) = match &config.engine {
            Engine::Supervised(containerd) => (
                Some(Supervisor::start(containerd.clone()).await?),
                containerd.ctr.clone(),
            ),
            Engine::Endpoint { .. } => (None, "ctr".into()),
        };
        let importer = Importer {
            ctr,
            socket,
            client: client.clone(),
        };
        if supervisor.is_some() && !matches!(client.image_status(pause::IMAGE).await, Ok(Some(_))) {
            let archive = pause::archive().map_err(StartError::Archive)?;
            import::import_bytes(&importer, &archive, pause::IMAGE).await?;
        }
        let shared = Arc::new(Shared {
            config,
            client,
            cgroups,
            importer,
            known: Mutex::default(),
            starts: Arc::default(),
            changes: broadcast::Sender::new(NOTICES),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(changes::watch(shared.clone()));
        tasks.spawn(changes::relist(shared.clone()));
        tasks.spawn(housekeeping::rotate_logs(shared.clone()));
        tasks.spawn(housekeeping::collect_images(shared.clone()));
        if supervisor.is_some() {
            tasks.spawn(housekeeping::end_orphans(shared.clone()));
        }
        Ok(Runtime {
            shared,
            _supervisor: supervisor,
            _tasks: tasks,
        })
    }

    /// Imports every image of an archive (OCI or Docker); returns their complete names.
    pub async fn import_image(
        &self,
        archive: &std::path::Path,
    ) -> Result<Vec<String>, ImportError> {
        import::import(&self.shared.importer, archive).await
    }

    /// Waits, not for long, until what is being started is started: call it before the process ends.
    pub async fn finish_starts(&self) {
        self.shared.starts.finished(FINISH).await;
    }

    /// The CRI client, for what the trait has no call for.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The cgroups of this machine, for runtimes that share a pod's.
    pub fn cgroups(&self) -> &Cgroups {
        &self.shared.cgroups
    }

    fn cri(&self) -> &Client {
        &self.shared.client
    }

    async fn make_cgroup(&self, sandbox: &SandboxSpec, path: &str) -> Result<(), RuntimeError> {
        let cgroups = self.shared.cgroups.clone();
        let (path, resources) = (path.to_owned(), sandbox.resources.clone());
        blocking(move || cgroups.create(&path, &resources))
            .await?
            .map_err(|error| failed(&error))
    }
}

fn failed(error: &CgroupError) -> RuntimeError {
    let source = std::error::Error::source(error)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    RuntimeError::Failed(format!("{error}{source}"))
}

/// A name as CRI looks it up; an image's id stays.
fn complete(image: &str) -> Result<String, RuntimeError> {
    if reference::is_image_id(image) {
        return Ok(image.to_owned());
    }
    reference::normalize(image).map_err(|error| RuntimeError::InvalidImageName(error.to_string()))
}

fn image(image: v1::Image) -> Image {
    Image {
        id: image.id,
        tags: image.repo_tags,
        digests: image.repo_digests,
        size_bytes: image.size,
        uid: image.uid.map(|uid| uid.value),
        username: image.username,
    }
}

#[async_trait]
impl PodRuntime for Runtime {
    async fn status(&self) -> Result<RuntimeStatus, RuntimeError> {
        let (version, status) = futures::try_join!(self.cri().version(), self.cri().status(false))
            .map_err(runtime_error)?;
        let conditions = status.status.unwrap_or_default().conditions;
        let problem =
            |kind: &str| match conditions.iter().find(|condition| condition.r#type == kind) {
                Some(condition) if condition.status => None,
                Some(condition) => Some(format!("{}: {}", condition.reason, condition.message)),
                None => Some(format!("the runtime does not report {kind}")),
            };
        Ok(RuntimeStatus {
            name: version.runtime_name,
            version: version.runtime_version,
            runtime_problem: problem("RuntimeReady"),
            network_problem: problem("NetworkReady"),
        })
    }

    async fn list_pods(&self) -> Result<Vec<ObservedPod>, RuntimeError> {
        pods::all(&self.shared).await
    }

    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError> {
        pods::one(&self.shared, uid).await
    }

    fn changes(&self) -> broadcast::Receiver<PodChange> {
        self.shared.changes.subscribe()
    }

    async fn run_sandbox(&self, sandbox: &SandboxSpec) -> Result<String, RuntimeError> {
        let cgroup =
            translate::cgroup_path(self.shared.cgroups.parent(), sandbox.qos, &sandbox.uid);
        self.make_cgroup(sandbox, &cgroup).await?;
        pods::make_dir(&sandbox.log_directory).await?;
        let config = translate::sandbox(sandbox, &cgroup);
        let (cri, handler) = (self.cri().clone(), sandbox.runtime_handler.clone());
        let call = async move { cri.run_pod_sandbox(config, &handler).await };
        match self.shared.starts.carry(call).await {
            Ok(id) => Ok(id),
            Err(error) => {
                // While the runtime may still be at it, the cgroup is its.
                if !matches!(
                    error,
                    RuntimeError::Timeout(_) | RuntimeError::Unavailable(_)
                ) {
                    pods::release(&self.shared, &sandbox.uid, &cgroup, &sandbox.log_directory)
                        .await;
                }
                Err(error)
            }
        }
    }

    async fn stop_sandbox(&self, sandbox_id: &str) -> Result<(), RuntimeError> {
        errors::absent_is_done(self.cri().stop_pod_sandbox(sandbox_id).await)
    }

    async fn remove_sandbox(&self, sandbox_id: &str) -> Result<(), RuntimeError> {
        pods::remove_sandbox(&self.shared, sandbox_id).await
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        sandbox: &SandboxSpec,
        container: &ContainerSpec,
    ) -> Result<String, RuntimeError> {
        if let Some(name) = &container.stop_signal {
            signal::parse(name)?;
        }
        let mut config =
            translate::container(container, sandbox, self.shared.cgroups.layout().is_v2());
        pods::complete_user(&self.shared, &mut config, &container.image_id).await?;
        if let Some(dir) = sandbox.log_directory.join(&container.log_path).parent() {
            pods::make_dir(dir).await?;
        }
        let cgroup =
            translate::cgroup_path(self.shared.cgroups.parent(), sandbox.qos, &sandbox.uid);
        let sandbox = translate::sandbox(sandbox, &cgroup);
        let (cri, id) = (self.cri().clone(), sandbox_id.to_owned());
        let call = async move { cri.create_container(&id, config, sandbox).await };
        self.shared.starts.carry(call).await
    }

    async fn start_container(&self, container_id: &str) -> Result<(), RuntimeError> {
        let (cri, id) = (self.cri().clone(), container_id.to_owned());
        let call = async move { cri.start_container(&id).await };
        self.shared.starts.carry(call).await
    }

    async fn stop_container(
        &self,
        container_id: &str,
        grace: Duration,
    ) -> Result<(), RuntimeError> {
        stop::stop(self.cri(), container_id, grace).await
    }

    async fn remove_container(&self, container_id: &str) -> Result<(), RuntimeError> {
        pods::remove_container(&self.shared, container_id).await
    }

    async fn exec_sync(
        &self,
        container_id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, RuntimeError> {
        let output = self
            .cri()
            .exec_sync(container_id, command, timeout)
            .await
            .map_err(runtime_error)?;
        Ok(ExecOutput {
            exit_code: output.exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    async fn stream_url(&self, stream: &StreamRequest) -> Result<String, RuntimeError> {
        let cri = self.cri();
        let url = match stream {
            StreamRequest::Exec {
                container_id,
                command,
                io,
            } => {
                cri.exec(v1::ExecRequest {
                    container_id: container_id.clone(),
                    cmd: command.clone(),
                    tty: io.tty,
                    stdin: io.stdin,
                    stdout: io.stdout,
                    stderr: io.stderr && !io.tty,
                })
                .await
            }
            StreamRequest::Attach { container_id, io } => {
                cri.attach(v1::AttachRequest {
                    container_id: container_id.clone(),
                    stdin: io.stdin,
                    tty: io.tty,
                    stdout: io.stdout,
                    stderr: io.stderr && !io.tty,
                })
                .await
            }
            StreamRequest::PortForward { sandbox_id, ports } => {
                cri.port_forward(sandbox_id, ports).await
            }
        };
        url.map_err(runtime_error)
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        let found = self
            .cri()
            .image_status(&complete(name)?)
            .await
            .map_err(runtime_error)?;
        Ok(found.map(image))
    }

    async fn pull_image(&self, name: &str, auth: &[RegistryAuth]) -> Result<Image, RuntimeError> {
        let complete = complete(name)?;
        let attempts = auth
            .iter()
            .map(|auth| Some(errors::auth(auth)))
            .chain([None]);
        let mut problems: Vec<String> = Vec::new();
        for auth in attempts {
            match self.cri().pull_image(&complete, auth, PULL).await {
                Ok(id) => {
                    import::sync().await;
                    let found = self.cri().image_status(&id).await.map_err(runtime_error)?;
                    return found.map(image).ok_or_else(|| {
                        RuntimeError::NotFound(format!(
                            "image {name}, though it was pulled just now"
                        ))
                    });
                }
                Err(error) => match runtime_error(error) {
                    RuntimeError::Unavailable(words) => {
                        return Err(RuntimeError::Unavailable(words));
                    }
                    error => {
                        let words = error.to_string();
                        if !problems.contains(&words) {
                            problems.push(words);
                        }
                    }
                },
            }
        }
        Err(RuntimeError::Failed(problems.join("; ")))
    }

    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError> {
        let images = self.cri().list_images().await.map_err(runtime_error)?;
        Ok(images.into_iter().map(image).collect())
    }

    async fn remove_image(&self, image_id: &str) -> Result<(), RuntimeError> {
        errors::absent_is_done(self.cri().remove_image(image_id).await)
    }

    async fn stats(&self) -> Result<Vec<PodStats>, RuntimeError> {
        let stats = self
            .cri()
            .list_container_stats(Default::default())
            .await
            .map_err(runtime_error)?;
        Ok(translate::pod_stats(stats, Timestamp::now()))
    }

    /// The pod range is in the CNI configuration, which the network part writes; containerd watches that folder.
    async fn set_pod_cidrs(&self, _cidrs: &[String]) -> Result<(), RuntimeError> {
        Ok(())
    }
}
