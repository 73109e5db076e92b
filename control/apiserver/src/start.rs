//! Starting: load what is stored, put the standard objects in place, serve; and what the server keeps up while it runs.

mod bootstrap;
mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;

use minicloud_api::part::Shutdown;
use minicloud_api::status::ApiStatus;
use minicloud_auth::pki::PkiError;
use minicloud_store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::config::Config;
use crate::http::server;

pub(crate) use bootstrap::server_user;

/// Why the API server did not start. None of it passes by itself: report and exit.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}; is another server running, or is the port below 1024 without being root?"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The client CA cannot be used.
    #[error("the client CA cannot be used")]
    Pki(#[from] PkiError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// A standard object could not be put in place.
    #[error("cannot put {what} in place")]
    Bootstrap {
        /// Which object.
        what: String,
        /// Why not.
        #[source]
        source: ApiStatus,
    },
}

/// The API server; see [`ApiServer::start`].
#[derive(Debug)]
pub struct ApiServer;

/// An API server that serves.
pub struct Running {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Loads what is derived from the store, puts the standard namespaces, roles and the Service `kubernetes` in place, and
    /// serves until `shutdown`. When this returns, the server answers.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: Config,
        store: Store,
        shutdown: Shutdown,
    ) -> Result<Running, StartError> {
        let listen = config.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| StartError::Listen {
                address: listen,
                source,
            })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: listen,
            source,
        })?;
        let api = Arc::new(Api::new(config, store)?);
        api.observe_all().await?;
        bootstrap::run(&api, address).await?;
        crate::crds::resume(&api)
            .await
            .map_err(|source| StartError::Bootstrap {
                what: "the deletion of definitions".to_owned(),
                source,
            })?;
        tokio::spawn(upkeep::run(Arc::clone(&api), address, shutdown.clone()));
        let serving = tokio::spawn(server::run(api, listener, shutdown));
        tracing::info!(%address, "the Kubernetes API is served");
        Ok(Running { address, serving })
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the server has shut down and its connections have ended.
    pub async fn wait(self) {
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the API server ended by a panic");
        }
    }
}
