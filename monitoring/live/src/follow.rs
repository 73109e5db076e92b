//! The server's half: while somebody watches, every node is followed once, over a connection of our own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, ResourceExt};
use minicloud_api::annotations::metrics_port;
use minicloud_api::part::Shutdown;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::board::Board;
use crate::measurements::Measurements;
use crate::stream::Watched;
use crate::upstream::{Silent, Upstream};

/// Before a node that did not answer is asked again; then twice as long each time.
const RETRY: Duration = Duration::from_millis(500);
/// At most so long.
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How often it is said again that a node is silent.
const REPEAT: Duration = Duration::from_secs(10);

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It tells how it is doing.
    Live,
    /// It does not.
    Silent,
    /// It is no longer one of the nodes.
    Gone,
}

/// One line of the live stream.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// When it was measured, by the node's clock; of a silent node, when this was said.
    time: Timestamp,
    node: &'a str,
    health: Health,
    /// Of a silent node: since when, by the server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Of a silent node: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    measurements: Option<Measurements>,
}

/// How the nodes are reached.
#[derive(Clone)]
pub struct Config {
    /// The identity that watches Nodes.
    pub client: Client,
    /// Whom to trust, and the certificate that may get `/v1/measurements` of the nodes.
    pub tls: Arc<rustls::ClientConfig>,
    /// The port of the metrics of nodes that say nothing else.
    pub port: u16,
}

/// The live stream of all nodes.
#[derive(Clone)]
pub struct Live {
    config: Config,
    board: Board,
    watched: Watched,
}

impl Live {
    /// Nobody is asked yet.
    pub fn new(config: Config) -> Self {
        let board = Board::default();
        Self {
            config,
            watched: Watched::new(board.clone()),
            board,
        }
    }

    /// The stream as an answer for `user`: a line for each node, then a line whenever one's measurements change. A problem when
    /// there are too many watchers, or too many of that user.
    pub fn answer(&self, user: &str) -> Response {
        self.watched.answer(user, None)
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.board.readers()
    }

