//! Characterization: what hardware is here, as one `Device` (minicloud.io/v1) for each node, and the API that tells of it.
//!
//! Each node looks at itself and writes its own Device ([`report`]); everyone else reads Devices through the Kubernetes API, also
//! [`part`], which answers on port 3000. Nothing here measures: what moves by itself is monitoring's, so that an idle site writes
//! nothing.

pub mod definition;
mod nvidia;
pub mod part;
pub mod report;
mod summary;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};

/// The API group of what is Minicloud's own.
pub const GROUP: &str = "minicloud.io";

/// The Devices of a cluster.
pub fn devices(client: kube::Client) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{GROUP}/v1"),
        kind: "Device".to_owned(),
        plural: "devices".to_owned(),
    };
    Api::all_with(client, &resource)
}
