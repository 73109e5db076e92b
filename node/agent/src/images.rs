//! Has an image when a container needs it. Know before changing: one pull per image at a time, a few at once on the machine; the
//! back-off between failures is the pod's, not kept here.

pub mod auth;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::Semaphore;

use crate::events::{Events, Severity};
use crate::objects::Resolved;
use crate::runtime::{Image, PodRuntime, RuntimeError};

/// Pulls at once on the machine.
const PULLS: usize = 3;

/// Why there is no image: `status.state.waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `ErrImagePull`, `ErrImageNeverPull` or `InvalidImageName`.
    pub reason: &'static str,
    /// Sentence.
    pub message: String,
}

/// Pulls images.
pub struct Images {
    runtime: Arc<dyn PodRuntime>,
    events: Events,
    pulls: Semaphore,
    each: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Images {
    /// Over a runtime.
    pub fn new(runtime: Arc<dyn PodRuntime>, events: Events) -> Self {
        Self {
            runtime,
            events,
            pulls: Semaphore::new(PULLS),
            each: Mutex::default(),
        }
    }

    /// The image of a container, pulled if its policy wants it.
    pub async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        objects: &Resolved,
    ) -> Result<Image, Missing> {
        let name = container.image.as_deref().unwrap_or_default();
        let warn = |message: String, reason: &'static str| {
            self.events.pod(
                pod,
                Some(&container.name),
                Severity::Warning,
                "Failed",
                message.clone(),
            );
            Missing { reason, message }
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(warn(
                format!("Failed to apply default image tag {name:?}: couldn't parse image name"),
                "InvalidImageName",
            ));
        }
        let policy = container
            .image_pull_policy
            .as_deref()
            .unwrap_or_else(|| default_policy(name));
        let present = match self.runtime.image(name).await {
            Ok(found) => found,
            Err(RuntimeError::InvalidImageName(why)) => {
                return Err(warn(
                    format!("Failed to apply default image tag {name:?}: {why}"),
                    "InvalidImageName",
                ));
            }
            Err(error) => {
                return Err(warn(
                    format!("Failed to inspect image {name:?}: {error}"),
                    "ErrImagePull",
                ));
            }
        };
        match (present, policy) {
            (Some(image), "IfNotPresent" | "Never") => {
                let message = format!("Container image \"{name}\" already present on machine");
                self.events.pod(
                    pod,
                    Some(&container.name),
                    Severity::Normal,
                    "Pulled",
                    message,
                );
                return Ok(image);
            }
            (None, "Never") => {
                let message =
                    format!("Container image \"{name}\" is not present with pull policy of Never");
                self.events.pod(
                    pod,
                    Some(&container.name),
                    Severity::Warning,
                    "ErrImageNeverPull",
                    message.clone(),
                );
                return Err(Missing {
                    reason: "ErrImageNeverPull",
                    message,
                });
            }
            _ => {}
        }
        let begun = Instant::now();
        self.events.pod(
            pod,
            Some(&container.name),
            Severity::Normal,
            "Pulling",
            format!("Pulling image \"{name}\""),
        );
        let credentials = auth::for_image(pod, objects, name);
        let one = self.lock_of(name);
        let _one = one.lock().await;
        // Whoever waited for another's pull of the same image has it now.
        let waited = if policy == "IfNotPresent" {
            self.runtime.image(name).await.ok().flatten()
        } else {
            None
        };
        let pull_begun = Instant::now();
        let pulled = match waited {
            Some(image) => Ok(image),
            None => {
                let _permit = self.pulls.acquire().await;
                self.runtime.pull_image(name, &credentials).await
            }
        };
        match pulled {
            Ok(image) => {
                let message = format!(
                    "Successfully pulled image \"{name}\" in {:.3}s ({:.3}s including waiting). Image size: {} bytes.",
                    pull_begun.elapsed().as_secs_f64(),
                    begun.elapsed().as_secs_f64(),
                    image.size_bytes
                );
                self.events.pod(
                    pod,
                    Some(&container.name),
                    Severity::Normal,
                    "Pulled",
                    message,
                );
                Ok(image)
            }
            Err(error) => {
                let reason = if matches!(error, RuntimeError::InvalidImageName(_)) {
                    "InvalidImageName"
                } else {
                    "ErrImagePull"
                };
                let missing = Missing {
                    reason,
                    message: error.to_string(),
                };
                self.events.pod(
                    pod,
                    Some(&container.name),
                    Severity::Warning,
                    "Failed",
                    format!("Failed to pull image \"{name}\": {error}"),
                );
                self.events.pod(
                    pod,
                    Some(&container.name),
                    Severity::Warning,
                    "Failed",
                    format!("Error: {reason}"),
                );
                Err(missing)
            }
        }
    }

    fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = each.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        each.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// What the API would have defaulted to.
fn default_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    if image.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest") {
        "IfNotPresent"
    } else {
        "Always"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let check = |image, expect| assert_eq!(default_policy(image), expect, "{image}");
        check("a", "Always");
        check("a:latest", "Always");
        check("localhost:5000/a", "Always");
        check("localhost:5000/a:1", "IfNotPresent");
        check("a@sha256:0", "IfNotPresent");
    }
}
