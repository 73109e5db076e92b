//! Asks the API: what a target's scale is, what its metrics are; and sets the scale.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::{CrossVersionObjectReference, MetricSpec};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use minicloud_api::names;
use minicloud_api::selector::LabelSelector;
use serde_json::{Value, json};

use super::measure::{Answer, Question, is_namespace};
use crate::plumbing::discovery::Resources;
use crate::plumbing::patch::{is_code, message};

/// How long an answer about a metric may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a scale that changes under our hands is tried again.
const TRIES: usize = 3;

/// The scale of a target.
pub(super) struct Scaled {
    resource: ApiResource,
    name: String,
    version: Option<String>,
    /// The replicas that are wished, and those that there are.
    pub(super) wished: i32,
    pub(super) there: i32,
    /// Which pods they are; none where it is not said.
    pub(super) selector: Option<LabelSelector>,
    pub(super) selector_text: String,
}

/// See the module.
pub(super) struct Asker {
    client: Client,
    resources: Resources,
}

impl Asker {
    pub(super) fn new(client: Client) -> Self {
        Self {
            resources: Resources::new(client.clone()),
            client,
        }
    }

    /// The scale of a target.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) async fn scale(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Scaled, String> {
        // It becomes part of a path.
        if let Some(wrong) = names::dns1123_subdomain(&target.name).into_iter().next() {
            return Err(format!("{:?} names no object: {wrong}", target.name));
        }
        let version = target.api_version.as_deref();
        let (resource, _) = self.resources.find(version, &target.kind).await?;
        let scale = self.api(namespace, &resource).get_scale(&target.name).await;
        let scale = scale.map_err(|error| {
            if is_code(&error, 404) {
                self.resources.forget(version, &target.kind);
            }
            message(&error)
        })?;
        let text = selector_of(&scale);
        Ok(Scaled {
            resource,
            name: target.name.clone(),
            wished: wished(&scale),
            there: scale.status.as_ref().map_or(0, |status| status.replicas),
            version: scale.metadata.resource_version,
            selector: match text.as_str() {
                "" => None,
                text => Some(
                    LabelSelector::parse(text)
                        .map_err(|e| format!("the target's selector {text:?}: {e}"))?,
                ),
            },
            selector_text: text,
        })
    }

    /// Sets the replicas of a target, if they are still what was decided about.
    ///
    /// # Errors
    /// Why they are not set, for people.
    pub(super) async fn set(
        &self,
        namespace: &str,
        scaled: &Scaled,
        replicas: i32,
    ) -> Result<(), String> {
        let api = self.api(namespace, &scaled.resource);
        let mut version = scaled.version.clone();
        for _ in 1..TRIES {
            match set(&api, &scaled.name, version.as_deref(), replicas).await {
                Ok(()) => return Ok(()),
                Err(error) if is_code(&error, 409) => {}
                Err(error) => return Err(message(&error)),
            }
            // Most often it was only the target's status.
            let now = api.get_scale(&scaled.name).await.map_err(|e| message(&e))?;
            if wished(&now) != scaled.wished {
                return Err(format!("somebody else has scaled it to {}", wished(&now)));
            }
            version = now.metadata.resource_version;
        }
        let last = set(&api, &scaled.name, version.as_deref(), replicas).await;
        last.map_err(|error| message(&error))
    }

    /// What a metric is.
    ///
    /// # Errors
    /// Why it is not known, in Kubernetes' words.
    pub(super) async fn measure(
        &self,
        metric: &MetricSpec,
        namespace: &str,
        selector: &str,
    ) -> Result<Answer, String> {
        let question = Question::of(metric)
            .ok_or_else(|| format!("unknown metric source type {:?}", metric.type_))?;
        let described = match &question {
            Question::Object(object, _) if !is_namespace(object) => {
                let version = object.api_version.as_deref();
                Some(self.resources.find(version, &object.kind).await?)
            }
            _ => None,
        };
        let described = described
            .as_ref()
            .map(|(resource, namespaced)| (resource, *namespaced));
        let path = question.path(namespace, selector, described)?;
        let failed = |why: &str| {
            format!(
                "unable to fetch metrics from {} metrics API: {why}",
                question.api()
            )
        };
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|e| failed(&e.to_string()))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await;
        let answer = answer.map_err(|_| failed("it did not answer in time"))?;
        let answer = answer.map_err(|error| failed(&message(&error)))?;
        question.read(answer)
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }
}

fn wished(scale: &Scale) -> i32 {
    scale
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(0)
}

fn selector_of(scale: &Scale) -> String {
    let status = scale.status.as_ref();
    status
        .and_then(|status| status.selector.clone())
        .unwrap_or_default()
}

async fn set(
    api: &Api<DynamicObject>,
    name: &str,
    version: Option<&str>,
    replicas: i32,
) -> kube::Result<()> {
    let mut patch = json!({ "spec": { "replicas": replicas } });
    if let Some(version) = version {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    let done = api
        .patch_scale(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    done.map(drop)
}
