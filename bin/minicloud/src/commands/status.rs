//! `minicloud status`: what `GET /v1/status` of the listener says.

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use minicloud_listener::status::Status;

use super::block_on;
use crate::cli::{Output, StatusArgs};
use crate::output;

/// Asks and prints.
pub fn run(args: StatusArgs) -> anyhow::Result<()> {
    let settings = args.flags.resolve()?;
    let path = args
        .kubeconfig
        .unwrap_or_else(|| settings.admin_kubeconfig());
    // Several providers of TLS may be linked in; this one is ours. A second call in one process changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let status = block_on(async {
        let file = Kubeconfig::read_from(&path).with_context(|| {
            format!(
                "cannot use the credentials in {}; is the server started, and are you root?",
                path.display()
            )
        })?;
        let mut config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.cluster_url = with_port(&config.cluster_url, settings.listener_port)?;
        let url = config.cluster_url.clone();
        let client = Client::try_from(config)?;
        let request = http::Request::get("/v1/status").body(Vec::new())?;
        client.request::<Status>(request).await.with_context(|| {
            format!(
                "no status from {url}; is the server running? (`minicloud doctor` checks the host)"
            )
        })
    })?;
    if args.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    print(&status);
    Ok(())
}

fn with_port(url: &http::Uri, port: u16) -> anyhow::Result<http::Uri> {
    let host = url.host().context("the credentials name no server")?;
    Ok(format!("https://{host}:{port}").parse()?)
}

fn print(status: &Status) {
    let ready = if status.ready { "ready" } else { "NOT READY" };
    let kubernetes = status.kubernetes_version.as_deref().unwrap_or("?");
    println!(
        "minicloud {} ({kubernetes}), up {}, {ready}\n",
        status.version,
        duration(status.uptime_seconds)
    );
    let rows: Vec<Vec<String>> = status
        .nodes
        .iter()
        .flatten()
        .map(|n| {
            let state = match (n.ready, n.unschedulable) {
                (true, false) => "Ready",
                (true, true) => "Ready,SchedulingDisabled",
                (false, _) => "NotReady",
            };
            vec![
                n.name.clone(),
                state.into(),
                n.version.clone(),
                n.message.clone(),
            ]
        })
        .collect();
    println!(
        "{}",
        output::table(&["NODE", "STATUS", "VERSION", "MESSAGE"], &rows)
    );
    if let Some(pods) = &status.pods {
        println!(
            "pods: {} running, {} pending, {} succeeded, {} failed, {} unknown",
            pods.running, pods.pending, pods.succeeded, pods.failed, pods.unknown
        );
    }
    for component in status.components.iter().filter(|c| !c.healthy) {
        match component.message.as_str() {
            "" => println!("unhealthy: {}", component.name),
            message => println!("unhealthy: {}: {message}", component.name),
        }
    }
    for missing in &status.missing {
        println!("missing: {missing}");
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    }
}
