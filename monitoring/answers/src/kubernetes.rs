//! What is asked of the Kubernetes API.

use std::collections::BTreeMap;

use http::StatusCode;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use minicloud_api::problem::Problem;
use serde_json::Value;

use crate::impact::places::{self, Volumes};
use crate::objects::{NodeFacts, PodFacts};

/// So many names are told.
const MAX_NAMES: u32 = 50;
/// Objects of a page.
const PAGE: u32 = 500;
/// Pages of a list that has to be whole. Beyond it is no minicloud, and the answer says what it lacks.
const MAX_PAGES: usize = 100;

/// A problem for what the Kubernetes API did not answer.
pub(crate) fn unanswered(what: &str, error: &kube::Error) -> Problem {
    if let kube::Error::Api(status) = error
        && matches!(status.code, 400 | 410)
    {
        let detail = format!(
            "the Kubernetes API refused to list {what}: {}",
            status.message
        );
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_REQUEST);
        return Problem::new(code, detail).hint("begin again without continue");
    }
    let detail = format!("the Kubernetes API did not give {what}: {error}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .hint("try again; `minicloud status` shows what is wrong with the API")
}

/// Whether a namespace can have this name. What cannot is never put into a path: the client would take `..` for a step up.
pub(crate) fn can_be_namespace(name: &str) -> bool {
    minicloud_api::names::dns1123_label(name).is_empty()
}

/// Passes when there is such a namespace. Who asks may list pods in a namespace that is not there, so may list them in all, and
/// may know which there are.
pub(crate) async fn require_namespace(client: &Client, name: &str) -> Result<(), Problem> {
    let api: Api<Namespace> = Api::all(client.clone());
    if can_be_namespace(name) {
        let found = api.get_metadata_opt(name).await;
        if found
            .map_err(|error| unanswered("the namespace", &error))?
            .is_some()
        {
            return Ok(());
        }
    }
    let params = ListParams::default().limit(MAX_NAMES);
    let listed = api.list_metadata(&params).await;
    let names: Vec<String> = listed
        .map_err(|error| unanswered("the namespaces", &error))?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let detail = format!("there is no namespace {name:?}");
    Err(Problem::new(StatusCode::NOT_FOUND, detail)
        .hint(format!("the namespaces are {}", names.join(", "))))
}

/// Every object, page by page, turned into what is needed of it; true when there were more than are read.
async fn every<K, T>(
    api: Api<K>,
    params: ListParams,
    what: &str,
    of: impl Fn(&K) -> T,
) -> Result<(Vec<T>, bool), Problem>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut params = params.limit(PAGE);
    let mut all = Vec::new();
    for _ in 0..MAX_PAGES {
        let listed = api.list(&params).await;
        let page = listed.map_err(|error| unanswered(what, &error))?;
        all.extend(page.items.iter().map(&of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok((all, false)),
        }
    }
    Ok((all, true))
}

/// All nodes, or the one with this name.
pub(crate) async fn nodes(client: &Client, name: Option<&str>) -> Result<Vec<NodeFacts>, Problem> {
    let api: Api<Node> = Api::all(client.clone());
    let (all, _) = every(api, ListParams::default(), "nodes", NodeFacts::new).await?;
    let Some(name) = name else {
        return Ok(all);
    };
    let names: Vec<_> = all
        .iter()
        .map(|node| node.name.clone())
        .take(MAX_NAMES as usize)
        .collect();
    let found: Vec<_> = all.into_iter().filter(|node| node.name == name).collect();
    if found.is_empty() {
        let detail = format!("there is no node {name:?}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail)
            .hint(format!("the nodes are {}", names.join(", "))));
    }
    Ok(found)
}

/// All pods that fit, and whether there were too many.
pub(crate) async fn pods(
    client: &Client,
    namespace: Option<&str>,
    node: Option<&str>,
) -> Result<(Vec<PodFacts>, bool), Problem> {
    every(pod_api(client, namespace), on(node), "pods", PodFacts::new).await
}

/// What `of` makes of every pod, and whether there were too many.
pub(crate) async fn pods_as<T>(
    client: &Client,
    of: impl Fn(&Pod) -> T,
) -> Result<(Vec<T>, bool), Problem> {
    every(pod_api(client, None), ListParams::default(), "pods", of).await
}

/// Where the persistent volumes of claims are.
pub(crate) async fn volumes(client: &Client) -> Result<Volumes, Problem> {
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "PersistentVolume".to_owned(),
        plural: "persistentvolumes".to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = api.list(&ListParams::default()).await;
    let listed = listed.map_err(|error| unanswered("the persistent volumes", &error))?;
    Ok(listed
        .iter()
        .filter_map(|volume| places::of_volume(&volume.data))
        .collect())
}

fn pod_api(client: &Client, namespace: Option<&str>) -> Api<Pod> {
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn on(node: Option<&str>) -> ListParams {
    match node {
        Some(node) => ListParams::default().fields(&format!("spec.nodeName={node}")),
        None => ListParams::default(),
    }
}

/// One page of pods, and where the next begins; none in what can be no namespace.
pub(crate) async fn pod_page(
    client: &Client,
    namespace: Option<&str>,
    node: Option<&str>,
    limit: u32,
    continue_token: Option<&str>,
) -> Result<(Vec<PodFacts>, Option<String>), Problem> {
    if namespace.is_some_and(|name| !can_be_namespace(name)) {
        return Ok((Vec::new(), None));
    }
    let mut params = on(node).limit(limit);
    if let Some(token) = continue_token {
        params = params.continue_token(token);
    }
    let listed = pod_api(client, namespace).list(&params).await;
    let page = listed.map_err(|error| unanswered("pods", &error))?;
    let next = page.metadata.continue_.filter(|token| !token.is_empty());
    Ok((page.items.iter().map(PodFacts::new).collect(), next))
}

/// Names and phases of all namespaces.
pub(crate) async fn namespaces(client: &Client) -> Result<Vec<(String, String)>, Problem> {
    let api: Api<Namespace> = Api::all(client.clone());
    let of = |namespace: &Namespace| {
        let phase = namespace.status.as_ref().and_then(|s| s.phase.clone());
        (namespace.name_any(), phase.unwrap_or_default())
    };
    Ok(every(api, ListParams::default(), "namespaces", of).await?.0)
}

/// What each node's Device says, by node.
pub(crate) async fn devices(client: &Client) -> Result<BTreeMap<String, Value>, Problem> {
    let listed = minicloud_characterization::devices(client.clone())
        .list(&ListParams::default())
        .await;
    let listed = listed.map_err(|error| unanswered("the devices", &error))?;
    let status = |device: kube::api::DynamicObject| {
        let name = device.name_any();
        Some((name, device.data.get("status")?.clone()))
    };
    Ok(listed.into_iter().filter_map(status).collect())
}
