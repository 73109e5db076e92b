//! The state that all requests share.

use std::sync::Mutex;

use minicloud_auth::authn::Authenticator;
use minicloud_auth::authz::Authorizer;
use minicloud_auth::pki::PkiError;
use minicloud_store::Store;
use tokio::sync::watch;

use crate::admission::services::Services;
use crate::config::Config;
use crate::http::limits::InFlight;
use crate::metrics::Metrics;
use crate::registry::Registry;

/// The API server behind its listener.
pub struct Api {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) extensions: crate::extension::Extensions,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Authorizer,
    pub(crate) services: Services,
    pub(crate) in_flight: InFlight,
    pub(crate) metrics: Metrics,
    pub(crate) openapi: crate::openapi::Cache,
    /// Held while what is derived from an object is brought up to date.
    pub(crate) observing: Mutex<()>,
    /// Held while Services get addresses and definitions names, from choosing to storing.
    pub(crate) names: tokio::sync::Mutex<()>,
    pub(crate) cleaning: crate::crds::Cleaning,
    pub(crate) claims: crate::crds::Claims,
    /// Told when a role has changed: aggregated roles may have to follow.
    pub(crate) roles_changed: tokio::sync::Notify,
    ending: watch::Sender<bool>,
}

impl Api {
    pub(crate) fn new(config: Config, store: Store) -> Result<Self, PkiError> {
        Ok(Self {
            authenticator: crate::authn::authenticator(&config, &store)?,
            authorizer: Authorizer::new(),
            services: Services::new(config.service_range, config.node_ports.clone()),
            in_flight: InFlight::new(&config.limits),
            metrics: Metrics::default(),
            openapi: crate::openapi::Cache::default(),
            registry: Registry::with(config.extensions.iter().map(|e| e.group.clone())),
            extensions: crate::extension::Extensions::new(&config.extensions),
            observing: Mutex::new(()),
            names: tokio::sync::Mutex::new(()),
            cleaning: crate::crds::Cleaning::default(),
            claims: crate::crds::Claims::default(),
            roles_changed: tokio::sync::Notify::new(),
            ending: watch::channel(false).0,
            config,
            store,
        })
    }

    /// Ends every watch, so that clients reconnect elsewhere or later.
    pub(crate) fn end_watches(&self) {
        self.ending.send_replace(true);
    }

    /// A signal that becomes true when watches are to end.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }
}
