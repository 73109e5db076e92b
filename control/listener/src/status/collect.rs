//! Reads the status through the Kubernetes API. What fails is named in the answer; the rest is still given.

use http::Request;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::{Component, NodeStatus, Pods, Status};

/// Objects per page: bounds what is in memory at a time.
const PAGE: u32 = 500;
/// Pages at most: half a million objects. More is no minicloud, and no status answer should take that long.
const MAX_PAGES: usize = 1000;
const MAX_READYZ_BYTES: usize = 64 << 10;

pub(super) async fn collect(client: &Client) -> Status {
    let (nodes, pods, components, version) = futures::join!(
        nodes(client),
        pods(client),
        components(client),
        client.apiserver_version()
    );
    let mut missing = Vec::new();
    let mut note =
        |what: &str, error: &dyn std::fmt::Display| missing.push(format!("{what}: {error}"));
    let nodes = nodes.map_err(|e| note("nodes", &e)).ok();
    let pods = pods.map_err(|e| note("pods", &e)).ok();
    let (api_ready, components) = components
        .map_err(|e| note("components", &e))
        .unwrap_or_default();
    let kubernetes_version = version
        .map_err(|e| note("kubernetes_version", &e))
        .ok()
        .map(|info| info.git_version);
    Status {
        version: String::new(),
        kubernetes_version,
        started_at: Timestamp::UNIX_EPOCH,
        uptime_seconds: 0,
        ready: api_ready
            && nodes.as_ref().is_some_and(|nodes: &Vec<NodeStatus>| {
                !nodes.is_empty() && nodes.iter().all(|n| n.ready)
            }),
        nodes,
        pods,
        components,
        missing,
    }
}

/// Calls `each` with every object, page by page.
async fn every<K>(api: Api<K>, mut each: impl FnMut(&K)) -> Result<(), kube::Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    for _ in 0..MAX_PAGES {
        let page = api.list(&params).await?;
        page.items.iter().for_each(&mut each);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    Ok(())
}

async fn nodes(client: &Client) -> Result<Vec<NodeStatus>, kube::Error> {
    let mut out = Vec::new();
    every(Api::all(client.clone()), |node| out.push(node_status(node))).await?;
    Ok(out)
}

async fn pods(client: &Client) -> Result<Pods, kube::Error> {
    let mut counts = Pods::default();
    every(Api::all(client.clone()), |pod: &Pod| {
        count(
            &mut counts,
            pod.status.as_ref().and_then(|s| s.phase.as_deref()),
        );
    })
    .await?;
    Ok(counts)
}

async fn components(client: &Client) -> Result<(bool, Vec<Component>), String> {
    let request = Request::get("/readyz?verbose")
        .body(kube::client::Body::empty())
        .map_err(|e| e.to_string())?;
    // Not ready is a 500 with the same text, which is an answer, no failure.
    let answer = client.send(request).await.map_err(|e| e.to_string())?;
    let ready = answer.status().is_success();
    let body = Limited::new(answer.into_body(), MAX_READYZ_BYTES)
        .collect()
        .await
        .map_err(|e| e.to_string())?;
    Ok((
        ready,
        parse_readyz(&String::from_utf8_lossy(&body.to_bytes())),
    ))
}

fn node_status(node: &Node) -> NodeStatus {
    let status = node.status.as_ref();
    let condition = status.and_then(|s| s.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready"));
    let ready = condition.is_some_and(|c| c.status == "True");
    let message = match condition {
        _ if ready => String::new(),
        None => "the node has not reported yet".to_owned(),
        Some(c) => c
            .message
            .clone()
            .or_else(|| c.reason.clone())
            .unwrap_or_default(),
    };
    NodeStatus {
        name: node.name_any(),
        ready,
        unschedulable: node
            .spec
            .as_ref()
            .and_then(|s| s.unschedulable)
            .unwrap_or(false),
        version: status
            .and_then(|s| s.node_info.as_ref())
            .map(|i| i.kubelet_version.clone())
            .unwrap_or_default(),
        message,
    }
}

fn count(counts: &mut Pods, phase: Option<&str>) {
    counts.total += 1;
    let of_phase = match phase {
        Some("Pending") => &mut counts.pending,
        Some("Running") => &mut counts.running,
        Some("Succeeded") => &mut counts.succeeded,
        Some("Failed") => &mut counts.failed,
        _ => &mut counts.unknown,
    };
    *of_phase += 1;
}

/// The lines `[+]name ok` and `[-]name failed: …` of Kubernetes' verbose health answers.
fn parse_readyz(text: &str) -> Vec<Component> {
    let lines = text.lines().filter_map(|line| {
        let (healthy, rest) = match line.strip_prefix("[+]") {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix("[-]")?),
        };
        let name = rest.split(' ').next().filter(|name| !name.is_empty())?;
        Some(Component {
            name: name.to_owned(),
            healthy,
            message: String::new(),
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn reads_readyz() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]poststarthook/rbac ok\n[+]\nreadyz check failed\n";
        let got: Vec<_> = parse_readyz(text)
            .into_iter()
            .map(|c| (c.name, c.healthy))
            .collect();
        let expected = [
            ("ping", true),
            ("etcd", false),
            ("poststarthook/rbac", true),
        ];
        assert_eq!(
            got,
            expected.map(|(name, healthy)| (name.to_owned(), healthy))
        );
    }

    #[test]
    fn counts_phases() {
        let mut counts = Pods::default();
        for phase in [
            Some("Running"),
            Some("Running"),
            Some("Pending"),
            Some("Odd"),
            None,
        ] {
            count(&mut counts, phase);
        }
        assert_eq!(
            counts,
            Pods {
                total: 5,
                pending: 1,
                running: 2,
                unknown: 2,
                ..Pods::default()
            }
        );
    }

    #[test]
    fn reads_nodes() {
        let check = |node: serde_json::Value, expected: expect_test::Expect| {
            let node: Node = serde_json::from_value(node).expect("a node");
            expected.assert_eq(&serde_json::to_string(&node_status(&node)).expect("JSON"));
        };
        check(
            serde_json::json!({ "metadata": { "name": "a" } }),
            expect![[
                r#"{"name":"a","ready":false,"unschedulable":false,"version":"","message":"the node has not reported yet"}"#
            ]],
        );
        check(
            serde_json::json!({
                "metadata": { "name": "b" },
                "spec": { "unschedulable": true },
                "status": { "conditions": [{ "type": "Ready", "status": "False", "message": "no network", "reason": "X" }] },
            }),
            expect![[
                r#"{"name":"b","ready":false,"unschedulable":true,"version":"","message":"no network"}"#
            ]],
        );
        check(
            serde_json::json!({
                "metadata": { "name": "c" },
                "status": { "conditions": [{ "type": "Ready", "status": "True", "message": "fine" }] },
            }),
            expect![[r#"{"name":"c","ready":true,"unschedulable":false,"version":""}"#]],
        );
    }
}
