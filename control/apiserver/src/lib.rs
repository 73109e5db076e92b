//! The Kubernetes REST API over a [`minicloud_store::Store`].
//!
//! [`registry`] says what is served, one row per resource; everything else is generic over rows and works on JSON. A request
//! comes in at [`http`], is understood by [`path`] and [`query`], let through by [`authn`] and the authorizer, routed by
//! [`dispatch`] to one of [`verbs`] or [`subresources`], changed by [`admission`], judged by [`strategy`], and kept by
//! [`objects`]. The one thing to know: an object is parsed only if something has to look inside; [`codec`] lays stored bytes
//! out so that answers are copies of them.

pub mod admission;
pub mod api;
pub mod authn;
pub mod codec;
pub mod config;
mod crds;
mod discovery;
mod dispatch;
mod extension;
mod health;
pub mod http;
mod input;
mod kinds;
mod metrics;
pub mod negotiate;
mod objects;
mod openapi;
pub mod path;
pub mod query;
pub mod registry;
mod selection;
mod start;
mod strategy;
mod subresources;
mod verbs;

pub use api::Api;
pub use config::{Config, Extension, ServiceRange};
pub use http::limits::Limits;
pub use start::{ApiServer, Running, StartError};
