//! Notices of what changed: from containerd's event stream, and from a slow look at the lists for what the stream cannot give.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use minicloud_agent::runtime::{LABEL_POD_UID, PodChange};
use minicloud_cri::{ErrorKind, EventKind, v1};

use super::{Shared, known};

/// Between looks at the lists, while there are events.
const RELIST: Duration = Duration::from_secs(60);
/// At a runtime that has no event stream.
const RELIST_ALONE: Duration = Duration::from_secs(10);
/// CRI hears of an exit when we do and takes a moment to note it; longer than this it does not take.
const NOTED: Duration = Duration::from_secs(10);

/// Passes events on, for ever.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut first = true;
    loop {
        // containerd answers a subscription only with its first event, so its success cannot be waited for. Another call on the
        // same connection shows that containerd is back; a moment later the subscription stands, and everything is looked at.
        let after_break = {
            let shared = shared.clone();
            let wanted = !std::mem::take(&mut first);
            async move {
                if wanted {
                    while shared.client.version().await.is_err() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    notify(&shared, PodChange::All);
                }
                std::future::pending::<()>().await
            }
        };
        let subscription = async {
            let mut events = shared.client.events().await?;
            while let Some(event) = events.next().await {
                let event = event?;
                // Apart, since it waits for CRI, and one pod must not wait for another. It is bounded by the number of containers.
                tokio::spawn(pass_on(shared.clone(), event));
            }
            Ok::<(), minicloud_cri::CallError>(())
        };
        let ended = tokio::select! {
            ended = subscription => ended,
            () = after_break => Ok(()),
        };
        match ended {
            Err(error) if error.kind == ErrorKind::Unimplemented => {
                tracing::info!(
                    "the runtime has no event stream; exits are noticed within {} s",
                    RELIST_ALONE.as_secs()
                );
                loop {
                    tokio::time::sleep(RELIST_ALONE).await;
                    compare(&shared).await;
                }
            }
            Err(error) => tracing::debug!(%error, "the event stream broke"),
            Ok(()) => {}
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A safety net: an event that got lost must not leave a pod dead for ever.
pub(super) async fn relist(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RELIST).await;
        compare(&shared).await;
    }
}

async fn compare(shared: &Shared) {
    let lists = futures::try_join!(
        shared.client.list_containers(Default::default()),
        shared.client.list_pod_sandbox(Default::default())
    );
    // A runtime that does not answer says nothing about pods.
    let Ok((containers, sandboxes)) = lists else {
        return;
    };
    let containers: HashMap<String, i32> =
        containers.into_iter().map(|c| (c.id, c.state)).collect();
    let sandboxes: HashMap<String, i32> = sandboxes.into_iter().map(|s| (s.id, s.state)).collect();
    let changed = known::changed_pods(&shared.known(), &containers, &sandboxes);
    for uid in changed {
        notify(shared, PodChange::Pod(uid));
    }
}

async fn pass_on(shared: Arc<Shared>, event: minicloud_cri::Event) {
    let id = event.container_id.as_str();
    if event.kind == EventKind::OutOfMemory {
        // Its reason may come to be OOMKilled after its exit was seen.
        shared.known().forget(id);
    }
    let uid = tokio::time::timeout(NOTED, async {
        let mut pause = Duration::from_millis(5);
        loop {
            match look(&shared, id).await {
                Look::Gone => return None,
                Look::Alive(uid) if event.kind == EventKind::OutOfMemory => return Some(uid),
                Look::Over(uid) => return Some(uid),
                Look::Alive(_) | Look::Unclear => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    });
    match uid.await {
        Ok(Some(uid)) => notify(&shared, PodChange::Pod(uid)),
        Ok(None) => {}
        Err(_) => notify(&shared, PodChange::All),
    }
}

enum Look {
    Gone,
    Alive(String),
    Over(String),
    Unclear,
}

/// What CRI says of a container or sandbox, with its pod's UID.
async fn look(shared: &Shared, id: &str) -> Look {
    let (labels, over) = match shared.client.container_status(id).await {
        Ok(status) => (
            status.labels,
            status.state == v1::ContainerState::ContainerExited as i32,
        ),
        Err(error) if error.is_not_found() => {
            match shared.client.pod_sandbox_status(id, false).await {
                Ok(response) => {
                    let status = response.status.unwrap_or_default();
                    (
                        status.labels,
                        status.state == v1::PodSandboxState::SandboxNotready as i32,
                    )
                }
                Err(error) if error.is_not_found() => return Look::Gone,
                Err(_) => return Look::Unclear,
            }
        }
        Err(_) => return Look::Unclear,
    };
    match labels.get(LABEL_POD_UID) {
        Some(uid) if over => Look::Over(uid.clone()),
        Some(uid) => Look::Alive(uid.clone()),
        None => Look::Gone,
    }
}

fn notify(shared: &Shared, change: PodChange) {
    // Nobody listening is no failure.
    let _ = shared.changes.send(change);
}