    /// Follows the nodes whenever somebody watches, until shutdown, which ends all streams.
    pub async fn run(self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = self.board.first_reader() => {}
                () = shutdown.wait() => break,
            }
            tokio::select! {
                () = self.follow_all() => {}
                () = self.board.no_reader() => {}
                () = shutdown.wait() => break,
            }
            self.board.clear();
        }
        self.board.close();
    }

    /// One task for each node; they end with this.
    async fn follow_all(&self) {
        let api: Api<Node> = Api::all(self.config.client.clone());
        let mut events = std::pin::pin!(watch(api, watcher::Config::default()).default_backoff());
        let mut tasks = JoinSet::new();
        let mut followed = Followed::default();
        loop {
            let event = match events.try_next().await {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "nodes cannot be watched now");
                    continue;
                }
            };
            for change in followed.change(&event) {
                match change {
                    Change::Follow(node, at) => {
                        let (live, name) = (self.clone(), node.clone());
                        let task = tasks.spawn(async move { live.follow(name, at).await });
                        if let Some(known) = followed.nodes.get_mut(&node) {
                            known.task = Some(task);
                        }
                    }
                    Change::Gone(node) => self.tell_gone(&node),
                }
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Follows one node until dropped.
    async fn follow(self, node: String, at: At) {
        let mut pause = RETRY;
        let mut silence: Option<(Timestamp, String, Instant)> = None;
        loop {
            let silent = match at.address {
                Some(ip) => {
                    let address = SocketAddr::new(ip, at.port.unwrap_or(self.config.port));
                    self.forward(&node, address, || {
                        pause = RETRY;
                        silence = None;
                    })
                    .await
                    .to_string()
                }
                None => "it has no InternalIP address".to_owned(),
            };
            let (since, repeat) = match &silence {
                Some((since, reason, told)) => {
                    (*since, *reason != silent || told.elapsed() >= REPEAT)
                }
                None => (Timestamp::now(), true),
            };
            if repeat {
                self.tell_silent(&node, since, &silent);
                silence = Some((since, silent, Instant::now()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    /// Passes a node's lines on until there are none. `heard` is called with each.
    async fn forward(&self, node: &str, address: SocketAddr, mut heard: impl FnMut()) -> Silent {
        let opened = Upstream::open(address, self.config.tls.clone()).await;
        let mut upstream = match opened {
            Ok(upstream) => upstream,
            Err(silent) => return silent,
        };
        loop {
            let line = match upstream.next().await {
                Ok(line) => line,
                Err(silent) => return silent,
            };
            heard();
            let told = Told {
                time: line.time,
                node,
                health: Health::Live,
                since: None,
                reason: None,
                measurements: Some(line.measurements),
            };
            self.board.put(node, text(&told));
        }
    }

    fn tell_silent(&self, node: &str, since: Timestamp, reason: &str) {
        let told = Told {
            time: Timestamp::now(),
            node,
            health: Health::Silent,
            since: Some(since),
            reason: Some(reason.to_owned()),
            measurements: None,
        };
        self.board.put(node, text(&told));
    }

    fn tell_gone(&self, node: &str) {
        let told = Told {
            time: Timestamp::now(),
            node,
            health: Health::Gone,
            since: None,
            reason: None,
            measurements: None,
        };
        self.board.gone(node, text(&told));
    }
}

fn text(told: &Told<'_>) -> crate::board::Line {
    let mut line = serde_json::to_string(told).unwrap_or_default();
    line.push('\n');
    line.into()
}

/// The nodes that are followed.
#[derive(Default)]
struct Followed {
    nodes: BTreeMap<String, Known>,
    /// While a list comes in: the nodes that were in the one before and not yet in this one.
    unseen: Option<Vec<String>>,
}

/// Where a node's measurements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    /// Its InternalIP.
    address: Option<IpAddr>,
    /// What its annotation says.
    port: Option<u16>,
}

impl At {
    fn of(node: &Node) -> Self {
        Self {
            address: internal_ip(node),
            port: metrics_port(node.metadata.annotations.as_ref()),
        }
    }
}

struct Known {
    at: At,
    task: Option<tokio::task::AbortHandle>,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What an event of the watch asks for.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Follow(String, At),
    Gone(String),
}

impl Followed {
    fn change(&mut self, event: &Event<Node>) -> Vec<Change> {
        match event {
            Event::Init => {
                self.unseen = Some(self.nodes.keys().cloned().collect());
                Vec::new()
            }
            Event::InitApply(node) | Event::Apply(node) => {
                let name = node.name_any();
                if let Some(unseen) = &mut self.unseen {
                    unseen.retain(|unseen| *unseen != name);
                }
                let at = At::of(node);
                if self.nodes.get(&name).is_some_and(|known| known.at == at) {
                    return Vec::new();
                }
                self.nodes.insert(name.clone(), Known { at, task: None });
                vec![Change::Follow(name, at)]
            }
            Event::Delete(node) => self.forget(&node.name_any()).into_iter().collect(),
            Event::InitDone => {
                let unseen = self.unseen.take().unwrap_or_default();
                unseen.iter().filter_map(|name| self.forget(name)).collect()
            }
        }
    }

    fn forget(&mut self, name: &str) -> Option<Change> {
        self.nodes.remove(name)?;
        Some(Change::Gone(name.to_owned()))
    }
}

fn internal_ip(node: &Node) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let internal = addresses.iter().find(|a| a.type_ == "InternalIP")?;
    internal.address.parse().ok()
}

#[cfg(test)]
mod tests {
    use minicloud_api::annotations::METRICS_PORT;
    use serde_json::json;

    use super::*;

    fn node(name: &str, address: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]},
        }))
        .unwrap()
    }

    #[test]
    fn nodes_come_move_and_go() {
        let mut followed = Followed::default();
        let mut check = |event: Event<Node>, expected: &[Change]| {
            assert_eq!(followed.change(&event), expected, "{event:?}");
        };
        let follow_at = |name: &str, ip: &str, port: Option<u16>| {
            let address = ip.parse().ok();
            Change::Follow(name.into(), At { address, port })
        };
        let follow = |name: &str, ip: &str| follow_at(name, ip, None);
        check(Event::Init, &[]);
        check(
            Event::InitApply(node("a", "10.0.0.1")),
            &[follow("a", "10.0.0.1")],
        );
        check(
            Event::InitApply(node("b", "10.0.0.2")),
            &[follow("b", "10.0.0.2")],
        );
        check(Event::InitDone, &[]);
        // A heartbeat is no change.
        check(Event::Apply(node("a", "10.0.0.1")), &[]);
        check(
            Event::Apply(node("a", "10.0.0.9")),
            &[follow("a", "10.0.0.9")],
        );
        // The annotation is where Prometheus finds it, too.
        let mut moved = node("a", "10.0.0.9");
        moved
            .annotations_mut()
            .insert(METRICS_PORT.into(), "9101".into());
        let at_its_port = follow_at("a", "10.0.0.9", Some(9101));
        check(Event::Apply(moved.clone()), &[at_its_port]);
        check(Event::Apply(moved), &[]);
        check(Event::Apply(node("c", "")), &[follow("c", "")]);
        check(Event::Delete(node("c", "")), &[Change::Gone("c".into())]);
        check(Event::Delete(node("c", "")), &[]);
        // After a broken watch: who is not in the new list is gone.
        check(Event::Init, &[]);
        check(Event::InitApply(node("b", "10.0.0.2")), &[]);
        check(Event::InitDone, &[Change::Gone("a".into())]);
    }
}
