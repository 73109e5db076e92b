//! How much the server takes on at once.

use std::sync::Arc;
use std::time::Duration;

use minicloud_api::share::{Share, Shares};
use minicloud_api::status::ApiStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Gauge;

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
            header_bytes: 128 << 10,
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
    read: Budget,
    write: Budget,
    long: Budget,
}

/// The places of a lane: how many there are, which are free, and each user's share of them.
#[derive(Debug)]
struct Budget {
    size: usize,
    free: Arc<Semaphore>,
    users: Arc<Shares<String>>,
}

/// A place for one request until it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    of_user: Option<Share<String>>,
    /// What counts a long request among those that are open.
    pub(crate) gauge: Option<Gauge>,
}

impl InFlight {
    /// Budgets of these sizes.
    pub fn new(limits: &Limits) -> Self {
        let budget = |size: usize| Budget {
            size,
            free: Arc::new(Semaphore::new(size)),
            users: Shares::new(size.div_ceil(limits.users_share.max(1))),
        };
        Self {
            read: budget(limits.reads_in_flight),
            write: budget(limits.writes_in_flight),
            long: budget(limits.long_running),
        }
    }

    /// A place, or 429.
    pub fn enter(&self, lane: Lane) -> Result<Place, ApiStatus> {
        let place = Arc::clone(&self.budget(lane).free).try_acquire_owned();
        Ok(Place {
            _of_all: place.map_err(|_| too_many())?,
            of_user: None,
            gauge: None,
        })
    }

    /// Counts a place as the user's, now that it is known who that is; 429 when the user has too many.
    pub fn count(&self, place: &mut Place, lane: Lane, user: &str) -> Result<(), ApiStatus> {
        let share = self.budget(lane).users.take(user.to_owned());
        place.of_user = Some(share.ok_or_else(too_many)?);
        Ok(())
    }

    fn budget(&self, lane: Lane) -> &Budget {
        match lane {
            Lane::Read => &self.read,
            Lane::Write => &self.write,
            Lane::Long => &self.long,
        }
    }

    /// How many requests are in flight in a lane.
    pub fn used(&self, lane: Lane) -> usize {
        let budget = self.budget(lane);
        budget.size.saturating_sub(budget.free.available_permits())
    }
}
