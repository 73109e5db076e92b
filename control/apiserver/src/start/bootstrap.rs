//! The objects that every cluster has: namespaces, standard roles and bindings, the Service `kubernetes`.
//!
//! Each is created or mended at every start; what an administrator changed on purpose is left alone where Kubernetes leaves it.

use std::net::SocketAddr;
use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::{GROUP_MASTERS, UserInfo};
use minicloud_auth::bootstrap::{self, Reconciled};
use serde_json::{Value, json};

use super::StartError;
use crate::admission::namespaces::IMMORTAL;
use crate::api::Api;
use crate::registry::Resource;
use crate::strategy::{self, Part};
use crate::verbs::change::{self, Change};
use crate::verbs::create;
use crate::verbs::delete;
use crate::verbs::delete_options::DeleteOptions;

/// The server's own identity.
pub(crate) fn server_user() -> UserInfo {
    UserInfo::new("system:apiserver", [GROUP_MASTERS])
}

pub(super) async fn run(api: &Arc<Api>, address: SocketAddr) -> Result<(), StartError> {
    for name in IMMORTAL {
        let namespace =
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
        put(api, "", "namespaces", namespace).await?;
    }
    const RBAC: &str = "rbac.authorization.k8s.io";
    // All at once, so that they share the store's commits: the first start is quick.
    let roles = bootstrap::cluster_roles()
        .into_iter()
        .map(|role| standard(api, RBAC, "clusterroles", role));
    futures::future::try_join_all(roles).await?;
    let bindings = bootstrap::cluster_role_bindings()
        .into_iter()
        .map(|binding| standard(api, RBAC, "clusterrolebindings", binding));
    futures::future::try_join_all(bindings).await?;
    kubernetes_service(api, address).await
}

fn row(api: &Api, group: &str, plural: &str) -> Result<Arc<Resource>, StartError> {
    api.registry
        .built_in(group, plural)
        .ok_or_else(|| StartError::Bootstrap {
            what: format!("{plural}.{group}"),
            source: ApiStatus::no_such_path(),
        })
}

fn failed(plural: &str, name: &str) -> impl Fn(ApiStatus) -> StartError {
    let what = format!("{plural} {name:?}");
    move |source| StartError::Bootstrap {
        what: what.clone(),
        source,
    }
}

/// Creates an object unless it is there.
async fn put(api: &Arc<Api>, group: &str, plural: &str, value: Value) -> Result<(), StartError> {
    let resource = row(api, group, plural)?;
    let (namespace, name) = (
        meta::namespace(&value).to_owned(),
        meta::name(&value).to_owned(),
    );
    if api.store.get(&resource.key(&namespace, &name)).is_some() {
        return Ok(());
    }
    create(api, &resource, &namespace, value)
        .await
        .map_err(failed(plural, &name))
}

async fn create(
    api: &Arc<Api>,
    resource: &Arc<Resource>,
    namespace: &str,
    value: Value,
) -> Result<(), ApiStatus> {
    let (value, _) = strategy::decode(resource, value)?;
    match create::store(api, &server_user(), resource, namespace, value, false).await {
        Err(taken) if taken.reason == "AlreadyExists" => Ok(()),
        result => result.map(|_| ()),
    }
}

async fn replace(
    api: &Arc<Api>,
    resource: &Arc<Resource>,
    namespace: &str,
    value: Value,
) -> Result<(), ApiStatus> {
    let (mut value, _) = strategy::decode(resource, value)?;
    meta::metadata_mut(&mut value).remove("resourceVersion");
    let name = meta::name(&value).to_owned();
    let user = server_user();
    let wish = Change {
        user: &user,
        resource,
        namespace,
        name: &name,
        part: Part::Main,
        dry_run: false,
        trusted: false,
    };
    change::apply(api, &wish, |_| Ok(value.clone()))
        .await
        .map(|_| ())
}

/// Creates a standard role or binding, or puts back what it lacks.
async fn standard(
    api: &Arc<Api>,
    group: &str,
    plural: &str,
    wanted: Value,
) -> Result<(), StartError> {
    let resource = row(api, group, plural)?;
    let name = meta::name(&wanted).to_owned();
    let stored = api.find(group, plural, "", &name);
    let result = match bootstrap::reconcile(stored.as_ref(), &wanted) {
        Reconciled::Unchanged => Ok(()),
        Reconciled::Create(value) => create(api, &resource, "", value).await,
        Reconciled::Update(value) => replace(api, &resource, "", value).await,
        Reconciled::Recreate(value) => {
            let removed = delete::remove(
                api,
                &server_user(),
                &resource,
                "",
                &name,
                &DeleteOptions::default(),
            )
            .await;
            match removed {
                Ok(_) => create(api, &resource, "", value).await,
                Err(error) => Err(error),
            }
        }
    };
    result.map_err(failed(plural, &name))
}

/// The Service by which pods reach the API, and the Endpoints and EndpointSlice that point to this server.
pub(super) async fn kubernetes_service(
    api: &Arc<Api>,
    address: SocketAddr,
) -> Result<(), StartError> {
    let advertise = api.config.advertise;
    let port = if advertise.port() == 0 {
        address.port()
    } else {
        advertise.port()
    };
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let metadata = json!({"name": "kubernetes", "namespace": "default", "labels": labels});
    put(
        api,
        "",
        "services",
        json!({
            "kind": "Service", "apiVersion": "v1", "metadata": metadata,
            "spec": {
                "type": "ClusterIP",
                "clusterIP": api.config.service_range.first().to_string(),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
                "sessionAffinity": "None",
            },
        }),
    )
    .await?;
    let ip = advertise.ip().to_string();
    if advertise.ip().is_loopback() || advertise.ip().is_unspecified() {
        // Endpoints may not point to a loopback address, and no pod could use one.
        return Ok(());
    }
    let endpoints = json!({
        "kind": "Endpoints", "apiVersion": "v1",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    });
    mend(api, "", "endpoints", endpoints, &["subsets"]).await?;
    let slice = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": if advertise.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    mend(
        api,
        "discovery.k8s.io",
        "endpointslices",
        slice,
        &["endpoints", "ports"],
    )
    .await
}

/// True when somebody has removed what [`kubernetes_service`] makes.
pub(super) fn kubernetes_service_lacks(api: &Api) -> bool {
    let lacks = |group: &str, plural: &str| {
        let row = api.registry.built_in(group, plural);
        row.is_some_and(|row| api.store.get(&row.key("default", "kubernetes")).is_none())
    };
    let advertise = api.config.advertise.ip();
    let pointed = !advertise.is_loopback() && !advertise.is_unspecified();
    lacks("", "services")
        || (pointed && (lacks("", "endpoints") || lacks("discovery.k8s.io", "endpointslices")))
}

/// Creates an object, or sets these fields of the one that is there.
async fn mend(
    api: &Arc<Api>,
    group: &str,
    plural: &str,
    wanted: Value,
    fields: &[&str],
) -> Result<(), StartError> {
    let resource = row(api, group, plural)?;
    let (namespace, name) = (
        meta::namespace(&wanted).to_owned(),
        meta::name(&wanted).to_owned(),
    );
    let Ok(mut stored) = api.object(&resource, &namespace, &name) else {
        return create(api, &resource, &namespace, wanted)
            .await
            .map_err(failed(plural, &name));
    };
    for field in fields {
        meta::root_mut(&mut stored).insert((*field).to_owned(), wanted[*field].clone());
    }
    // An unchanged object is not written.
    replace(api, &resource, &namespace, stored)
        .await
        .map_err(failed(plural, &name))
}
