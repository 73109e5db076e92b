//! The node's side of local-path volumes: makes and removes directories that the controller asks for on the Node object.
//!
//! Only names that this crate gives are heeded, and only directly under the base directory: whoever can annotate the Node
//! must not be able to remove anything else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use minicloud_api::part::Shutdown;
use serde_json::{Value, json};
use tracing::{debug, warn};

use crate::plumbing::objects::annotation;

/// On a Node: where its directories are. Its presence says that the node makes and removes them itself.
pub(crate) const DIRECTORY: &str = "local-path.minicloud.io/directory";
/// On a Node: names of directories to make, separated by commas.
pub(crate) const CREATE: &str = "local-path.minicloud.io/create";
/// On a Node: names of directories to remove, separated by commas.
pub(crate) const REMOVE: &str = "local-path.minicloud.io/remove";

const RETRY: Duration = Duration::from_secs(10);

// ---- decide ----

/// The names in one of the lists.
pub(crate) fn names(meta: &ObjectMeta, list: &str) -> Vec<String> {
    let text = annotation(meta, list).unwrap_or_default();
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// True for a name that a directory of a volume may have.
fn is_ours(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.starts_with("pvc-") && name.len() <= 255 && name.chars().all(plain)
}

/// What the Node should say when all that it asks for is done but `left`.
fn answer(meta: &ObjectMeta, base: &Path, left: &[String]) -> Option<Value> {
    let base = base.to_string_lossy();
    let mut annotations = json!({});
    if annotation(meta, DIRECTORY) != Some(&base) {
        annotations[DIRECTORY] = json!(base);
    }
    for list in [CREATE, REMOVE] {
        let names = names(meta, list);
        let rest: Vec<_> = names
            .iter()
            .filter(|name| left.contains(name))
            .cloned()
            .collect();
        if rest.len() < names.len() {
            annotations[list] = if rest.is_empty() {
                Value::Null
            } else {
                json!(rest.join(","))
            };
        }
    }
    let changes = annotations.as_object().is_some_and(|a| !a.is_empty());
    changes.then(|| json!({"metadata": {"resourceVersion": meta.resource_version, "annotations": annotations}}))
}

// ---- act ----

/// Runs until shutdown.
pub(crate) async fn run(
    client: Client,
    node: String,
    base: PathBuf,
    mut shutdown: Shutdown,
) -> anyhow::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let watched: Api<PartialObjectMeta<Node>> = Api::all(client);
    let config = watcher::Config::default().fields(&format!("metadata.name={node}"));
    let mut events = std::pin::pin!(watcher(watched, config).default_backoff());
    let mut latest: Option<ObjectMeta> = None;
    loop {
        let mut retry = false;
        if let Some(meta) = &latest {
            match serve(&api, &node, &base, meta).await {
                Ok(done) => retry = !done,
                // The watch brings the newer version.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => {
                    warn!(%error, "cannot answer for local-path volumes, trying again");
                    retry = true;
                }
            }
        }
        let event = tokio::select! {
            () = shutdown.wait() => return Ok(()),
            event = events.next() => event,
            () = tokio::time::sleep(RETRY), if retry => continue,
        };
        match event {
            Some(Ok(Event::InitApply(node) | Event::Apply(node))) => latest = Some(node.metadata),
            Some(Ok(Event::Delete(_))) => latest = None,
            Some(Ok(Event::Init | Event::InitDone)) => {}
            Some(Err(error)) => debug!(%error, "cannot watch the own node, trying again"),
            None => return Ok(()),
        }
    }
}

/// Does what the Node asks for and says so. False when something is left to be tried again.
async fn serve(api: &Api<Node>, node: &str, base: &Path, meta: &ObjectMeta) -> kube::Result<bool> {
    let mut left = Vec::new();
    for (list, make) in [(CREATE, true), (REMOVE, false)] {
        for name in names(meta, list) {
            if !is_ours(&name) {
                warn!(name, "not a name of a volume's directory, ignored");
                continue;
            }
            let path = base.join(&name);
            let done =
                tokio::task::spawn_blocking(
                    move || if make { create(&path) } else { remove(&path) },
                );
            match done.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(name, %error, "cannot {} a volume's directory, trying again", if make { "make" } else { "remove" });
                    left.push(name);
                }
                Err(_) => left.push(name),
            }
        }
    }
    if let Some(patch) = answer(meta, base, &left) {
        api.patch_metadata(node, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
    }
    Ok(left.is_empty())
}

/// Whatever user a pod runs as may write: the directory is the volume's root.
fn create(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::from_value;

    use super::*;

    fn meta(annotations: Value) -> ObjectMeta {
        from_value(json!({"name": "n", "resourceVersion": "3", "annotations": annotations}))
            .unwrap()
    }

    #[test]
    fn only_our_own_names_are_heeded() {
        for name in ["pvc-1_ns_data", "pvc-0a.b"] {
            assert!(is_ours(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "etc",
            "pvc-/../../etc",
            "pvc-\0",
            "../pvc-1",
            "pvc-ä",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn the_answer_takes_off_what_is_done() {
        let base = Path::new("/data");
        let check = |annotations: Value, left: &[&str], expect: Option<Value>| {
            let left: Vec<String> = left.iter().map(|n| (*n).to_owned()).collect();
            let got = answer(&meta(annotations.clone()), base, &left);
            assert_eq!(
                got.map(|mut p| p["metadata"]["annotations"].take()),
                expect,
                "{annotations}"
            );
        };
        check(json!({}), &[], Some(json!({DIRECTORY: "/data"})));
        check(json!({DIRECTORY: "/data"}), &[], None);
        check(
            json!({DIRECTORY: "/data", CREATE: "pvc-a,pvc-b"}),
            &["pvc-b"],
            Some(json!({CREATE: "pvc-b"})),
        );
        check(
            json!({DIRECTORY: "/data", CREATE: "pvc-a", REMOVE: "pvc-b"}),
            &[],
            Some(json!({CREATE: null, REMOVE: null})),
        );
        check(
            json!({DIRECTORY: "/data", REMOVE: "pvc-b"}),
            &["pvc-b"],
            None,
        );
    }

    #[test]
    fn directories_come_and_go() {
        let base = std::env::temp_dir().join(format!("mct-local-path-{}", std::process::id()));
        let path = base.join("pvc-1_ns_data");
        create(&path).unwrap();
        create(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o777
        );
        std::fs::write(path.join("file"), "x").unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        std::fs::remove_dir_all(&base).unwrap();
    }
}
