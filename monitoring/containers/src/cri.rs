//! What runs, from the container runtime, by CRI.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use minicloud_containers::images::reference::normalize;
use minicloud_containers::translate::IMAGE;
use minicloud_cri::v1::{Container, ContainerFilter, PodSandbox, PodSandboxFilter};
use minicloud_cri::{CallError, Client};

use crate::members::{Listed, Lister, Member, Pod};

/// Asks the runtime that serves CRI on this Unix socket.
pub fn lister(socket: &Path) -> Lister {
    let client = Client::new(socket);
    // All sandboxes are of one image; which, only the status of one of them says.
    let sandbox_image: Arc<Mutex<String>> = Arc::default();
    Arc::new(move || {
        let (client, image) = (client.clone(), sandbox_image.clone());
        async move { list(&client, &image).await.map_err(|e| e.to_string()) }.boxed()
    })
}

async fn list(client: &Client, sandbox_image: &Mutex<String>) -> Result<Listed, CallError> {
    let sandboxes = client.list_pod_sandbox(PodSandboxFilter::default()).await?;
    let containers = client.list_containers(ContainerFilter::default()).await?;
    let known = |image: &Mutex<String>| {
        let image = image.lock().unwrap_or_else(PoisonError::into_inner);
        image.clone()
    };
    let mut image = known(sandbox_image);
    if image.is_empty()
        && let Some(one) = sandboxes.first()
    {
        let status = client.pod_sandbox_status(&one.id, true).await?;
        image = image_in(&status.info).unwrap_or_else(|| "pause".to_owned());
        sandbox_image
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&image);
    }
    Ok(listed(sandboxes, containers, &image))
}

/// The image in a sandbox's verbose status.
fn image_in(info: &HashMap<String, String>) -> Option<String> {
    let info: serde_json::Value = serde_json::from_str(info.get("info")?).ok()?;
    let image = info.get("image")?.as_str()?;
    (!image.is_empty()).then(|| image.to_owned())
}

/// Pure: what the runtime lists as pods and members.
fn listed(sandboxes: Vec<PodSandbox>, containers: Vec<Container>, sandbox_image: &str) -> Listed {
    let mut listed = Listed::default();
    let mut pods: HashMap<String, Pod> = HashMap::new();
    let mut uids: HashMap<String, String> = HashMap::new();
    for sandbox in sandboxes {
        let Some(metadata) = sandbox.metadata else {
            continue;
        };
        let created_seconds = seconds(sandbox.created_at);
        let pod = pods.entry(metadata.uid.clone()).or_insert_with(|| Pod {
            uid: metadata.uid.clone(),
            namespace: metadata.namespace,
            name: metadata.name,
            created_seconds,
        });
        pod.created_seconds = pod.created_seconds.min(created_seconds);
        uids.insert(sandbox.id.clone(), metadata.uid.clone());
        listed.members.push(Member {
            pod_uid: metadata.uid,
            cgroup: sandbox.id,
            container: String::new(),
            image: sandbox_image.to_owned(),
            created_seconds,
        });
    }
    for container in containers {
        let Some(pod_uid) = uids.get(&container.pod_sandbox_id) else {
            continue;
        };
        let image = image(&container);
        listed.members.push(Member {
            pod_uid: pod_uid.clone(),
            cgroup: container.id,
            container: container.metadata.unwrap_or_default().name,
            image,
            created_seconds: seconds(container.created_at),
        });
    }
    listed.pods = pods.into_values().collect();
    listed
}

/// The image as containerd calls it: complete, as `docker.io/library/nginx:latest`.
fn image(container: &Container) -> String {
    // The agent starts containers by the image's id and notes how the pod calls it.
    let noted = container.annotations.get(IMAGE);
    let asked = container.image.as_ref();
    let name = noted
        .filter(|name| !name.is_empty())
        .or(asked.map(|spec| &spec.image));
    let name = name.cloned().unwrap_or_default();
    match name.starts_with("sha256:") {
        // An id, not a name.
        true => name,
        false => normalize(&name).unwrap_or(name),
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn seconds(nanoseconds: i64) -> f64 {
    (nanoseconds / 1_000_000_000) as f64
}

#[cfg(test)]
mod tests {
    use minicloud_cri::v1::{ContainerMetadata, ImageSpec, PodSandboxMetadata};

    use super::*;

    fn sandbox(id: &str, created_at: i64) -> PodSandbox {
        PodSandbox {
            id: id.into(),
            metadata: Some(PodSandboxMetadata {
                name: "web".into(),
                uid: "u".into(),
                namespace: "shop".into(),
                attempt: 0,
            }),
            created_at,
            ..Default::default()
        }
    }

    fn container(id: &str, sandbox: &str, image: &str, noted: &str) -> Container {
        Container {
            id: id.into(),
            pod_sandbox_id: sandbox.into(),
            metadata: Some(ContainerMetadata {
                name: "nginx".into(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: image.into(),
                ..Default::default()
            }),
            annotations: [(IMAGE.to_owned(), noted.to_owned())].into(),
            created_at: 9_500_000_000,
            ..Default::default()
        }
    }

    #[test]
    fn a_pod_is_as_old_as_its_first_sandbox_and_images_are_complete() {
        let listed = listed(
            vec![sandbox("s2", 7_000_000_000), sandbox("s1", 5_000_000_000)],
            vec![
                container("c1", "s2", "sha256:0", "nginx"),
                container("c2", "s2", "sha256:0", ""),
                container("c3", "gone", "x", "x"),
            ],
            "pause:1",
        );
        assert_eq!(listed.pods.len(), 1);
        assert_eq!(listed.pods[0].created_seconds, 5.0);
        let told: Vec<_> = listed
            .members
            .iter()
            .map(|m| {
                let Member {
                    cgroup,
                    container,
                    image,
                    created_seconds,
                    ..
                } = m;
                format!("{cgroup} {container:?} {image} {created_seconds}")
            })
            .collect();
        assert_eq!(
            told,
            [
                "s2 \"\" pause:1 7",
                "s1 \"\" pause:1 5",
                "c1 \"nginx\" docker.io/library/nginx:latest 9",
                "c2 \"nginx\" sha256:0 9",
            ]
        );
    }

    #[test]
    fn the_sandbox_image_is_in_the_verbose_status() {
        let check = |info: &str, expect: Option<&str>| {
            let info = HashMap::from([("info".to_owned(), info.to_owned())]);
            assert_eq!(image_in(&info).as_deref(), expect);
        };
        check(r#"{"image":"pause:1","pid":7}"#, Some("pause:1"));
        check(r#"{"image":""}"#, None);
        check("nonsense", None);
        assert_eq!(image_in(&HashMap::new()), None);
    }
}
