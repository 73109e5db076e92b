//! The service proxy: one atomic nftables ruleset, computed from all Services and EndpointSlices.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use minicloud_api::part::Shutdown;
use tokio::sync::watch;

use crate::model::{Protocol, State};
use crate::{Config, command};

mod ruleset;

pub use ruleset::{Flow, flows, ruleset};

/// Changes that come together are applied together.
const SETTLE: Duration = Duration::from_millis(50);
/// How long a ruleset that nft refused waits before it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Applies the ruleset of no Services, unless a table is there from before: its rules stay until the API is known.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn prepare(config: &Config) -> anyhow::Result<()> {
    if minicloud_nftables::list_table("ip", crate::TABLE)
        .await?
        .is_none()
    {
        minicloud_nftables::apply(&ruleset(config, &State::default())).await?;
    }
    Ok(())
}

/// Applies the ruleset of every new state until shutdown.
pub async fn run(
    config: Arc<Config>,
    state: Arc<RwLock<State>>,
    mut changes: watch::Receiver<u64>,
    mut shutdown: Shutdown,
) {
    let mut applied = String::new();
    let mut udp: BTreeSet<(Ipv4Addr, u16, Ipv4Addr)> = BTreeSet::new();
    let mut retry = false;
    loop {
        tokio::select! {
            result = changes.changed() => if result.is_err() { return },
            () = tokio::time::sleep(RETRY), if retry => {}
            () = shutdown.wait() => return,
        }
        tokio::time::sleep(SETTLE).await;
        changes.mark_unchanged();
        let (text, now) = {
            let state = state
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            (ruleset(&config, &state), udp_pairs(&config, &state))
        };
        if text != applied {
            match minicloud_nftables::apply(&text).await {
                Ok(()) => applied = text,
                Err(error) => {
                    tracing::error!(%error, "the service rules are not applied; tried again in {RETRY:?}");
                    retry = true;
                    continue;
                }
            }
        }
        retry = false;
        forget_connections(&udp, &now).await;
        udp = now;
    }
}

/// `(address, port, endpoint)` of every UDP flow.
fn udp_pairs(config: &Config, state: &State) -> BTreeSet<(Ipv4Addr, u16, Ipv4Addr)> {
    flows(config, state)
        .iter()
        .filter(|f| f.protocol == Protocol::Udp)
        .flat_map(|f| {
            f.addresses
                .iter()
                .flat_map(|a| f.endpoints.iter().map(|e| (*a, f.port, e.0)))
        })
        .collect()
}

/// UDP has no end of connection: a client that keeps its port would go on to an endpoint that is gone. Forget those, and
/// those of a Service that had no endpoint until now.
async fn forget_connections(
    before: &BTreeSet<(Ipv4Addr, u16, Ipv4Addr)>,
    now: &BTreeSet<(Ipv4Addr, u16, Ipv4Addr)>,
) {
    for (address, port, endpoint) in before.difference(now) {
        let what =
            format!("-D -p udp --orig-dst {address} --orig-port-dst {port} --reply-src {endpoint}");
        // conntrack fails when it finds nothing, which is the usual case.
        let _ = command::run("conntrack", &what).await;
    }
    let served: BTreeSet<_> = before.iter().map(|(a, p, _)| (a, p)).collect();
    for (address, port) in now.iter().map(|(a, p, _)| (a, p)).collect::<BTreeSet<_>>() {
        if !served.contains(&(address, port)) {
            let _ = command::run(
                "conntrack",
                &format!("-D -p udp --orig-dst {address} --orig-port-dst {port}"),
            )
            .await;
        }
    }
}
