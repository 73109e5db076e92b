//! How a part joins the listener on port 3000.
//!
//! A part is a value: its routes, what a caller must be allowed to do to use them, its OpenAPI fragment, its metrics and a
//! future to run until shutdown. The listener adds TLS, authentication, authorization, limits, request ids, problem bodies
//! and the merged `/openapi.json`. A part therefore holds no code for any of these.

use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;

/// The Kubernetes permission that a request needs: what a SubjectAccessReview asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission {
    /// `get`, `list`, `watch`, `create`, …
    pub verb: &'static str,
    /// API group, empty for core.
    pub group: &'static str,
    /// Resource, plural.
    pub resource: &'static str,
    /// Subresource, empty for none.
    pub subresource: &'static str,
    /// Namespace; `None` asks for all namespaces or a cluster-scoped resource.
    pub namespace: Option<String>,
    /// Object name; `None` asks for any.
    pub name: Option<String>,
}

impl Permission {
    /// `verb` on `resource` of `group` in the whole cluster.
    pub fn cluster(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            group,
            resource,
            subresource: "",
            namespace: None,
            name: None,
        }
    }
}

/// What a caller needs for a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing, not even credentials: for what tells nothing about the site, such as the console's own files.
    Nothing,
    /// Credentials that hold; the part passes them on to whom decides about the rest (the Kubernetes API). Only here does a
    /// part see the `Authorization` header.
    Credentials,
    /// A permission on a resource.
    Resource(Permission),
    /// A permission on a path that is no resource's, as `nonResourceURLs` of a ClusterRole give it.
    Path {
        /// `get`, `post`, …
        verb: &'static str,
        /// The path, from its slash on.
        path: String,
    },
}

impl Need {
    /// `verb` on `resource` of `group` in the whole cluster.
    pub fn cluster(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self::Resource(Permission::cluster(verb, group, resource))
    }

    /// `get` on a path that is no resource's.
    pub fn path(path: impl Into<String>) -> Self {
        Self::Path {
            verb: "get",
            path: path.into(),
        }
    }
}

/// What a request needs. Pure: it sees the request's head only.
pub type Permit = Arc<dyn Fn(&http::request::Parts) -> Need + Send + Sync>;

/// Makes the future that a part runs in the background.
pub type Run = Arc<dyn Fn(Shutdown) -> BoxFuture<'static, ()> + Send + Sync>;

/// A part's contribution to the listener.
pub struct Part {
    /// The part's name as its folder is called, e.g. `status`.
    pub name: &'static str,
    /// The routes; none for a part that has only metrics. The listener puts the caller into the request's extensions as
    /// [`crate::user::UserInfo`].
    pub routes: Router,
    /// What a caller must be allowed to do for a request under `routes`.
    pub permit: Permit,
    /// `paths` and `components` of an OpenAPI 3.1 document.
    pub openapi: Value,
    /// The part's metrics in Prometheus' text format, appended to `/metrics`. May block: it is called where that hurts nobody.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Runs until shutdown; `None` when the part only answers. The listener calls it again, with back-off, when the future
    /// panics or ends early.
    pub run: Option<Run>,
}

/// A signal that everything should end, seen by any number of tasks.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// The other end of [`Shutdown`]. Dropping it is a shutdown too, so a task never outlives what started it.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A trigger and the signal that it sets off.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Returns when shutdown has begun.
    pub async fn wait(&mut self) {
        // An error means that the trigger is gone, which is a shutdown.
        let _ = self.0.wait_for(|down| *down).await;
    }

    /// True when shutdown has begun.
    pub fn is_down(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Begins the shutdown.
    pub fn shut_down(&self) {
        self.0.send_replace(true);
    }
}
