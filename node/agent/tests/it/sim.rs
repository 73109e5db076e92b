//! A runtime in memory: containers "run" until a test ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use minicloud_agent::runtime::*;
use tokio::sync::broadcast;

#[derive(Default)]
pub struct State {
    pub pods: BTreeMap<String, ObservedPod>,
    pub specs: BTreeMap<String, ContainerSpec>,
    pub sandboxes: BTreeMap<String, SandboxSpec>,
    /// Images that cannot be had.
    pub missing: BTreeSet<String>,
    /// Exit codes of exec, by the command's words.
    pub exec: BTreeMap<String, i32>,
    /// What was done, in order.
    pub calls: Vec<String>,
    /// Where streams go.
    pub stream_url: String,
    pub down: bool,
    next: u32,
}

pub struct Sim {
    state: Mutex<State>,
    changes: broadcast::Sender<PodChange>,
}

impl Sim {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changes: broadcast::channel(64).0,
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }

    /// Calls that begin with `word`.
    pub fn count(&self, word: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|c| c.starts_with(word))
            .count()
    }

    /// A container's process ends.
    pub fn exit(&self, pod: &str, container: &str, code: i32) {
        let mut state = self.state();
        let uid = format!("u-{pod}");
        let found = state.pods.get_mut(&uid).expect("the pod runs");
        let running = found
            .containers
            .iter_mut()
            .find(|c| c.name == container && matches!(c.state, ContainerState::Running { .. }));
        end(running.expect("the container runs"), code);
        drop(state);
        let _ = self.changes.send(PodChange::Pod(uid));
    }

    /// The machine loses power: what ran is over, and the sandboxes with it.
    pub fn power_cut(&self) {
        let mut state = self.state();
        for pod in state.pods.values_mut() {
            pod.sandboxes.iter_mut().for_each(|s| s.ready = false);
            for container in &mut pod.containers {
                if matches!(container.state, ContainerState::Running { .. }) {
                    end(container, 255);
                }
            }
        }
    }

    /// The specification of a pod's running container.
    pub fn running(&self, pod: &str, container: &str) -> Option<ContainerSpec> {
        let state = self.state();
        let pod = state.pods.get(&format!("u-{pod}"))?;
        let found = pod
            .containers
            .iter()
            .find(|c| c.name == container && matches!(c.state, ContainerState::Running { .. }))?;
        state.specs.get(&found.id).cloned()
    }

    fn find<T>(
        &self,
        id: &str,
        act: impl FnOnce(&mut ObservedContainer) -> T,
    ) -> Result<T, RuntimeError> {
        let mut state = self.state();
        let all = state.pods.values_mut().flat_map(|p| &mut p.containers);
        let found = all.into_iter().find(|c| c.id == id);
        found
            .map(act)
            .ok_or_else(|| RuntimeError::NotFound(id.into()))
    }
}

fn end(container: &mut ObservedContainer, exit_code: i32) {
    container.state = ContainerState::Exited {
        started_at: Some(container.created_at),
        finished_at: Timestamp::now(),
        exit_code,
        reason: String::new(),
        message: String::new(),
    };
}

#[async_trait]
impl PodRuntime for Sim {
    async fn status(&self) -> Result<RuntimeStatus, RuntimeError> {
        Ok(RuntimeStatus {
            name: "sim".into(),
            version: "1".into(),
            ..RuntimeStatus::default()
        })
    }

    async fn list_pods(&self) -> Result<Vec<ObservedPod>, RuntimeError> {
        Ok(self.state().pods.values().cloned().collect())
    }

    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError> {
        let state = self.state();
        if state.down {
            return Err(RuntimeError::Unavailable("down".into()));
        }
        Ok(state.pods.get(uid).cloned())
    }

    fn changes(&self) -> broadcast::Receiver<PodChange> {
        self.changes.subscribe()
    }

