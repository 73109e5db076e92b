//! Routes, the bridge and kernel settings. The order matters: the unreachable routes come first.

use std::path::Path;

use anyhow::Context;

use crate::command::run;
use crate::{BRIDGE, Config};

/// Worse than any real route, so that it only catches what nothing else claims.
const UNREACHABLE_METRIC: u32 = 4_278_198_272;

/// Makes routes, bridge and kernel settings.
///
/// # Errors
/// When a command fails.
pub async fn prepare(config: &Config) -> anyhow::Result<()> {
    for cidr in [config.pod_cidr, config.service_cidr] {
        run(
            "ip",
            &format!("route replace unreachable {cidr} metric {UNREACHABLE_METRIC}"),
        )
        .await?;
    }
    if run("ip", &format!("link show {BRIDGE}")).await.is_err() {
        run("ip", &format!("link add {BRIDGE} type bridge")).await?;
    }
    let gateway = config.gateway();
    let prefix = config.node_pod_cidr.prefix_len();
    run(
        "ip",
        &format!("addr replace {gateway}/{prefix} dev {BRIDGE}"),
    )
    .await?;
    // Every node answers for cluster DNS itself, so names resolve while the server is away.
    run(
        "ip",
        &format!("addr replace {}/32 dev {BRIDGE}", config.cluster_dns),
    )
    .await?;
    run("ip", &format!("link set {BRIDGE} up")).await?;
    // A Service's address needs a route before the proxy may rewrite it: the kernel looks for one first. What the proxy
    // does not rewrite, it rejects; nothing leaves by the default route.
    run(
        "ip",
        &format!(
            "route replace {} dev {BRIDGE} src {gateway}",
            config.service_cidr
        ),
    )
    .await?;

    set("net/ipv4/ip_forward", "1")?;
    // A pod that reaches a Service whose endpoint is on the same bridge gets its answer through the bridge: it must
    // pass connection tracking to be rewritten back. Nothing else loads the module on a fresh machine.
    if !Path::new("/proc/sys/net/bridge").exists()
        && let Err(error) = run("modprobe", "br_netfilter").await
    {
        tracing::warn!(error = format!("{error:#}"), "cannot load a kernel module");
    }
    set("net/bridge/bridge-nf-call-iptables", "1")?;
    // `localhost:NODEPORT` works on the node itself; the ruleset keeps neighbours out of 127.0.0.0/8.
    set(&format!("net/ipv4/conf/{BRIDGE}/route_localnet"), "1")?;
    Ok(())
}

/// Writes a kernel setting under `/proc/sys` unless it has the value already.
fn set(name: &str, value: &str) -> anyhow::Result<()> {
    let path = Path::new("/proc/sys").join(name);
    if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    std::fs::write(&path, value).with_context(|| {
        let setting = name.replace('/', ".");
        format!("cannot set {setting}={value}; for net.bridge settings load the kernel module br_netfilter")
    })
}

/// Removes bridge and routes.
pub async fn clean_up(config: &Config) {
    for command in [
        format!("link delete {BRIDGE}"),
        format!(
            "route delete unreachable {} metric {UNREACHABLE_METRIC}",
            config.pod_cidr
        ),
        format!(
            "route delete unreachable {} metric {UNREACHABLE_METRIC}",
            config.service_cidr
        ),
    ] {
        if let Err(error) = run("ip", &command).await {
            tracing::debug!(%error, "nothing to remove");
        }
    }
}
