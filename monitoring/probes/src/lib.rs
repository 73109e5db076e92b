//! Probes: questions that the site asks again and again, whether a page, a name, a port or a machine answers as it should. Each is a
//! `Probe` (minicloud.io/v1); Debian's blackbox exporter asks, and runs only while there are any.
//!
//! The one thing to know: one Probe that the exporter refuses would cost all others their answers. So [`spec`] and then the
//! exporter's own check (`--config.check`) see each before it is written; what is refused is said in its condition `Accepted`.
//!
//! [`definition`], [`spec`], [`modules`] and [`status`] are pure; [`follow`] watches; [`managed`] acts.

pub mod definition;
mod follow;
pub mod managed;
mod modules;
mod rounds;
mod spec;
mod status;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};

/// The API group of what is Minicloud's own.
const GROUP: &str = "minicloud.io";

/// Namespace and name.
type Key = (String, String);

fn resource() -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{GROUP}/v1"),
        kind: "Probe".to_owned(),
        plural: "probes".to_owned(),
    }
}

/// The Probes of all namespaces.
fn all(client: kube::Client) -> Api<DynamicObject> {
    Api::all_with(client, &resource())
}

/// The Probes of a namespace.
fn of(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}
