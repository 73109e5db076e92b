//! Service accounts: every namespace has one called `default`, which pods use that name none.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::informer::Key;
use crate::plumbing::objects::is_deleting;
use crate::plumbing::patch::{is_code, is_namespace_terminating};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

/// The account that is made.
pub(crate) const NAME: &str = "default";
const IDENTITY: &str = "service-account-controller";

// ---- decide ----

fn is_missing(namespace: &Namespace, account: Option<&ServiceAccount>) -> bool {
    account.is_none() && !is_deleting(&namespace.metadata)
}

// ---- act ----

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<String>> = Arc::default();
    let add = queue.clone();
    shared.namespaces.on_change(move |change| {
        if let Some(namespace) = &change.new {
            add.add(namespace.name_any());
        }
    });
    let add = queue.clone();
    shared.service_accounts.on_change(move |change| {
        if let (Some(old), None) = (&change.old, &change.new) {
            add.add(Key::of(old.as_ref()).namespace);
        }
    });
    let client = shared.client(IDENTITY);
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        shared.namespaces.wait_synced().await;
        shared.service_accounts.wait_synced().await;
        let sync = |name: String| {
            let (shared, client) = (shared.clone(), client.clone());
            async move {
                let Some(namespace) = shared.namespaces.get("", &name) else {
                    return Ok(());
                };
                if !is_missing(
                    &namespace,
                    shared.service_accounts.get(&name, NAME).as_deref(),
                ) {
                    return Ok(());
                }
                let account = ServiceAccount {
                    metadata: ObjectMeta {
                        name: Some(NAME.into()),
                        namespace: Some(name.clone()),
                        ..ObjectMeta::default()
                    },
                    ..ServiceAccount::default()
                };
                let api: Api<ServiceAccount> = Api::namespaced(client, &name);
                match api.create(&PostParams::default(), &account).await {
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
    fn only_living_namespaces_get_an_account() {
        let mut namespace = Namespace::default();
        assert!(is_missing(&namespace, None));
        assert!(!is_missing(&namespace, Some(&ServiceAccount::default())));
        namespace.metadata.deletion_timestamp = Some(crate::plumbing::objects::now());
        assert!(!is_missing(&namespace, None));
    }
}
