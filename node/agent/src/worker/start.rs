//! Starts one container: image, environment, mounts, create, start, postStart. The reasons of its failures are the kubelet's.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::prepare::Prepared;
use crate::events::Severity;
use crate::probe::check::{self, Target};
use crate::runtime::{Image, Mount};
use crate::shared::Shared;
use crate::volumes::{MountInputs, container_mounts};
use crate::{dns, env, pod, security, translate};

/// Longest postStart hook; the kubelet has no limit, but a hook that hangs must not hold a pod for ever.
const POST_START: Duration = Duration::from_secs(600);

/// What to start, and where.
pub(super) struct Order {
    pub(super) name: String,
    pub(super) attempt: u32,
    pub(super) sandbox_id: String,
    pub(super) sandbox_attempt: u32,
    pub(super) pod_ips: Vec<String>,
    /// A container of the same number that was created and never started.
    pub(super) leftover: Option<String>,
}

/// Why a container was not started: `status.state.waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) message: String,
}

fn failed(reason: &str) -> impl Fn(String) -> Failure {
    move |message| Failure {
        reason: reason.into(),
        message,
    }
}

/// Starts the container; gives its id.
pub(super) async fn start(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    prepared: &Prepared,
    order: &Order,
    mut stop: watch::Receiver<bool>,
) -> Result<String, Failure> {
    let Some((_, container)) = pod::container(pod, &order.name) else {
        return Err(failed("CreateContainerConfigError")(format!(
            "container {:?} is not in the pod",
            order.name
        )));
    };
    let config_error = |message: String| {
        shared.events.pod(
            pod,
            Some(&order.name),
            Severity::Warning,
            "Failed",
            format!("Error: {message}"),
        );
        failed("CreateContainerConfigError")(message)
    };
    let image = tokio::select! {
        image = shared.images.ensure(pod, container, &prepared.objects) => image,
        // A pull may take minutes; a pod that is to go does not wait for it.
        _ = stop.wait_for(|stop| *stop) => return Err(failed("ContainerCreating")("the pod is being stopped".into())),
    };
    let image = image.map_err(|m| failed(m.reason)(m.message))?;
    let names = pod::referenced_objects(pod);
    let namespace = pod::namespace(pod);
    let objects = shared
        .objects
        .resolve(namespace, &names, &prepared.objects, shared.patience())
        .await
        .map_err(config_error)?;
    let services = shared.services.of(namespace, shared.patience()).await;
    let inputs = env::Inputs {
        objects: &objects,
        services: &services,
        pod_ips: &order.pod_ips,
        host_ips: &shared.host.ips,
        allocatable: &shared.allocatable,
    };
    let env = env::environment(pod, container, inputs).map_err(config_error)?;
    security::check_non_root(pod, container, &image).map_err(config_error)?;
    // What waits for the API server is behind us: a permit is held for the machine's own work only.
    let _permit = shared.starts.acquire().await;
    let made = {
        let (shared, pod, prepared, env, order) = (
            shared.clone(),
            pod.clone(),
            prepared.claims.clone(),
            env.clone(),
            (order.name.clone(), order.attempt, order.pod_ips.clone()),
        );
        tokio::task::spawn_blocking(move || {
            files(&shared, &pod, &prepared, &env, &order.0, order.1, &order.2)
        })
        .await
    };
    let (mounts, message_file) = made
        .map_err(|e| config_error(format!("making the mounts broke off: {e}")))?
        .map_err(config_error)?;
    if let Some(id) = &order.leftover {
        let _ = shared.runtime.remove_container(id).await;
    }
    create(shared, pod, order, &image, env, mounts, &message_file).await
}

