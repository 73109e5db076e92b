//! The control plane: keys, store, API server, controllers, scheduler, listener, each with an identity of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use minicloud_apiserver::ApiServer;
use minicloud_auth::pki::{CertSpec, Pki, ServerNames, ServingCert, client_config, server_config};
use minicloud_auth::token::{ServiceAccountTokens, default_issuer};
use minicloud_store::Store;

use super::certificates::Renewal;
use super::prometheus::Engine;
use super::{Parts, any, listen};
use crate::identities::{self, Identities};
use crate::settings::Settings;

/// The running control plane, as the node needs it.
pub struct Control {
    /// The state, to be closed last.
    pub store: Store,
    /// The certificate authority.
    pub pki: Arc<Pki>,
    /// Clients by identity.
    pub identities: Identities,
    /// The names and addresses in serving certificates.
    pub names: ServerNames,
}

/// Starts the control plane; returns when the API answers.
///
/// # Errors
/// When a key, the store or a port cannot be had.
pub async fn start(
    settings: &Settings,
    node_ip: Ipv4Addr,
    parts: &mut Parts,
) -> anyhow::Result<Control> {
    let pki = Arc::new(
        Pki::open(settings.pki_dir(), Timestamp::now())
            .context("cannot use the certificate authority")?,
    );
    let names = server_names(settings, node_ip);
    let serving_spec = CertSpec::api_server(&names);
    let serving = ServingCert::new(&pki.ensure("api-server", &serving_spec, Timestamp::now())?)?;
    identities::write_admin_kubeconfig(settings, &pki)?;
    let identities = Identities::new(pki.clone(), settings.api_port);

    let store_dir = settings.store_dir();
    let store = tokio::task::spawn_blocking(move || {
        Store::open(store_dir, minicloud_store::Options::default())
    })
    .await?
    .context("cannot open the state")?;

    api_server(
        settings,
        node_ip,
        &pki,
        serving.clone(),
        store.clone(),
        parts,
    )
    .await?;
    crate::server::ensure::cluster_objects(&identities, settings)
        .await
        .context("cannot make the cluster's own objects")?;
    controllers(settings, &pki, &identities, parts)?;
    let prometheus = super::prometheus::start(settings, &pki, &identities, parts)?;
    listener(
        settings,
        &pki,
        &identities,
        serving.clone(),
        &prometheus,
        parts,
    )?;
    let renewal = Renewal {
        pki: pki.clone(),
        name: "api-server",
        spec: serving_spec,
        serving,
    };
    let admin = (settings.clone(), pki.clone());
    parts.spawn("certificate renewal", |shutdown| {
        renewal.run(
            move || identities::write_admin_kubeconfig(&admin.0, &admin.1),
            shutdown,
        )
    });
    Ok(Control {
        store,
        pki,
        identities,
        names,
    })
}

fn server_names(settings: &Settings, node_ip: Ipv4Addr) -> ServerNames {
    let (addresses, extra_names): (Vec<_>, Vec<_>) = settings
        .tls_san
        .iter()
        .cloned()
        .partition(|name| name.parse::<IpAddr>().is_ok());
    let mut advertise_addresses = vec![any(node_ip)];
    advertise_addresses.extend(super::host_addresses());
    advertise_addresses.extend(addresses.iter().filter_map(|a| a.parse::<IpAddr>().ok()));
    advertise_addresses.sort();
    advertise_addresses.dedup();
    ServerNames {
        hostname: crate::settings::hostname(),
        cluster_domain: settings.cluster_domain.clone(),
        service_ip: settings.service_cidr.hosts().next().map(any),
        advertise_addresses,
        extra_names,
    }
}

async fn api_server(
    settings: &Settings,
    node_ip: Ipv4Addr,
    pki: &Pki,
    serving: Arc<ServingCert>,
    store: Store,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let ca_pem = pki.ca_pem();
    let agent_identity = pki.issue(&CertSpec::kubelet_client().in_memory(), Timestamp::now())?;
    let issuer = default_issuer(&settings.cluster_domain);
    let tokens = ServiceAccountTokens::open(&settings.pki_dir(), issuer, &[])?;
    let config = minicloud_apiserver::Config {
        listen: listen(settings, settings.api_port),
        advertise: SocketAddr::new(any(node_ip), settings.api_port),
        tls: server_config(serving, &ca_pem, false, &["h2", "http/1.1"])?,
        // Upgraded streams are HTTP/1.1.
        agent_tls: Some(client_config(
            &ca_pem,
            Some(&agent_identity),
            &["http/1.1"],
        )?),
        client_ca_pem: ca_pem,
        tokens: Arc::new(tokens),
        service_range: settings.service_cidr.to_string().parse()?,
        node_ports: settings.node_port_range.0..=settings.node_port_range.1,
        cluster_domain: settings.cluster_domain.clone(),
        extensions: extensions(settings, pki)?,
        limits: minicloud_apiserver::Limits::default(),
    };
    let port = settings.api_port;
    let running = ApiServer::start(config, store, parts.shutdown.clone())
        .await
        .with_context(|| format!("the Kubernetes API cannot start on port {port}"))?;
    parts.spawn("API server", |_| async move {
        running.wait().await;
        Ok(())
    });
    Ok(())
}

