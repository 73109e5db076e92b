//! Asking mounts how full they are without waiting for those that hang.
//!
//! One thread asks, one mount after the other. When it does not answer in time it is left behind, with the mount that it
//! waits for, and another takes over. It ends by itself when the kernel lets go of it, and then the mount is asked again.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::Builder;
use std::time::Duration;

use rustix::fs::StatVfs;

/// How many mounts that begin to hang a scrape waits for; the others count as failed until the next scrape.
const WAITS_PER_SCRAPE: usize = 3;
/// How many threads may be left behind; while so many are, no mount is asked.
const STUCK_LIMIT: usize = 16;
const STACK_BYTES: usize = 64 << 10;

/// How a mount is asked; blocks as long as it likes.
type Ask<T> = fn(&Path) -> Option<T>;

pub(super) struct Prober<T = StatVfs> {
    timeout: Duration,
    ask: Ask<T>,
    worker: Option<Worker<T>>,
    stuck: Vec<(PathBuf, Worker<T>)>,
    waits: usize,
}

struct Worker<T> {
    questions: Sender<PathBuf>,
    answers: Receiver<Option<T>>,
}

impl Prober {
    pub(super) fn new(timeout: Duration) -> Self {
        Self::asking(timeout, |path| rustix::fs::statvfs(path).ok())
    }
}

impl<T: Send + 'static> Prober<T> {
    fn asking(timeout: Duration, ask: Ask<T>) -> Self {
        Self {
            timeout,
            ask,
            worker: None,
            stuck: Vec::new(),
            waits: 0,
        }
    }

    /// Begins a scrape: threads that came back are let go, and so are their mounts.
    pub(super) fn start(&mut self) {
        self.waits = 0;
        self.stuck
            .retain(|(_, worker)| matches!(worker.answers.try_recv(), Err(TryRecvError::Empty)));
    }

    /// How full the file system at `path` is; `None` when it refuses, hangs, or is known to hang.
    pub(super) fn statvfs(&mut self, path: PathBuf) -> Option<T> {
        let hangs = self.stuck.iter().any(|(stuck, _)| *stuck == path);
        if hangs || self.waits >= WAITS_PER_SCRAPE || self.stuck.len() >= STUCK_LIMIT {
            return None;
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.spawn()?,
        };
        worker.questions.send(path.clone()).ok()?;
        match worker.answers.recv_timeout(self.timeout) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer
            }
            Err(RecvTimeoutError::Timeout) => {
                self.waits += 1;
                self.stuck.push((path, worker));
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn spawn(&self) -> Option<Worker<T>> {
        let (questions, asked) = channel::<PathBuf>();
        let (answer, answers) = channel();
        let ask = self.ask;
        let work = move || {
            for path in asked {
                if answer.send(ask(&path)).is_err() {
                    return;
                }
            }
        };
        Builder::new()
            .name("mounts".into())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .ok()?;
        Some(Worker { questions, answers })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{LazyLock, Mutex};
    use std::time::Instant;

    use super::*;

    /// Paths that are named by a number hang until that is let go.
    static GATE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

    fn ask(path: &Path) -> Option<u64> {
        let name = path.to_string_lossy();
        if name.starts_with("hung") {
            drop(GATE.lock());
        }
        (name != "refuses").then_some(name.len() as u64)
    }

    #[test]
    fn a_mount_that_hangs_costs_one_timeout_and_comes_back() {
        let mut prober = Prober::asking(Duration::from_millis(50), ask);
        let gate = GATE.lock();
        prober.start();
        assert_eq!(prober.statvfs("a".into()), Some(1));
        assert_eq!(prober.statvfs("refuses".into()), None);
        assert_eq!(prober.statvfs("hung".into()), None);
        assert_eq!(prober.statvfs("ab".into()), Some(2));
        prober.start();
        assert_eq!(prober.statvfs("hung".into()), None);
        assert_eq!(prober.waits, 0, "it was waited for again");

        // Many that hang: the scrape stays bounded, and so do the threads.
        for scrape in 1..10 {
            prober.start();
            for i in 0..10 {
                assert_eq!(prober.statvfs(format!("hung{scrape}-{i}").into()), None);
            }
            assert!(prober.stuck.len() <= (1 + WAITS_PER_SCRAPE * scrape).min(STUCK_LIMIT));
        }
        drop(gate);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !prober.stuck.is_empty() || prober.statvfs("hung".into()).is_none() {
            assert!(Instant::now() < deadline, "they did not come back");
            std::thread::sleep(Duration::from_millis(5));
            prober.start();
        }
    }
}
