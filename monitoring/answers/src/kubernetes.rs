//! What is asked of the Kubernetes API.

use http::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use minicloud_api::problem::Problem;

/// So many names are told.
const MAX_NAMES: u32 = 50;

/// A problem for what the Kubernetes API did not answer.
pub(crate) fn unanswered(what: &str, error: &kube::Error) -> Problem {
    let detail = format!("the Kubernetes API did not give {what}: {error}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .hint("try again; `minicloud status` shows what is wrong with the API")
}

/// Passes when there is such a namespace. Who asks may list pods in a namespace that is not there, so may list them in all, and
/// may know which there are.
pub(crate) async fn require_namespace(client: &Client, name: &str) -> Result<(), Problem> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = match api.get_metadata_opt(name).await {
        // No name that a namespace can have.
        Err(kube::Error::Api(status)) if status.code == 400 || status.code == 422 => None,
        found => found.map_err(|error| unanswered("the namespace", &error))?,
    };
    if found.is_some() {
        return Ok(());
    }
    let params = ListParams::default().limit(MAX_NAMES);
    let listed = api.list_metadata(&params).await;
    let mut names: Vec<String> = listed
        .map_err(|error| unanswered("the namespaces", &error))?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    names.push("all".to_owned());
    let detail = format!("there is no namespace {name:?}");
    Err(Problem::new(StatusCode::NOT_FOUND, detail)
        .hint(format!("the namespaces are {}", names.join(", "))))
}