/// The API groups that parts on port 3000 answer, and how the API server gets there.
fn extensions(
    settings: &Settings,
    pki: &Pki,
) -> anyhow::Result<Vec<minicloud_apiserver::Extension>> {
    let spec = CertSpec::aggregator().in_memory();
    let identity = pki.issue(&spec, Timestamp::now())?;
    let tls = client_config(&pki.ca_pem(), Some(&identity), &[])?;
    let address = SocketAddr::new(any(Ipv4Addr::LOCALHOST), settings.listener_port);
    let authority: http::uri::Authority = address.to_string().parse()?;
    let groups = minicloud_elasticity::groups().into_iter();
    let extensions = groups.map(|group| minicloud_apiserver::Extension {
        group,
        authority: authority.clone(),
        tls: tls.clone(),
    });
    Ok(extensions.collect())
}

fn controllers(
    settings: &Settings,
    pki: &Pki,
    identities: &Identities,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let scheduler = minicloud_scheduler::Config {
        client: identities.client(&CertSpec::scheduler())?,
        scheduler_name: "default-scheduler".into(),
    };
    parts.spawn("scheduler", |shutdown| {
        minicloud_scheduler::run(scheduler, shutdown)
    });
    let manager = identities.client(&CertSpec::controller_manager())?;
    let by_name = identities.clone();
    let config = minicloud_controllers::Config {
        client: Arc::new(move |name| {
            if name == "system:kube-controller-manager" {
                return manager.clone();
            }
            let spec = CertSpec::controller(name);
            let client = match name {
                minicloud_controllers::HORIZONTAL_POD_AUTOSCALER => by_name.impatient_client(&spec),
                _ => by_name.client(&spec),
            };
            client.unwrap_or_else(|error| {
                // Issuing worked for the manager a moment ago; its rights are a superset for reading.
                tracing::error!(%error, controller = name, "no identity of its own; the manager's is used");
                manager.clone()
            })
        }),
        root_ca_pem: pki.ca_pem(),
        storage_dir: settings.volumes_dir(),
    };
    parts.spawn("controllers", |shutdown| {
        minicloud_controllers::run(config, shutdown)
    });
    Ok(())
}

fn listener(
    settings: &Settings,
    pki: &Arc<Pki>,
    identities: &Identities,
    serving: Arc<ServingCert>,
    prometheus: &Engine,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let client = identities.client(&CertSpec::listener())?;
    let config = minicloud_listener::Config {
        addresses: vec![listen(settings, settings.listener_port)],
        tls: server_config(serving, &pki.ca_pem(), false, &["h2", "http/1.1"])?,
        version: super::VERSION.into(),
        limits: minicloud_listener::Limits::default(),
    };
    let live = minicloud_live::follow::Live::new(minicloud_live::follow::Config {
        client: client.clone(),
        tls: identities.tls(&CertSpec::listener())?,
        port: settings.metrics_port,
    });
    let on_port_3000 = vec![
        minicloud_listener::status::part(client.clone(), super::VERSION, prometheus.checks.clone()),
        minicloud_characterization::part::part(client.clone()),
        // The only one that lists Secrets, so it is not the listener that does.
        minicloud_state::part::part(identities.client(&CertSpec::state_metrics())?),
        minicloud_console::part(identities.nobody()?, &settings.console_embed_origins),
        minicloud_answers::part(minicloud_answers::Sources {
            client: client.clone(),
            prometheus: prometheus.client.clone(),
            live,
            node_data_dir: settings.data_dir.clone(),
        }),
        minicloud_elasticity::part(client.clone(), prometheus.client.clone()),
        minicloud_prometheus::proxy::part(prometheus.client.clone()),
        minicloud_alertmanager::proxy::part(prometheus.alertmanager.clone()),
        super::certificates::part(pki.clone()),
    ];
    parts.spawn("listener", |shutdown| async move {
        minicloud_listener::run(config, client, on_port_3000, shutdown)
            .await
            .map_err(Into::into)
    });
    Ok(())
}
