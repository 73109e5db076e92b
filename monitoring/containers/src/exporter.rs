//! One scrape: find the cgroups, learn whose the new ones are, read them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use crate::before::{Before, State as PodState};
use crate::cgroup::{Interface, Reader, Reading};
use crate::families;
use crate::machine::Machine;
use crate::members::{Identity, Known, Lister, Place, PlaceKind, Role, forget, learn};
use crate::strangers::Strangers;

/// How long who runs the pods may take to say what runs. Prometheus gives a scrape ten seconds.
const LIST_DEADLINE: Duration = Duration::from_secs(3);

/// What to measure.
#[derive(Clone)]
pub struct Settings {
    /// Below which `/proc`, `/sys` and `/etc` are: `/`, or a fixture.
    pub root: PathBuf,
    /// The absolute cgroup path below which pods' cgroups are, as `/minicloud`.
    pub cgroup_parent: String,
    /// Where the container engine keeps images and layers: its file system is told besides the root's.
    pub engine_root: PathBuf,
    /// Says what runs.
    pub lister: Lister,
}

impl Settings {
    /// Those of this machine.
    pub fn new(cgroup_parent: impl Into<String>, engine_root: &Path, lister: Lister) -> Self {
        Self {
            root: PathBuf::from("/"),
            cgroup_parent: cgroup_parent.into(),
            engine_root: engine_root.to_owned(),
            lister,
        }
    }
}

/// Measures containers.
pub struct Exporter {
    settings: Settings,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    machine: Option<Machine>,
    known: Known,
    strangers: Strangers,
    before: Before,
    reader: Reader,
    /// When it was begun; as long as somebody sends it.
    last: Option<(Instant, Weak<Snapshot>)>,
    /// For the log: what is wrong is said once, and once that it is over.
    ailing: bool,
}

/// What one scrape found.
pub struct Snapshot {
    pub(crate) entries: Vec<Entry>,
    /// The names of disks by their number.
    pub(crate) devices: HashMap<(u32, u32), Arc<str>>,
    /// When, seconds since 1970.
    pub(crate) seconds: f64,
    /// The samples of the machine.
    machine: String,
    failed: bool,
}

/// One cgroup.
pub(crate) struct Entry {
    pub identity: Arc<Identity>,
    pub reading: Arc<Reading>,
    pub interfaces: Vec<Interface>,
}

impl Exporter {
    /// Nothing is read before the first scrape.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Arc::default(),
        }
    }

    /// Measures. Scrapes that come while one is measured wait, and share the next.
    ///
    /// # Errors
    /// When a bug ended the measuring.
    pub async fn scrape(&self) -> Result<Arc<Snapshot>, JoinError> {
        let asked = Instant::now();
        let mut state = self.state.clone().lock_owned().await;
        if let Some((begun, snapshot)) = &state.last
            && *begun >= asked
            && let Some(snapshot) = snapshot.upgrade()
        {
            return Ok(snapshot);
        }
        let begun = Instant::now();
        let settings = self.settings.clone();
        let places;
        (state, places) = spawn_blocking(move || {
            let places = state.find(&settings);
            (state, places)
        })
        .await?;
        let State {
            known, strangers, ..
        } = &mut *state;
        let problem = match strangers.begin(known, &places) {
            true => self.learn(&mut state, &places).await.err(),
            false => None,
        };
        spawn_blocking(move || {
            let snapshot = Arc::new(state.measure(&places, problem));
            state.last = Some((begun, Arc::downgrade(&snapshot)));
            snapshot
        })
        .await
    }

    async fn learn(
        &self,
        state: &mut OwnedMutexGuard<State>,
        places: &[Place],
    ) -> Result<(), String> {
        let listing = tokio::time::timeout(LIST_DEADLINE, (self.settings.lister)());
        let listed = listing
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", LIST_DEADLINE.as_secs())));
        // The levels above pods are known without.
        let nothing = Default::default();
        learn(
            &mut state.known,
            places,
            listed.as_ref().unwrap_or(&nothing),
        );
        let State {
            known, strangers, ..
        } = &mut **state;
        strangers.asked(known, places, listed.is_ok());
        listed.map(drop)
    }
}

