//! Publishes the cluster's CA certificate in every namespace as the ConfigMap `kube-root-ca.crt`, which pods mount beside
//! their token to know the API server by.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::informer::Key;
use crate::plumbing::objects::is_deleting;
use crate::plumbing::patch::{is_code, is_namespace_terminating, update};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

/// The ConfigMap's name.
pub(crate) const NAME: &str = "kube-root-ca.crt";
const IDENTITY: &str = "root-ca-cert-publisher";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
    such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
    Kubernetes clusters.";

// ---- decide ----

/// The ConfigMap as it should be; none when it is right already or the namespace is going away.
fn wanted(namespace: &Namespace, have: Option<&ConfigMap>, ca_pem: &str) -> Option<ConfigMap> {
    let data = Some(BTreeMap::from([("ca.crt".to_owned(), ca_pem.to_owned())]));
    if is_deleting(&namespace.metadata) || have.is_some_and(|have| have.data == data) {
        return None;
    }
    let mut map = have.cloned().unwrap_or_else(|| ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: namespace.metadata.name.clone(),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    map.annotations_mut()
        .insert("kubernetes.io/description".into(), DESCRIPTION.into());
    map.data = data;
    Some(map)
}

// ---- act ----

/// Starts the controller.
pub(crate) fn start(
    shared: &Arc<Shared>,
    ca_pem: &str,
    tasks: &mut JoinSet<()>,
    shutdown: &Shutdown,
) {
    let queue: Arc<Queue<String>> = Arc::default();
    let add = queue.clone();
    shared.namespaces.on_change(move |change| {
        if let Some(namespace) = &change.new {
            add.add(namespace.name_any());
        }
    });
    let add = queue.clone();
    shared.root_cas.on_change(move |change| {
        if let Some(map) = change.latest() {
            add.add(Key::of(map.as_ref()).namespace);
        }
    });
    let client = shared.client(IDENTITY);
    let ca_pem: Arc<str> = ca_pem.into();
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        shared.namespaces.wait_synced().await;
        shared.root_cas.wait_synced().await;
        let sync = |name: String| {
            let (shared, client, ca_pem) = (shared.clone(), client.clone(), ca_pem.clone());
            async move {
                let Some(namespace) = shared.namespaces.get("", &name) else {
                    return Ok(());
                };
                let have = shared.root_cas.get(&name, NAME);
                let Some(map) = wanted(&namespace, have.as_deref(), &ca_pem) else {
                    return Ok(());
                };
                let api: Api<ConfigMap> = Api::namespaced(client, &name);
                if let Some(have) = have {
                    update(&api, &*have, &map).await?;
                    return Ok(());
                }
                match api.create(&PostParams::default(), &map).await {
                    Err(error) if !is_code(&error, 409) && !is_namespace_terminating(&error) => {
                        Err(error.into())
                    }
                    _ => Ok(()),
                }
            }
        };
        queue.run(IDENTITY, 2, shutdown, sync).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_made_and_mended() {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("ns".into());
        let made = wanted(&namespace, None, "PEM").unwrap();
        assert_eq!(
            (made.namespace(), made.name_any()),
            (Some("ns".into()), NAME.into())
        );
        assert_eq!(wanted(&namespace, Some(&made), "PEM"), None);
        let mended = wanted(&namespace, Some(&made), "NEW").unwrap();
        assert_eq!(mended.data.unwrap()["ca.crt"], "NEW");
        namespace.metadata.deletion_timestamp = Some(crate::plumbing::objects::now());
        assert_eq!(wanted(&namespace, None, "PEM"), None);
    }
}
