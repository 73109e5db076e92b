//! The assigned pods on disk: what a cold start with no server needs. Know before changing: a checkpoint holds the ConfigMaps and
//! Secrets that its pod refers to. They are in files of mode 0600 in a directory of mode 0700, like the kubelet's own credentials; no
//! service-account token is ever written. A file is replaced as a whole and synced, and only when its content changes (flash wears).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decide::Outcome;
use crate::objects::Resolved;
use crate::pod;
use crate::volumes::Claim;

/// One pod on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The object, without what changes all the time.
    pub pod: Pod,
    /// What it refers to.
    #[serde(default)]
    pub objects: Resolved,
    /// Its bound claims.
    #[serde(default)]
    pub claims: BTreeMap<String, Claim>,
    /// Its end: a pod that is over never runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// The object as it is checkpointed.
pub fn strip(pod: &Pod) -> Pod {
    let mut kept = pod.clone();
    kept.metadata.managed_fields = None;
    kept.metadata.resource_version = None;
    let status = pod::status(pod);
    kept.status = Some(PodStatus {
        start_time: status.start_time.clone(),
        ..PodStatus::default()
    });
    kept
}

/// The directory of checkpoints.
pub struct Checkpoints {
    dir: PathBuf,
    written: Mutex<HashMap<String, [u8; 32]>>,
}

impl Checkpoints {
    /// Opens, making the directory.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            written: Mutex::default(),
        })
    }

    fn path(&self, uid: &str) -> PathBuf {
        self.dir.join(format!("{uid}.json"))
    }

    /// Writes if the content is new; says whether it was. Blocking.
    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<bool> {
        let uid = pod::uid(&checkpoint.pod);
        if uid.is_empty() || uid.contains('/') || uid.starts_with('.') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{uid:?} is not a pod's UID"),
            ));
        }
        let text = serde_json::to_vec(checkpoint)?;
        let hash: [u8; 32] = Sha256::digest(&text).into();
        if self
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            == Some(&hash)
        {
            return Ok(false);
        }
        let path = self.path(uid);
        // After a restart the file is as we left it more often than not.
        if fs::read(&path).ok().as_deref() != Some(&text) {
            let next = path.with_extension("tmp");
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&next)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            fs::File::open(&self.dir)?.sync_all()?;
        }
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned(), hash);
        Ok(true)
    }

    /// Forgets a pod.
    pub fn remove(&self, uid: &str) -> io::Result<()> {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
        match fs::remove_file(self.path(uid)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Everything that is there. A file that cannot be read is reported and left for a person to look at.
    pub fn load(&self) -> io::Result<Vec<Checkpoint>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let read = fs::read(&path).map_err(|e| e.to_string());
            match read.and_then(|text| {
                serde_json::from_slice::<Checkpoint>(&text).map_err(|e| e.to_string())
            }) {
                Ok(checkpoint) => found.push(checkpoint),
                Err(error) => {
                    tracing::error!(path = %path.display(), error, "a pod's checkpoint cannot be read; the API server's word counts")
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::objects::Data;

    #[test]
    fn round_trip() {
        let dir = tempfile::tempdir().expect("a directory");
        let checkpoints = Checkpoints::open(&dir.path().join("c")).expect("opens");
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u-1", "resourceVersion": "7", "managedFields": [{"manager": "x"}]},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "startTime": "2026-01-02T03:04:05Z", "podIP": "10.0.0.1"},
        }))
        .expect("a pod");
        let mut objects = Resolved::default();
        let data = Data {
            text: [("k".to_owned(), vec![0, 159, 146, 150])].into(),
            ..Data::default()
        };
        objects.insert(true, "s", Some(Arc::new(data)));
        let claim = Claim {
            path: "/data".into(),
            host_path_type: None,
            read_only: true,
        };
        let checkpoint = Checkpoint {
            pod: strip(&pod),
            objects,
            claims: [("c".to_owned(), claim)].into(),
            outcome: Some(Outcome::default()),
        };
        assert!(checkpoints.save(&checkpoint).expect("saves"));
        assert!(
            !checkpoints.save(&checkpoint).expect("saves"),
            "nothing is written twice"
        );
        let mode = fs::metadata(dir.path().join("c/u-1.json"))
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut touched = pod;
        touched.metadata.resource_version = Some("8".into());
        touched.status.as_mut().expect("a status").phase = Some("Pending".into());
        assert_eq!(
            strip(&touched),
            checkpoint.pod,
            "what changes all the time is not written"
        );

        fs::write(dir.path().join("c/bad.json"), "{").expect("writes");
        let again = Checkpoints::open(&dir.path().join("c")).expect("opens");
        assert_eq!(
            again.load().expect("loads"),
            std::slice::from_ref(&checkpoint)
        );
        again.remove("u-1").expect("removes");
        again.remove("u-1").expect("removes");
        assert_eq!(again.load().expect("loads"), []);
        let evil = Checkpoint {
            pod: serde_json::from_value(serde_json::json!({"metadata": {"uid": "../x"}}))
                .expect("a pod"),
            ..Checkpoint::default()
        };
        assert!(again.save(&evil).is_err());
    }
}
