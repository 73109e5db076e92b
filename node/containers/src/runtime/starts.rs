//! Calls that start something, carried to their end even when nobody waits for them any more.
//!
//! Know before changing: containerd gives up a call when its caller goes away, and when that meets a shim just being started, the
//! shim stays and nobody knows of it. So a start is not cut off, and the end of the server waits for those under way.

use std::sync::Arc;
use std::time::Duration;

use minicloud_agent::runtime::RuntimeError;
use minicloud_cri::CallError;
use tokio::sync::watch;

use super::errors::runtime_error;

/// The starts under way.
#[derive(Debug)]
pub(super) struct Starts {
    count: watch::Sender<usize>,
}

impl Default for Starts {
    fn default() -> Self {
        Starts {
            count: watch::Sender::new(0),
        }
    }
}

struct Counted(Arc<Starts>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

impl Starts {
    /// Makes a call that goes on also when this future is dropped.
    pub(super) async fn carry<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        self.count.send_modify(|count| *count += 1);
        let counted = Counted(self.clone());
        let task = tokio::spawn(async move {
            let result = call.await;
            drop(counted);
            result
        });
        match task.await {
            Ok(result) => result.map_err(runtime_error),
            Err(error) => Err(RuntimeError::Failed(format!("the call broke off: {error}"))),
        }
    }

    pub(super) fn any(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Returns when none is under way, or after `patience`.
    pub(super) async fn finished(&self, patience: Duration) {
        let mut count = self.count.subscribe();
        let none = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(patience, none).await.is_err() {
            tracing::warn!("starts of containers are cut off; the next server sees to them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_outlives_who_asked_for_it() {
        let starts = Arc::new(Starts::default());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let call = starts.carry(async move {
            let _ = ended.await;
            Ok(())
        });
        let cut = tokio::time::timeout(Duration::from_millis(10), call).await;
        assert!(cut.is_err() && starts.any());
        let waiting = tokio::time::timeout(
            Duration::from_millis(10),
            starts.finished(Duration::from_secs(10)),
        );
        assert!(waiting.await.is_err());
        end.send(()).unwrap();
        starts.finished(Duration::from_secs(10)).await;
        assert!(!starts.any());
    }
}
