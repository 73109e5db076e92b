//! Runs a part's future until shutdown, again and again if it must be.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use minicloud_api::part::{Run, Shutdown};
use tokio::time::Instant;

use crate::health::Health;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A future that ran this long was well: the next failure is a new one.
const WELL_AFTER: Duration = Duration::from_secs(120);

/// The wait before the next start, from the wait before this one and how long it ran.
fn next_wait(previous: Option<Duration>, ran: Duration) -> Duration {
    match previous {
        Some(wait) if ran < WELL_AFTER => (wait * 2).min(LONGEST_WAIT),
        _ => FIRST_WAIT,
    }
}

/// Runs `run`, restarting it when it panics or ends before shutdown. `/readyz` fails while it is down.
pub(crate) async fn supervise(
    name: &'static str,
    run: Run,
    health: Arc<Health>,
    mut shutdown: Shutdown,
) {
    let mut wait = None;
    while !shutdown.is_down() {
        health.set(name, true);
        let start = Instant::now();
        // The call itself may panic, too: make the future inside the guarded block.
        let (run, signal) = (run.clone(), shutdown.clone());
        let ended = AssertUnwindSafe(async move { run(signal).await })
            .catch_unwind()
            .await;
        if shutdown.is_down() {
            break;
        }
        health.set(name, false);
        let next = next_wait(wait, start.elapsed());
        let how = if ended.is_err() {
            "panicked"
        } else {
            "ended before shutdown"
        };
        tracing::error!(
            part = name,
            restart_in_seconds = next.as_secs(),
            "the background work of a part {how}"
        );
        wait = Some(next);
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            () = shutdown.wait() => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn back_off_doubles_up_to_a_minute_and_forgets() {
        let s = Duration::from_secs;
        for (previous, ran, expected) in [
            (None, s(0), 1),
            (Some(s(1)), s(0), 2),
            (Some(s(32)), s(5), 60),
            (Some(s(60)), s(119), 60),
            (Some(s(60)), s(120), 1),
        ] {
            assert_eq!(
                next_wait(previous, ran),
                s(expected),
                "{previous:?} {ran:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_panic_is_restarted_and_shutdown_ends_it() {
        tokio::time::pause();
        let (trigger, shutdown) = Shutdown::new();
        let (health, starts) = (Arc::new(Health::default()), Arc::new(AtomicU32::new(0)));
        let counted = starts.clone();
        let run: Run = Arc::new(move |mut shutdown| {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(start > 1, "fails twice");
                shutdown.wait().await;
            }
            .boxed()
        });
        let task = tokio::spawn(supervise("part/x", run, health.clone(), shutdown));
        while starts.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(health.report().0);
        trigger.shut_down();
        task.await.expect("supervisor ends");
    }
}
