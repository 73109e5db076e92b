//! How much the server takes on at once.

use std::sync::Arc;
use std::time::Duration;

use minicloud_api::share::{Share, Shares};
use minicloud_api::status::ApiStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of the HTTP edge. The defaults suit a small machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Open connections of one client address; more are closed at once.
    pub connections_per_client: usize,
    /// Requests that read, at a time; more get 429.
    pub reads_in_flight: usize,
    /// Requests that write, at a time; more get 429.
    pub writes_in_flight: usize,
    /// Watches and other long requests at a time; more get 429.
    pub long_running: usize,
    /// One user may have one of this many parts of each of the three above.
    pub users_share: usize,
    /// The largest request body.
    pub body_bytes: usize,
    /// The longest request line and headers together.
    pub header_bytes: usize,
    /// How long a request may take that is neither a watch nor a stream.
    pub request_timeout: Duration,
    /// How long a connection may take until its first request is there.
    pub handshake_timeout: Duration,
    /// How long a connection may last on which nobody has proven to be someone.
    pub stranger_timeout: Duration,
    /// How long a client may leave a list or a watch unread before its connection is closed.
    pub stall_timeout: Duration,
    /// How long the head of a request, and a pause between two requests on one HTTP/1.1 connection, may take.
    pub head_timeout: Duration,
    /// How long running requests may finish after shutdown began.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            // A server's own parts have about fifty.
            connections_per_client: 512,
            reads_in_flight: 400,
            writes_in_flight: 200,
            long_running: 4_096,
            users_share: 2,
            body_bytes: 3 << 20,
            header_bytes: 64 << 10,
            request_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(15),
            stranger_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(120),
            // Longer than clients keep idle connections (90 s in Go and hyper), so that they close first.
            head_timeout: Duration::from_secs(180),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

fn too_many() -> ApiStatus {
    ApiStatus::too_many_requests("too many requests, please try again later", 1)
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
    users: [Arc<Shares<String>>; 3],
    limits: Limits,
}

/// A place for one request until it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    of_user: Option<Share<String>>,
}

impl InFlight {
    /// Budgets of these sizes.
    pub fn new(limits: &Limits) -> Self {
        let lane = |size: usize| Arc::new(Semaphore::new(size));
        Self {
            read: lane(limits.reads_in_flight),
            write: lane(limits.writes_in_flight),
            long: lane(limits.long_running),
            users: [
                limits.reads_in_flight,
                limits.writes_in_flight,
                limits.long_running,
            ]
            .map(|size| Shares::new(size.div_ceil(limits.users_share.max(1)))),
            limits: limits.clone(),
        }
    }

    /// A place, or 429.
    pub fn enter(&self, lane: Lane) -> Result<Place, ApiStatus> {
        let place = Arc::clone(self.lane(lane)).try_acquire_owned();
        Ok(Place {
            _of_all: place.map_err(|_| too_many())?,
            of_user: None,
        })
    }

    /// Counts a place as the user's, now that it is known who that is; 429 when the user has too many.
    pub fn count(&self, place: &mut Place, lane: Lane, user: &str) -> Result<(), ApiStatus> {
        let shares = match lane {
            Lane::Read => &self.users[0],
            Lane::Write => &self.users[1],
            Lane::Long => &self.users[2],
        };
        place.of_user = Some(shares.take(user.to_owned()).ok_or_else(too_many)?);
        Ok(())
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
