//! A machine whose power goes, and everything that must outlive it: its disk, and what was acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use minicloud_tests::api::Credentials;
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::disk::{Cut, Disk};
use crate::guest::{Guest, Machine};
use crate::load::Shared;
use crate::nbd::Server;

/// Emulation is slow, and this machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// A kernel that has not mounted its disk by then hangs, as they do now and then when emulated.
const BOOT: Duration = Duration::from_secs(180);

/// What the guest said since it was turned on.
#[derive(Debug, Default)]
pub struct Heard {
    pub mounted: bool,
    pub imported: bool,
    pub kubeconfig: String,
    /// What each pod wrote when it started.
    pub pods: BTreeMap<String, String>,
    pub state: String,
}

impl Heard {
    fn take(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "MOUNTED" => self.mounted = true,
            "IMPORTED" => self.imported = true,
            "KUBECONFIG" => self.kubeconfig += &format!("{rest}\n"),
            "POD" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.pods.insert(name.to_owned(), value.to_owned());
            }
            "STATE" => self.state = rest.to_owned(),
            _ => {}
        }
    }
}

/// A machine that is on, and what is known of it.
pub struct On {
    pub guest: Guest,
    pub disk: Server,
    pub heard: Heard,
}

impl On {
    /// Listens until `done`.
    ///
    /// # Errors
    /// When that is not so in time, or the guest says that it failed.
    pub fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut done: impl FnMut(&Heard) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            self.listen(Duration::ZERO)?;
            if done(&self.heard) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{what}: not in {patience:?}; heard {:?}\n{}",
                self.heard,
                self.guest.console()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Takes what the guest said, then lets some time pass.
    ///
    /// # Errors
    /// When the guest says that it failed.
    pub fn listen(&mut self, pause: Duration) -> anyhow::Result<()> {
        for line in self.guest.report()? {
            self.heard.take(&line);
        }
        std::thread::sleep(pause);
        Ok(())
    }
}

/// The machine and everything that must outlive its power.
pub struct Rig {
    machine: Machine,
    pub disk: Option<Disk>,
    pub boots: usize,
    pub hung: usize,
    pub runtime: Runtime,
    /// The administrator's, from the first boot on.
    credentials: Option<Credentials>,
    pub ledger: Shared,
}

impl Rig {
    pub fn new() -> anyhow::Result<Self> {
        let machine = Machine::prepare()?;
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(machine.data())?;
        Ok(Self {
            disk: Some(Disk::new(file, Dice::new(7, 7))?),
            machine,
            boots: 0,
            hung: 0,
            runtime: Runtime::new()?,
            credentials: None,
            ledger: Shared::default(),
        })
    }

    /// Turns the machine on and waits until its data disk is mounted.
    pub fn on(&mut self, network: bool) -> anyhow::Result<On> {
        for _ in 0..3 {
            self.boots += 1;
            let socket = self.machine.dir().join(format!("disk-{}", self.boots));
            let disk = self
                .disk
                .take()
                .unwrap_or_else(|| panic!("the machine is on"));
            let disk = Server::start(disk, &socket)?;
            let guest = self.machine.boot(&socket, network, self.boots)?;
            let mut on = On {
                guest,
                disk,
                heard: Heard::default(),
            };
            match on.wait("the data disk", BOOT, |heard| heard.mounted) {
                Ok(()) => return Ok(on),
                // It would fail again.
                Err(error) if error.to_string().starts_with("FAILED") => {
                    on.guest.cut();
                    self.disk = Some(on.disk.finish()?);
                    return Err(error);
                }
                Err(error) => println!("booted again: {error:#}"),
            }
            self.hung += 1;
            on.guest.cut();
            self.disk = Some(on.disk.finish()?);
        }
        anyhow::bail!("the guest's kernel does not start")
    }

    /// Cuts the power. Returns what the disk lost.
    pub fn cut(&mut self, on: On, keep: u64) -> anyhow::Result<Cut> {
        on.guest.cut();
        let mut disk = on.disk.finish()?;
        let cut = disk.cut(keep)?;
        self.disk = Some(disk);
        Ok(cut)
    }

    /// The administrator's credentials at this boot's address.
    pub fn credentials(&mut self, on: &mut On) -> anyhow::Result<Credentials> {
        if self.credentials.is_none() {
            on.wait("the administrator's credentials", PATIENCE, |h| {
                h.kubeconfig.contains("client-key-data")
            })?;
            let file = self.machine.dir().join("kubeconfig");
            std::fs::write(&file, &on.heard.kubeconfig)?;
            self.credentials = Some(Credentials::read(&file)?);
        }
        let known = self
            .credentials
            .clone()
            .unwrap_or_else(|| panic!("read above"));
        Ok(known.at(on.guest.address()))
    }
}
