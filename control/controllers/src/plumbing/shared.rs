//! What all controllers of the process share: the watches, the clients, the event writer.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, Resource};
use minicloud_api::part::Shutdown;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::events::{Recorder, Sink};
use super::informer::Informer;
use super::trim;
use crate::resizer::Resizer;
use crate::{ClientFor, Config};

/// The user whose client carries the shared watches.
const WATCHER: &str = "system:kube-controller-manager";
/// The namespace in which nodes renew their Leases.
const NODE_LEASES: &str = "kube-node-lease";

/// See the module. All informers exist from the start; [`Shared::start`] sets them going.
pub(crate) struct Shared {
    clients: ClientFor,
    events: Sink,
    pub(crate) autoscalers: Arc<Informer<HorizontalPodAutoscaler>>,
    pub(crate) claims: Arc<Informer<PersistentVolumeClaim>>,
    pub(crate) deployments: Arc<Informer<Deployment>>,
    pub(crate) endpoint_slices: Arc<Informer<EndpointSlice>>,
    pub(crate) endpoints: Arc<Informer<Endpoints>>,
    pub(crate) leases: Arc<Informer<Lease>>,
    pub(crate) namespaces: Arc<Informer<Namespace>>,
    pub(crate) nodes: Arc<Informer<Node>>,
    pub(crate) pods: Arc<Informer<Pod>>,
    pub(crate) replica_sets: Arc<Informer<ReplicaSet>>,
    pub(crate) resizers: Arc<Informer<Resizer>>,
    /// Only those called `kube-root-ca.crt`.
    pub(crate) root_cas: Arc<Informer<ConfigMap>>,
    /// Only those called `default`.
    pub(crate) service_accounts: Arc<Informer<ServiceAccount>>,
    pub(crate) services: Arc<Informer<Service>>,
    pub(crate) storage_classes: Arc<Informer<StorageClass>>,
    pub(crate) volumes: Arc<Informer<PersistentVolume>>,
}

impl Shared {
    /// Everything, not yet watching.
    pub(crate) fn new(config: &Config, events: Sink) -> Arc<Self> {
        Arc::new(Self {
            clients: config.client.clone(),
            events,
            autoscalers: Informer::new("horizontalpodautoscalers"),
            claims: Informer::new("persistentvolumeclaims"),
            deployments: Informer::new("deployments"),
            endpoint_slices: Informer::new("endpointslices"),
            endpoints: Informer::new("endpoints"),
            leases: Informer::new("leases"),
            namespaces: Informer::new("namespaces"),
            nodes: Informer::new("nodes"),
            pods: Informer::new("pods"),
            replica_sets: Informer::new("replicasets"),
            resizers: Informer::new("resizers"),
            root_cas: Informer::new("configmaps"),
            service_accounts: Informer::new("serviceaccounts"),
            services: Informer::new("services"),
            storage_classes: Informer::new("storageclasses"),
            volumes: Informer::new("persistentvolumes"),
        })
    }

    /// The client of a controller's own identity.
    pub(crate) fn client(&self, identity: &str) -> Client {
        (self.clients)(identity)
    }

    /// Writes events as `component` with a client.
    pub(crate) fn recorder(&self, client: &Client, component: &'static str) -> Recorder {
        self.events.recorder(client.clone(), component)
    }

    /// Starts every watch.
    pub(crate) fn start(&self, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
        let client = self.client(WATCHER);
        let all = watcher::Config::default;
        watch(
            tasks,
            &self.autoscalers,
            Api::all(client.clone()),
            all(),
            trim::autoscaler,
            shutdown,
        );
        watch(
            tasks,
            &self.claims,
            Api::all(client.clone()),
            all(),
            trim::claim,
            shutdown,
        );
        watch(
            tasks,
            &self.deployments,
            Api::all(client.clone()),
            all(),
            trim::deployment,
            shutdown,
        );
        watch(
            tasks,
            &self.endpoint_slices,
            Api::all(client.clone()),
            all(),
            trim::endpoint_slice,
            shutdown,
        );
        watch(
            tasks,
            &self.endpoints,
            Api::all(client.clone()),
            all(),
            trim::endpoints,
            shutdown,
        );
        watch(
            tasks,
            &self.leases,
            Api::namespaced(client.clone(), NODE_LEASES),
            all(),
            trim::lease,
            shutdown,
        );
        watch(
            tasks,
            &self.namespaces,
            Api::all(client.clone()),
            all(),
            trim::namespace,
            shutdown,
        );
        watch(
            tasks,
            &self.nodes,
            Api::all(client.clone()),
            all(),
            trim::node,
            shutdown,
        );
        watch(
            tasks,
            &self.pods,
            Api::all(client.clone()),
            all(),
            trim::pod,
            shutdown,
        );
        watch(
            tasks,
            &self.replica_sets,
            Api::all(client.clone()),
            all(),
            trim::replica_set,
            shutdown,
        );
        watch(
            tasks,
            &self.resizers,
            Api::all(client.clone()),
            all(),
            trim::resizer,
            shutdown,
        );
        let named =
            |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let root_ca = named(crate::root_ca::NAME);
        watch(
            tasks,
            &self.root_cas,
            Api::all(client.clone()),
            root_ca,
            trim::config_map,
            shutdown,
        );
        let account = named(crate::service_account::NAME);
        watch(
            tasks,
            &self.service_accounts,
            Api::all(client.clone()),
            account,
            trim::service_account,
            shutdown,
        );
        watch(
            tasks,
            &self.services,
            Api::all(client.clone()),
            all(),
            trim::service,
            shutdown,
        );
        watch(
            tasks,
            &self.storage_classes,
            Api::all(client.clone()),
            all(),
            trim::storage_class,
            shutdown,
        );
        watch(
            tasks,
            &self.volumes,
            Api::all(client),
            all(),
            trim::volume,
            shutdown,
        );
    }
}

fn watch<K>(
    tasks: &mut JoinSet<()>,
    informer: &Arc<Informer<K>>,
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    shutdown: &Shutdown,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    tasks.spawn(informer.clone().run(api, config, trim, shutdown.clone()));
}
