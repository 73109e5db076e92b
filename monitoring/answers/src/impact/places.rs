//! Where pods keep things: from their volumes to paths on the node. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::ResourceExt;
use serde_json::Value;

use super::judge::{Place, PodPlaces};
use crate::objects::PodFacts;

/// Paths of persistent volumes by claim: namespace and name.
pub(crate) type Volumes = BTreeMap<(String, String), String>;

/// A pod whose claims are still to be looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unresolved {
    pod: PodPlaces,
    /// Volume and claim.
    claims: Vec<(String, String)>,
}

/// A pod that is on a node and has not ended. `node_data_dir` is where nodes keep layers, logs and volumes of pods.
pub(crate) fn of(pod: &Pod, node_data_dir: &Path) -> Option<Unresolved> {
    let facts = PodFacts::new(pod);
    if !facts.is_active() {
        return None;
    }
    let data_dir = node_data_dir.display().to_string();
    let mut places = vec![Place {
        path: data_dir.clone(),
        volume: String::new(),
    }];
    let mut claims = Vec::new();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    for volume in volumes.unwrap_or_default() {
        match place(volume, &pod.name_any(), &data_dir) {
            Some(Kept::At(path)) => places.push(Place {
                path,
                volume: volume.name.clone(),
            }),
            Some(Kept::Claim(claim)) => claims.push((volume.name.clone(), claim)),
            None => {}
        }
    }
    let pod = PodPlaces {
        namespace: facts.namespace,
        name: facts.name,
        node: facts.node?,
        workload: facts.workload,
        places,
    };
    Some(Unresolved { pod, claims })
}

enum Kept {
    At(String),
    Claim(String),
}

/// Nothing for what is in memory or elsewhere.
fn place(volume: &Volume, pod: &str, data_dir: &str) -> Option<Kept> {
    if let Some(host) = &volume.host_path {
        return Some(Kept::At(host.path.clone()));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(Kept::Claim(claim.claim_name.clone()));
    }
    if volume.ephemeral.is_some() {
        return Some(Kept::Claim(format!("{pod}-{}", volume.name)));
    }
    let empty = volume.empty_dir.as_ref()?;
    (empty.medium.as_deref() != Some("Memory")).then(|| Kept::At(data_dir.to_owned()))
}

impl Unresolved {
    /// With the paths of its claims.
    pub(crate) fn resolve(self, volumes: &Volumes) -> PodPlaces {
        let mut pod = self.pod;
        for (volume, claim) in self.claims {
            if let Some(path) = volumes.get(&(pod.namespace.clone(), claim)) {
                pod.places.push(Place {
                    path: path.clone(),
                    volume,
                });
            }
        }
        pod
    }
}

/// The claim of a PersistentVolume and where on a node it is.
pub(crate) fn of_volume(volume: &Value) -> Option<((String, String), String)> {
    let text = |pointer: &str| volume.pointer(pointer)?.as_str().map(str::to_owned);
    let claim = (
        text("/spec/claimRef/namespace")?,
        text("/spec/claimRef/name")?,
    );
    let path = text("/spec/local/path").or_else(|| text("/spec/hostPath/path"))?;
    Some((claim, path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_are_somewhere() {
        let pod = |phase: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "name": "db-0"},
                "spec": {"nodeName": "edge-1", "containers": [], "volumes": [
                    {"name": "host", "hostPath": {"path": "/data/db"}},
                    {"name": "scratch", "emptyDir": {}},
                    {"name": "fast", "emptyDir": {"medium": "Memory"}},
                    {"name": "claimed", "persistentVolumeClaim": {"claimName": "pvc"}},
                    {"name": "own", "ephemeral": {}},
                    {"name": "lost", "persistentVolumeClaim": {"claimName": "none"}},
                    {"name": "secret", "secret": {"secretName": "s"}},
                ]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        let volumes: Volumes = [
            json!({"spec": {"claimRef": {"namespace": "shop", "name": "pvc"}, "local": {"path": "/volumes/1"}}}),
            json!({"spec": {"claimRef": {"namespace": "shop", "name": "db-0-own"}, "hostPath": {"path": "/volumes/2"}}}),
            json!({"spec": {"nfs": {}}}),
        ]
        .iter()
        .filter_map(of_volume)
        .collect();
        let places = of(&pod("Running"), Path::new("/var/lib/m"))
            .unwrap()
            .resolve(&volumes)
            .places;
        let places: Vec<_> = places
            .iter()
            .map(|p| (p.volume.as_str(), p.path.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                ("", "/var/lib/m"),
                ("host", "/data/db"),
                ("scratch", "/var/lib/m"),
                ("claimed", "/volumes/1"),
                ("own", "/volumes/2"),
            ]
        );
        assert!(of(&pod("Succeeded"), Path::new("/")).is_none());
    }
}
