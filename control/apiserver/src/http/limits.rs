//! How much the server takes on at once.

use std::sync::Arc;
use std::time::Duration;

use minicloud_api::status::ApiStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of the HTTP edge. The defaults suit a small machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Requests that read, at a time; more get 429.
    pub reads_in_flight: usize,
    /// Requests that write, at a time; more get 429.
    pub writes_in_flight: usize,
    /// Watches and other long requests at a time; more get 429.
    pub long_running: usize,
    /// The largest request body.
    pub body_bytes: usize,
    /// The longest request line and headers together.
    pub header_bytes: usize,
    /// How long a request may take that is neither a watch nor a stream.
    pub request_timeout: Duration,
    /// How long a connection may take until its first request is there.
    pub handshake_timeout: Duration,
    /// How long the head of a request, and a pause between two requests on one HTTP/1.1 connection, may take.
    pub head_timeout: Duration,
    /// How long running requests may finish after shutdown began.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            reads_in_flight: 400,
            writes_in_flight: 200,
            long_running: 4_096,
            body_bytes: 3 << 20,
            header_bytes: 64 << 10,
            request_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(15),
            // Longer than clients keep idle connections (90 s in Go and hyper), so that they close first.
            head_timeout: Duration::from_secs(180),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Which budget a request draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Short and changing nothing.
    Read,
    /// Short and changing something.
    Write,
    /// Watches, logs that follow, exec and the like.
    Long,
}

/// The budgets.
#[derive(Debug)]
pub struct InFlight {
    read: Arc<Semaphore>,
    write: Arc<Semaphore>,
    long: Arc<Semaphore>,
    limits: Limits,
}

impl InFlight {
    /// Budgets of these sizes.
    pub fn new(limits: &Limits) -> Self {
        let lane = |size: usize| Arc::new(Semaphore::new(size));
        Self {
            read: lane(limits.reads_in_flight),
            write: lane(limits.writes_in_flight),
            long: lane(limits.long_running),
            limits: limits.clone(),
        }
    }

    /// A place for one request until the permit is dropped, or 429.
    pub fn enter(&self, lane: Lane) -> Result<OwnedSemaphorePermit, ApiStatus> {
        Arc::clone(self.lane(lane))
            .try_acquire_owned()
            .map_err(|_| {
                ApiStatus::too_many_requests("too many requests, please try again later", 1)
            })
    }

    fn lane(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::Read => &self.read,
            Lane::Write => &self.write,
            Lane::Long => &self.long,
        }
    }

    /// How many requests are in flight in a lane.
    pub fn used(&self, lane: Lane) -> usize {
        let size = match lane {
            Lane::Read => self.limits.reads_in_flight,
            Lane::Write => self.limits.writes_in_flight,
            Lane::Long => self.limits.long_running,
        };
        size.saturating_sub(self.lane(lane).available_permits())
    }
}