    async fn run_sandbox(&self, spec: &SandboxSpec) -> Result<String, RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!("run {}", spec.name));
        state.next += 1;
        let id = format!("sandbox-{}", state.next);
        let ip = format!("10.42.0.{}", state.next);
        state.sandboxes.insert(id.clone(), spec.clone());
        let pod = state
            .pods
            .entry(spec.uid.clone())
            .or_insert_with(|| ObservedPod {
                uid: spec.uid.clone(),
                namespace: spec.namespace.clone(),
                name: spec.name.clone(),
                ..ObservedPod::default()
            });
        let fresh = ObservedSandbox {
            id: id.clone(),
            attempt: spec.attempt,
            ready: true,
            created_at: Timestamp::now(),
            ips: vec![ip],
            host_network: spec.network == NamespaceMode::Node,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
        };
        pod.sandboxes.insert(0, fresh);
        Ok(id)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!("stop-sandbox {id}"));
        for pod in state.pods.values_mut() {
            for sandbox in pod.sandboxes.iter_mut().filter(|s| s.id == id) {
                sandbox.ready = false;
            }
        }
        Ok(())
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut state = self.state();
        for pod in state.pods.values_mut() {
            pod.sandboxes.retain(|s| s.id != id);
            pod.containers.retain(|c| c.sandbox_id != id);
        }
        state.pods.retain(|_, p| !p.sandboxes.is_empty());
        Ok(())
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        sandbox: &SandboxSpec,
        spec: &ContainerSpec,
    ) -> Result<String, RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!(
            "create {} {}#{}",
            sandbox.name, spec.name, spec.attempt
        ));
        state.next += 1;
        let id = format!("container-{}", state.next);
        state.specs.insert(id.clone(), spec.clone());
        let pod = state
            .pods
            .get_mut(&sandbox.uid)
            .ok_or(RuntimeError::NotFound(sandbox_id.into()))?;
        pod.containers.push(ObservedContainer {
            id: id.clone(),
            sandbox_id: sandbox_id.into(),
            name: spec.name.clone(),
            attempt: spec.attempt,
            image: spec.image.clone(),
            image_ref: spec.image_id.clone(),
            state: ContainerState::Created,
            created_at: Timestamp::now(),
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            log_path: sandbox.log_directory.join(&spec.log_path),
        });
        Ok(id)
    }

    async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.find(id, |c| {
            c.state = ContainerState::Running {
                started_at: Timestamp::now(),
            }
        })
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        self.state()
            .calls
            .push(format!("stop {id} {}", grace.as_secs()));
        let ended = self.find(id, |c| {
            if matches!(c.state, ContainerState::Running { .. }) {
                end(c, 143);
            }
        });
        match ended {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let mut state = self.state();
        state
            .pods
            .values_mut()
            .for_each(|p| p.containers.retain(|c| c.id != id));
        Ok(())
    }

    async fn exec_sync(
        &self,
        _: &str,
        command: &[String],
        _: Duration,
    ) -> Result<ExecOutput, RuntimeError> {
        let mut state = self.state();
        let words = command.join(" ");
        state.calls.push(format!("exec {words}"));
        let exit_code = state.exec.get(&words).copied().unwrap_or(0);
        Ok(ExecOutput {
            exit_code,
            ..ExecOutput::default()
        })
    }

    async fn stream_url(&self, _: &StreamRequest) -> Result<String, RuntimeError> {
        Ok(self.state().stream_url.clone())
    }

    async fn image(&self, image: &str) -> Result<Option<Image>, RuntimeError> {
        let missing = self.state().missing.contains(image);
        Ok((!missing).then(|| Image {
            id: format!("sha256:{image}"),
            uid: Some(0),
            ..Image::default()
        }))
    }

    async fn pull_image(&self, image: &str, _: &[RegistryAuth]) -> Result<Image, RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!("pull {image}"));
        Err(RuntimeError::Failed("there is no registry".into()))
    }

    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(vec![Image {
            id: "sha256:x".into(),
            tags: vec!["img:1".into()],
            size_bytes: 7,
            ..Image::default()
        }])
    }

    async fn remove_image(&self, _: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stats(&self) -> Result<Vec<PodStats>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn set_pod_cidrs(&self, cidrs: &[String]) -> Result<(), RuntimeError> {
        self.state().calls.push(format!("cidr {}", cidrs.join(",")));
        Ok(())
    }
}
