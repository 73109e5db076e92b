//! A node's part: looks at the machine now and then and keeps its Device true.
//!
//! Know before changing: the server may be away for days, and a Device is small news; what cannot be written now is written later,
//! and nothing waits for it.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use minicloud_api::part::Shutdown;
use minicloud_hardware::can_run::KvmVerdict;
use minicloud_hardware::{DeviceStatus, Inputs, Region, Root};
use serde_json::{Value, json};

use crate::{GROUP, devices, nvidia, summary};

const KVM: &str = "/dev/kvm";
/// Between looks. Hardware changes seldom, and there is no one event that says so for all of it.
const LOOK: Duration = Duration::from_secs(300);
/// How soon a report that failed is tried again; then twice as long each time, up to [`LOOK`].
const RETRY: Duration = Duration::from_millis(500);

/// What only the one who starts the node knows.
pub struct Settings {
    /// The node's name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The packages whose versions are told; the usual ones when empty.
    pub software: Vec<String>,
    /// Whether machines run by KVM; found once, since it takes a machine to find out. Not asked where there is no `/dev/kvm`.
    pub kvm: Pin<Box<dyn Future<Output = Option<KvmVerdict>> + Send>>,
}

/// Keeps the Device of a node until shutdown. `client` acts as that node.
pub async fn run(client: kube::Client, settings: Settings, mut shutdown: Shutdown) {
    let kvm = tokio::select! {
        verdict = settings.kvm, if Path::new(KVM).exists() => verdict,
        () = shutdown.wait() => return,
        else => None,
    };
    let reporter = Reporter {
        nodes: Api::all(client.clone()),
        devices: devices(client),
        name: settings.name,
        addresses: settings.addresses,
        software: settings.software,
        kvm,
    };
    let mut pause = RETRY;
    loop {
        let result = tokio::select! {
            result = reporter.report() => result,
            () = shutdown.wait() => return,
        };
        let rest = match result {
            Ok(()) => {
                pause = RETRY;
                LOOK
            }
            Err(error) => {
                tracing::debug!(%error, "this node's Device cannot be reported now");
                let now = pause;
                pause = (pause * 2).min(LOOK);
                now
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shutdown.wait() => return,
        }
    }
}

struct Reporter {
    nodes: Api<Node>,
    devices: Api<DynamicObject>,
    name: String,
    addresses: Vec<String>,
    software: Vec<String>,
    kvm: Option<KvmVerdict>,
}

impl Reporter {
    async fn report(&self) -> kube::Result<()> {
        let node = self.nodes.get(&self.name).await?;
        let mut inputs = Inputs {
            name: Some(self.name.clone()),
            addresses: self.addresses.clone(),
            roles: roles(&node),
            region: region(&node),
            kvm_verdict: self.kvm.clone(),
            ..Inputs::default()
        };
        if !self.software.is_empty() {
            inputs.software.clone_from(&self.software);
        }
        let looked = tokio::task::spawn_blocking(move || {
            inputs.gpu_details = nvidia::gpus();
            minicloud_hardware::read(&Root::new("/"), &inputs)
        });
        let Ok(found) = looked.await else {
            tracing::error!("looking at this machine broke off");
            return Ok(());
        };
        let device = self.device(&node).await?;
        let status = status(&found);
        if device.data.get("status") == Some(&status) {
            return Ok(());
        }
        // Replaced, not merged: what is no longer there must go.
        let patch = json!([{"op": "add", "path": "/status", "value": status}]);
        let patch: json_patch::Patch =
            serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        self.devices
            .patch_status(
                &self.name,
                &PatchParams::default(),
                &Patch::<Value>::Json(patch),
            )
            .await
            .map(drop)
    }

    /// The object, made where it is not there. It goes with its Node.
    async fn device(&self, node: &Node) -> kube::Result<DynamicObject> {
        if let Some(device) = self.devices.get_opt(&self.name).await? {
            return Ok(device);
        }
        let device = serde_json::from_value(json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "Device",
            "metadata": {
                "name": self.name,
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Node", "name": self.name, "uid": node.metadata.uid,
                }],
            },
        }))
        .map_err(kube::Error::SerdeError)?;
        self.devices.create(&PostParams::default(), &device).await
    }
}

/// `node-role.kubernetes.io/ROLE` labels.
fn roles(node: &Node) -> Vec<String> {
    let labels = node.metadata.labels.iter().flatten();
    labels
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Annotations `minicloud.io/continent`, `/country` and `/city`: where a machine stands is known to people only.
fn region(node: &Node) -> Option<Region> {
    let text = |name: &str| {
        let annotations = node.metadata.annotations.as_ref()?;
        annotations.get(&format!("{GROUP}/{name}")).cloned()
    };
    let region = Region {
        continent: text("continent").unwrap_or_default(),
        country: text("country").unwrap_or_default(),
        city: text("city").unwrap_or_default(),
    };
    (region != Region::default()).then_some(region)
}

/// What the object says: without measurements, which would be old at once and be written for ever.
fn status(found: &DeviceStatus) -> Value {
    let still = found.without_measurements();
    let mut status = serde_json::to_value(&still).unwrap_or_default();
    status["summary"] = summary::of(&still);
    status
}