async fn create(
    shared: &Shared,
    pod: &Pod,
    order: &Order,
    image: &Image,
    env: Vec<(String, String)>,
    mounts: Vec<Mount>,
    message_file: &Path,
) -> Result<String, Failure> {
    let Some((_, container)) = pod::container(pod, &order.name) else {
        return Err(failed("CreateContainerConfigError")(format!(
            "container {:?} is not in the pod",
            order.name
        )));
    };
    let event = |severity, reason, message: String| {
        shared
            .events
            .pod(pod, Some(&order.name), severity, reason, message)
    };
    let parts = translate::Parts {
        attempt: order.attempt,
        image,
        env,
        mounts,
        message_file: Some(message_file),
        node_memory_bytes: shared.memory_bytes,
    };
    let spec = translate::container(pod, container, parts);
    let sandbox = translate::sandbox(
        pod,
        order.sandbox_attempt,
        &shared.config.log_dir,
        shared.resolver(pod),
        &shared.config.cluster_domain,
    )
    .map_err(failed("CreateContainerConfigError"))?;
    let id = shared
        .runtime
        .create_container(&order.sandbox_id, &sandbox, &spec)
        .await
        .map_err(|e| {
            event(Severity::Warning, "Failed", format!("Error: {e}"));
            failed("CreateContainerError")(e.to_string())
        })?;
    event(
        Severity::Normal,
        "Created",
        format!("Created container: {}", order.name),
    );
    shared.runtime.start_container(&id).await.map_err(|e| {
        event(Severity::Warning, "Failed", format!("Error: {e}"));
        failed("RunContainerError")(e.to_string())
    })?;
    event(
        Severity::Normal,
        "Started",
        format!("Started container {}", order.name),
    );
    if let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|l| l.post_start.as_ref())
    {
        let target = Target {
            container_id: id.clone(),
            pod_ip: order.pod_ips.first().cloned().unwrap_or_default(),
        };
        if let Err(why) = check::hook(&*shared.runtime, container, hook, &target, POST_START).await
        {
            event(
                Severity::Warning,
                "FailedPostStartHook",
                format!("PostStartHook failed: {why}"),
            );
            event(Severity::Normal, "Killing", "FailedPostStartHook".into());
            let _ = shared.runtime.stop_container(&id, pod::grace(pod)).await;
            return Err(failed("PostStartHookError")(format!(
                "PostStartHookError: {why}"
            )));
        }
    }
    Ok(id)
}

/// The blocking part: log directory, hosts file, message file, mounts.
fn files(
    shared: &Shared,
    pod: &Pod,
    claims: &std::collections::BTreeMap<String, crate::volumes::Claim>,
    env: &[(String, String)],
    name: &str,
    attempt: u32,
    pod_ips: &[String],
) -> Result<(Vec<Mount>, PathBuf), String> {
    let Some((_, container)) = pod::container(pod, name) else {
        return Err(format!("container {name:?} is not in the pod"));
    };
    let say = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| format!("{path}: {e}")
    };
    let logs = translate::log_directory(
        &shared.config.log_dir,
        pod::namespace(pod),
        pod::name(pod),
        pod::uid(pod),
    )
    .join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&logs)
        .map_err(say(&logs))?;
    let run = shared.dirs.pod_run(pod::uid(pod));
    let own = run.join("containers").join(name);
    fs::create_dir_all(&own).map_err(say(&own))?;
    let message = own.join(attempt.to_string());
    fs::write(&message, "").map_err(say(&message))?;
    fs::set_permissions(&message, fs::Permissions::from_mode(0o666)).map_err(say(&message))?;
    let node_hosts = if pod::host_network(pod) {
        fs::read_to_string("/etc/hosts").unwrap_or_default()
    } else {
        String::new()
    };
    let hosts = match dns::hosts(pod, pod_ips, &shared.config.cluster_domain, &node_hosts) {
        Some(text) => {
            let path = run.join("etc-hosts");
            // Written in place: containers that run have this very file.
            if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                fs::write(&path, text).map_err(say(&path))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
                    .map_err(say(&path))?;
            }
            Some(path)
        }
        None => None,
    };
    let inputs = MountInputs {
        dirs: &shared.dirs,
        claims,
        env,
        hosts,
        termination_message: Some(message.clone()),
    };
    Ok((container_mounts(pod, container, &inputs)?, message))
}
