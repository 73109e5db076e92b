//! The node on this machine: containers, agent, network, volumes. It reaches the API like any other node's would.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use minicloud_agent::Agent;
use minicloud_agent::config::ServerTls;
use minicloud_auth::pki::{CertSpec, ServingCert, server_config};
use minicloud_containers::config::{Containerd, Engine};
use minicloud_containers::{Runtime, StartError};
use tokio::task::JoinHandle;

use super::certificates::Renewal;
use super::control::Control;
use super::kvm;
use super::{Parts, any, listen};
use crate::settings::Settings;

/// The network's settings.
pub fn network_config(settings: &Settings, node_ip: Ipv4Addr) -> minicloud_network::Config {
    minicloud_network::Config {
        node_name: settings.node_name.clone(),
        node_ip,
        pod_cidr: settings.pod_cidr,
        node_pod_cidr: settings.node_pod_cidr(),
        service_cidr: settings.service_cidr,
        cluster_dns: settings.cluster_dns,
        cluster_domain: settings.cluster_domain.clone(),
        run_dir: settings.run_dir.clone(),
        cni_conf_dir: match settings.container_runtime_endpoint {
            // A runtime of somebody else's reads the host's usual folder.
            Some(_) => PathBuf::from("/etc/cni/net.d"),
            None => settings.cni_conf_dir(),
        },
        cni_data_dir: settings.data_dir.join("cni/addresses"),
        resolv_conf: settings.resolv_conf.clone(),
    }
}

/// The container engine's settings.
pub fn engine(settings: &Settings) -> Engine {
    match &settings.container_runtime_endpoint {
        None => Engine::Supervised(Containerd::new(
            &settings.data_dir,
            &settings.run_dir,
            &settings.cni_conf_dir(),
        )),
        Some(socket) => Engine::Endpoint {
            socket: socket.clone(),
            root: PathBuf::from("/var/lib/containerd"),
        },
    }
}

fn containers_config(settings: &Settings) -> minicloud_containers::Config {
    minicloud_containers::Config {
        engine: engine(settings),
        cgroup_parent: settings.cgroup_parent(),
        logs: minicloud_containers::config::LogRotation::default(),
        image_collection: minicloud_containers::config::ImageCollection::default(),
    }
}

/// Containers, as soon as their engine answers.
pub type StartingRuntime = JoinHandle<Result<Runtime, StartError>>;

/// Begins to start the container engine, or to adopt the one that runs.
pub fn start_runtime(settings: &Settings) -> StartingRuntime {
    tokio::spawn(Runtime::start(containers_config(settings)))
}

/// Starts the node's parts.
///
/// # Errors
/// When an identity cannot be issued.
pub fn start(
    settings: &Settings,
    node_ip: Ipv4Addr,
    network: minicloud_network::Config,
    runtime: StartingRuntime,
    control: &Control,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let proxy = control.identities.client(&CertSpec::service_proxy())?;
    parts.spawn("network", |shutdown| async move {
        minicloud_network::run(network, proxy, shutdown).await;
        Ok(())
    });

    let client = control
        .identities
        .client(&CertSpec::node(&settings.node_name))?;
    let provisioner = (
        client.clone(),
        settings.node_name.clone(),
        settings.volumes_dir(),
    );
    parts.spawn("volumes", |shutdown| {
        let (client, name, dir) = provisioner;
        minicloud_controllers::run_node_provisioner(client, name, dir, shutdown)
    });

    let device = minicloud_characterization::report::Settings {
        name: settings.node_name.clone(),
        addresses: vec![node_ip.to_string()],
        software: settings.software.clone(),
        kvm: Box::pin(kvm::verdict()),
    };
    let reporter = client.clone();
    parts.spawn("hardware", |shutdown| async move {
        minicloud_characterization::report::run(reporter, device, shutdown).await;
        Ok(())
    });

    let spec = CertSpec::agent_server(&settings.node_name, &control.names);
    let identity = control.pki.ensure("agent", &spec, Timestamp::now())?;
    let serving = ServingCert::new(&identity)?;
    let renewal = Renewal {
        pki: control.pki.clone(),
        name: "agent",
        spec,
        serving: serving.clone(),
    };
    parts.spawn("node certificate renewal", |shutdown| {
        renewal.run(|| Ok(()), shutdown)
    });
    let ca_pem = control.pki.ca_pem();
    metrics(settings, serving.clone(), &ca_pem, client.clone(), parts)?;

    let agent = agent_config(settings, node_ip, serving, ca_pem);
    parts.spawn("agent", |mut shutdown| async move {
        let runtime = tokio::select! {
            runtime = runtime => runtime?.context("cannot run containers")?,
            () = shutdown.wait() => return Ok(()),
        };
        let runtime = Arc::new(runtime);
        let ended = Agent::new(agent, runtime.clone(), client)
            .run(shutdown)
            .await;
        runtime.finish_starts().await;
        Ok(ended?)
    });
    Ok(())
}

/// How soon the port of the node's metrics is tried again when another program has it.
const METRICS_RETRY: Duration = Duration::from_secs(60);

/// The node's metrics, for whoever may read them. Another exporter may have the port; the node works without.
fn metrics(
    settings: &Settings,
    serving: Arc<ServingCert>,
    ca_pem: &str,
    client: kube::Client,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let tls = server_config(serving, ca_pem, false, &["h2", "http/1.1"])?;
    let address = listen(settings, settings.metrics_port);
    let engine = engine(settings);
    let containers = minicloud_container_metrics::Settings::new(
        settings.cgroup_parent(),
        engine.root(),
        minicloud_container_metrics::lister(&engine.socket()),
    );
    parts.spawn("node metrics", |mut shutdown| async move {
        loop {
            let config = minicloud_listener::Config {
                addresses: vec![address],
                tls: tls.clone(),
                version: super::VERSION.into(),
                limits: minicloud_listener::Limits::default(),
            };
            let node_parts = vec![
                minicloud_exporter::part(Path::new("/")),
                minicloud_container_metrics::part(containers.clone()),
                minicloud_live::node::part(Path::new("/")),
            ];
            match minicloud_listener::bind(config, client.clone(), node_parts).await {
                Ok(listener) => {
                    listener.run(shutdown).await;
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, "the node's metrics are not served; see --metrics-port");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(METRICS_RETRY) => {}
                () = shutdown.wait() => return Ok(()),
            }
        }
    });
    Ok(())
}

fn agent_config(
    settings: &Settings,
    node_ip: Ipv4Addr,
    serving: Arc<ServingCert>,
    client_ca: String,
) -> minicloud_agent::config::Config {
    let tls = ServerTls {
        serving,
        client_ca,
        allowed_names: vec![CertSpec::kubelet_client().common_name],
        allowed_groups: Vec::new(),
    };
    let mut config = minicloud_agent::config::Config::new(&settings.node_name, tls);
    config.addresses = vec![any(node_ip)];
    config.data_dir = settings.data_dir.join("agent");
    config.run_dir = settings.run_dir.join("agent");
    config.log_dir = settings.pod_logs_dir();
    config.cluster_dns = vec![settings.cluster_dns.to_string()];
    config.cluster_domain = settings.cluster_domain.clone();
    config.resolv_conf = settings.resolv_conf.clone();
    config.max_pods = settings.max_pods;
    config.pod_cidr = Some(settings.node_pod_cidr().to_string());
    config.listen = listen(settings, settings.agent_port);
    config
}
