//! Keeping a daemon running: take over or start, tell of changed files, start again with growing pauses whenever it ends.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_api::part::Shutdown;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::files::{Files, make_dir};
use crate::process::{self, Process};
use crate::{Daemon, Failure, State, health, log};

/// Changes that come together are written together.
const SETTLE: Duration = Duration::from_millis(100);
/// The first pause before a restart and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// One that was ready this long had started well: pauses begin anew.
const SOUND: Duration = Duration::from_secs(300);
/// How often one that starts is asked whether it is ready, and one that was.
const ASK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// How long one may take to be ready: reading a journal anew on a slow disk takes minutes.
const START: Duration = Duration::from_secs(15 * 60);
/// How long one that was ready may be without an answer.
const HANG: Duration = Duration::from_secs(150);
/// How often a program that is not installed is looked for.
const LOOK: Duration = Duration::from_secs(60);

/// Keeps `daemon` running with `files` until shutdown, and leaves it running then. `tls` is [`crate::Loopback::client`].
pub async fn run(
    daemon: Daemon,
    mut files: watch::Receiver<Files>,
    tls: Arc<ClientConfig>,
    state: watch::Sender<State>,
    mut shutdown: Shutdown,
) {
    tokio::select! {
        () = keep(&daemon, &mut files, &tls, &state) => {}
        () = shutdown.wait() => {}
    }
}

async fn keep(
    daemon: &Daemon,
    files: &mut watch::Receiver<Files>,
    tls: &Arc<ClientConfig>,
    state: &watch::Sender<State>,
) {
    let mut pause = PAUSE.0;
    let mut in_a_row = 0;
    loop {
        if !daemon.program.exists() {
            if state.send_replace(State::Missing) != State::Missing {
                let (name, package) = (daemon.name, daemon.package);
                tracing::warn!("{name} is not installed: `apt-get install {package}`");
            }
            tokio::time::sleep(LOOK).await;
            continue;
        }
        state.send_replace(State::Starting);
        let life = live(daemon, files, tls, state).await;
        let ready = match &life {
            Ok(life) => life.ready_for,
            Err(_) => None,
        };
        if ready.is_some_and(|ready| ready >= SOUND) {
            pause = PAUSE.0;
        }
        in_a_row = if ready.is_some() { 0 } else { in_a_row + 1 };
        let (why, said) = match life {
            Ok(life) => (life.end.to_owned(), life.said),
            Err(error) => (format!("it cannot be started: {error}"), String::new()),
        };
        let pause_ms = pause.as_millis() as u64;
        tracing::warn!(why, said, pause_ms, "{} is started again", daemon.name);
        let last = said.lines().last().unwrap_or_default();
        state.send_replace(State::Failed(format!("{why}; its last words: {last}")));
        if in_a_row > 0 {
            let failure = Failure { in_a_row, said };
            let mend = daemon.mend.clone();
            let mended = tokio::task::spawn_blocking(move || mend(&failure)).await;
            if let Err(error) = mended {
                tracing::error!(%error, "mending {} broke off", daemon.name);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// A life that is over.
struct Life {
    /// How it ended.
    end: &'static str,
    /// How long it was ready, if ever.
    ready_for: Option<Duration>,
    /// Its last words.
    said: String,
}

async fn live(
    daemon: &Daemon,
    files: &mut watch::Receiver<Files>,
    tls: &Arc<ClientConfig>,
    state: &watch::Sender<State>,
) -> io::Result<Life> {
    let mut must_reload = write(daemon, files)?;
    if let Some(dir) = &daemon.data_dir {
        make_dir(dir, 0o700, daemon.user.uid, daemon.user.gid)?;
    }
    let process = match process::take_over(daemon).await {
        Some(process) => process,
        None => {
            must_reload = false;
            process::spawn(daemon)?
        }
    };
    let end = watch_over(daemon, files, tls, state, &process, &mut must_reload).await;
    if end.1 != ENDED {
        process.end().await;
    }
    Ok(Life {
        end: end.1,
        ready_for: end.0.map(|since| since.elapsed()),
        said: log::end(&daemon.log_file, process.log_from),
    })
}

const ENDED: &str = "it ended";

/// Returns when the daemon has ended, or must be ended: since when it was ready, and why.
async fn watch_over(
    daemon: &Daemon,
    files: &mut watch::Receiver<Files>,
    tls: &Arc<ClientConfig>,
    state: &watch::Sender<State>,
    process: &Process,
    must_reload: &mut bool,
) -> (Option<Instant>, &'static str) {
    let mut ready_since = None;
    let mut last_answer = Instant::now();
    let mut told = true;
    loop {
        let pause = if ready_since.is_some() { ASK.1 } else { ASK.0 };
        let ask = async {
            tokio::time::sleep(pause).await;
            health::ask(daemon.port, daemon.health, tls).await
        };
        let answer = tokio::select! {
            () = process.ended() => return (ready_since, ENDED),
            changed = files.changed(), if told => {
                if changed.is_err() {
                    // Nobody has anything to tell any more; the daemon is watched all the same.
                    told = false;
                    continue;
                }
                tokio::time::sleep(SETTLE).await;
                match write(daemon, files) {
                    Ok(reload) => *must_reload |= reload,
                    Err(error) => tracing::error!(%error, dir = %daemon.dir.display(), "the files of {} cannot be written", daemon.name),
                }
                // The signal would end one that does not listen for it yet.
                if ready_since.is_some() && std::mem::take(must_reload) {
                    process.reload();
                }
                continue;
            }
            answer = ask => answer,
        };
        match answer {
            Ok(()) => {
                last_answer = Instant::now();
                if ready_since.is_none() {
                    ready_since = Some(last_answer);
                    state.send_replace(State::Ready);
                    tracing::info!(pid = process.pid(), "{} is ready", daemon.name);
                    if std::mem::take(must_reload) {
                        process.reload();
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "{} does not answer", daemon.name);
                let patience = if ready_since.is_some() { HANG } else { START };
                if last_answer.elapsed() >= patience {
                    return (ready_since, "it does not answer");
                }
            }
        }
        if let Err(error) = log::trim(&daemon.log_file) {
            tracing::warn!(file = %daemon.log_file.display(), %error, "the log of {} cannot be cut", daemon.name);
        }
    }
}

fn write(daemon: &Daemon, files: &mut watch::Receiver<Files>) -> io::Result<bool> {
    let files = files.borrow_and_update().clone();
    files.write(&daemon.dir, daemon.user)
}
