//! Keeping a daemon running: take over or start, tell of changed files, start again with growing pauses whenever it ends.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_api::part::Shutdown;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::files::{Files, own_dir};
use crate::process::{self, Process};
use crate::{Daemon, Failure, State, User, health, log};

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
/// How long one that was ready may be without an answer, from the first that did not come.
const HANG: Duration = Duration::from_secs(120);
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
        let failure = Failure { in_a_row, said };
        let mend = daemon.mend.clone();
        let mended = tokio::task::spawn_blocking(move || mend(&failure)).await;
        if let Err(error) = mended {
            tracing::error!(%error, "mending {} broke off", daemon.name);
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
    let user = (daemon.user)();
    let mut must_reload = write(daemon, files, user)?;
    let process = match process::take_over(daemon, user).await {
        Some(process) => process,
        None => {
            must_reload = false;
            if let Some(dir) = &daemon.data_dir {
                own_dir(dir, user)?;
            }
            process::spawn(daemon, user)?
        }
    };
    let watched = Watched {
        daemon,
        user,
        process: &process,
        tls,
        state,
    };
    let end = watched.until_it_ends(files, must_reload).await;
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

/// A daemon that runs.
struct Watched<'a> {
    daemon: &'a Daemon,
    user: User,
    process: &'a Process,
    tls: &'a Arc<ClientConfig>,
    state: &'a watch::Sender<State>,
}

impl Watched<'_> {
    /// Returns when it has ended, or must be ended: since when it was ready, and why.
    async fn until_it_ends(
        &self,
        files: &mut watch::Receiver<Files>,
        mut must_reload: bool,
    ) -> (Option<Instant>, &'static str) {
        let daemon = self.daemon;
        let mut ready_since = None;
        let mut silent_since = None;
        let mut told = true;
        // Goes on while files change, or a daemon whose files change all the time would never be asked.
        let mut asking = Box::pin(self.ask(ASK.0));
        loop {
            let answer = tokio::select! {
                () = self.process.ended() => return (ready_since, ENDED),
                changed = files.changed(), if told => {
                    if changed.is_err() {
                        // Nobody has anything to tell any more; the daemon is watched all the same.
                        told = false;
                        continue;
                    }
                    tokio::time::sleep(SETTLE).await;
                    match write(daemon, files, self.user) {
                        Ok(reload) => must_reload |= reload,
                        Err(error) => tracing::error!(%error, dir = %daemon.dir.display(), "the files of {} cannot be written", daemon.name),
                    }
                    // The signal would end one that does not listen for it yet.
                    if ready_since.is_some() && std::mem::take(&mut must_reload) {
                        self.process.reload();
                    }
                    continue;
                }
                answer = &mut asking => answer,
            };
            match answer {
                Ok(()) => {
                    silent_since = None;
                    if ready_since.is_none() {
                        ready_since = Some(Instant::now());
                        self.state.send_replace(State::Ready);
                        tracing::info!(pid = self.process.pid(), "{} is ready", daemon.name);
                        if std::mem::take(&mut must_reload) {
                            self.process.reload();
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "{} does not answer", daemon.name);
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    let patience = if ready_since.is_some() { HANG } else { START };
                    if since.elapsed() >= patience {
                        return (ready_since, "it does not answer");
                    }
                }
            }
            if let Err(error) = log::trim(&daemon.log_file) {
                tracing::warn!(file = %daemon.log_file.display(), %error, "the log of {} cannot be cut", daemon.name);
            }
            let pause = if ready_since.is_some() { ASK.1 } else { ASK.0 };
            asking = Box::pin(self.ask(pause));
        }
    }

    async fn ask(&self, pause: Duration) -> Result<(), health::Silence> {
        tokio::time::sleep(pause).await;
        health::ask(self.daemon.port, self.daemon.health, self.tls).await
    }
}

fn write(daemon: &Daemon, files: &mut watch::Receiver<Files>, user: User) -> io::Result<bool> {
    let files = files.borrow_and_update().clone();
    files.write(&daemon.dir, user)
}