impl State {
    /// The cgroups that are there.
    fn find(&mut self, settings: &Settings) -> Vec<Place> {
        if self.machine.is_none() {
            self.machine =
                Machine::open(&settings.root, &settings.engine_root, self.reader.text()).ok();
        }
        self.reader.complaint = None;
        self.before.begin();
        let hierarchies = self.machine.as_ref().and_then(Machine::hierarchies);
        hierarchies.map_or_else(Vec::new, |hierarchies| {
            let parent = &settings.cgroup_parent;
            hierarchies.places(parent, &mut self.before, &mut self.reader)
        })
    }

    /// Reads what is known.
    fn measure(&mut self, places: &[Place], problem: Option<String>) -> Snapshot {
        forget(&mut self.known, places);
        self.before.forget(places);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut snapshot = Snapshot {
            entries: Vec::with_capacity(places.len()),
            devices: HashMap::new(),
            seconds: now.map_or(0.0, |now| now.as_secs_f64()),
            machine: String::new(),
            failed: true,
        };
        let mut problem = problem.map(|why| format!("cannot tell whose containers run: {why}"));
        match &mut self.machine {
            None => problem = Some("the machine's files cannot be read".to_owned()),
            Some(machine) => {
                machine.renew(self.reader.text());
                machine.write(&mut snapshot.machine);
            }
        }
        if let Some(machine) = &self.machine {
            if machine.hierarchies().is_none() {
                problem = Some("this machine has no cgroups with controllers".to_owned());
            }
            self.entries(places, &mut snapshot.entries);
        }
        let problem = problem.or_else(|| self.reader.complaint.take());
        if let Some(machine) = &mut self.machine {
            let disks = snapshot.entries.iter().flat_map(|e| &e.reading.disks);
            machine.name_disks(disks.map(|disk| disk.number), &mut self.reader);
            snapshot.devices.clone_from(machine.devices());
        }
        snapshot.failed = problem.is_some();
        self.tell(problem.as_deref());
        snapshot
    }

    fn entries(&mut self, places: &[Place], entries: &mut Vec<Entry>) {
        let Some(machine) = &self.machine else {
            return;
        };
        let (before, reader) = (&mut self.before, &mut self.reader);
        let mut state = PodState::default();
        // The root comes first, and has what all have together.
        let mut disks = true;
        for place in places {
            let Some(identity) = self.known.get(&place.path) else {
                continue;
            };
            match place.kind {
                PlaceKind::Level => state = PodState::default(),
                PlaceKind::Pod => state = before.state(&place.path),
                PlaceKind::Member => {}
            }
            let role = identity.role;
            let read = before.read(place, role, state, disks, machine, reader);
            // It is gone since it was found.
            let Some(mut reading) = read else {
                continue;
            };
            let mut identity = identity.clone();
            let mut interfaces = Vec::new();
            match role {
                Role::Root => {
                    let mut root = Reading::clone(&reading);
                    disks = !root.disks.is_empty();
                    machine.complete(&mut root, reader);
                    reading = Arc::new(root);
                    interfaces = machine.interfaces(reader);
                    identity = machine.root(&identity);
                }
                Role::Sandbox => interfaces = machine.network(&reading, reader),
                Role::Level | Role::Pod | Role::Container => {}
            }
            entries.push(Entry {
                identity,
                reading,
                interfaces,
            });
        }
    }

    fn tell(&mut self, problem: Option<&str>) {
        match (problem, self.ailing) {
            (Some(why), false) => {
                tracing::warn!(why, "metrics of containers are incomplete");
            }
            (None, true) => tracing::info!("metrics of containers are complete again"),
            _ => {}
        }
        self.ailing = problem.is_some();
    }
}

impl Snapshot {
    /// How many pieces of text there are.
    pub(crate) const PIECES: usize = families::COUNT + 1;

    /// Appends the piece of Prometheus' text with this number.
    pub(crate) fn piece(&self, number: usize, out: &mut String) {
        match number {
            families::COUNT => {
                families::about(self.failed, out);
                out.push_str(&self.machine);
            }
            number => families::family(number, self, out),
        }
    }

    /// All of it, in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for number in 0..Self::PIECES {
            self.piece(number, &mut text);
        }
        text
    }

    /// The name of a disk; empty for one that is gone.
    pub(crate) fn device(&self, number: (u32, u32)) -> &str {
        self.devices.get(&number).map_or("", |name| name)
    }
}
