//! The power cut: a whole machine under load loses its power, again and again, and its disk what was not flushed.
//!
//! What a kill of QEMU loses is the guest's memory, with its page cache: everything that the server and containerd did not
//! bring to the disk. What the disk had in its own cache is lost by [`Disk::cut`]. This machine's page cache is not lost, and
//! need not be: it only stands for the platter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use minicloud_tests::api::Credentials;

use crate::dice::Dice;
use crate::disk::{Cut, Disk};
use crate::load::{self, Enough};
use crate::rig::{Heard, On, PATIENCE, Rig};
use crate::workload::{Churn, churn, pods, tell_why, workload};
use crate::{setting, spread};

const WRITERS: u64 = 8;

/// Percent of the unflushed sectors that a disk keeps, by turns.
const KEEP: [u64; 3] = [0, 50, 90];

/// `MINICLOUD_SOAK_CUTS` sets how often the power is cut under load.
#[test]
#[ignore = "takes many minutes; cargo xtask soak"]
fn every_acknowledged_write_survives_power_cuts_and_pods_come_back() {
    let cuts = setting("MINICLOUD_SOAK_CUTS", 6);
    Soak::new()
        .and_then(|mut soak| soak.run(cuts))
        .unwrap_or_else(|e| panic!("{e:#}"));
}

/// What is known across boots.
struct Soak {
    rig: Rig,
    churn: Churn,
    /// The containers of the last boot, to tell new ones from old reports.
    containers: BTreeMap<String, String>,
    /// The pods of the Deployment.
    steady: BTreeSet<String>,
    /// Starts that the counter told of.
    counted: u64,
    lost: usize,
    kept: usize,
    to_api: Vec<Duration>,
    to_pods: Vec<Duration>,
    writes: Vec<Duration>,
}

impl Soak {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            rig: Rig::new()?,
            churn: Churn::default(),
            containers: BTreeMap::new(),
            steady: BTreeSet::new(),
            counted: 0,
            lost: 0,
            kept: 0,
            to_api: Vec::new(),
            to_pods: Vec::new(),
            writes: Vec::new(),
        })
    }

    fn run(&mut self, cuts: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        for round in 0..cuts {
            let (on, credentials) = self.boot()?;
            let cut = self.cut_under_load(on, &credentials, round)?;
            self.lost += cut.lost;
            self.kept += cut.kept;
            if round == cuts / 2 {
                self.boot_without_network()?;
            }
        }
        let (on, _) = self.boot()?;
        self.rig.cut(on, 0)?;
        println!(
            "soak: power cut: {cuts} cuts under load and one without a network in {:.0} s, {}, none lost, none undone; the disk \
             lost {} unflushed sectors and kept {}; {} flushes; kernels that hung: {}",
            started.elapsed().as_secs_f64(),
            self.rig.ledger.lock().summary(),
            self.lost,
            self.kept,
            self.rig.disk.as_ref().map_or(0, Disk::flushes),
            self.rig.hung,
        );
        println!(
            "soak: power cut, emulated: a write {}; power to the whole list {}; power to all pods ready {}",
            spread(std::mem::take(&mut self.writes)),
            spread(self.to_api.clone()),
            spread(self.to_pods.clone()),
        );
        self.see_a_liar()
    }

    /// Turns the machine on; returns when everything is as it should be.
    fn boot(&mut self) -> anyhow::Result<(On, Credentials)> {
        let mut on = self.rig.on(true)?;
        let credentials = self.rig.credentials(&mut on)?;
        let (problems, objects) = self.check(&mut on, &credentials)?;
        ensure!(problems.is_empty(), "{problems:#?}\n{}", on.guest.console());
        self.to_api.push(on.guest.uptime());
        if self.steady.is_empty() {
            on.wait("the image", PATIENCE, |heard| heard.imported)?;
            let create = async {
                let mut connection = credentials.connect().await?;
                for (path, object) in workload() {
                    connection.create(path, &object).await?;
                }
                anyhow::Ok(())
            };
            self.rig.runtime.block_on(create)?;
        }
        let now = self.pods_come_back(&mut on, &credentials)?;
        self.to_pods.push(on.guest.uptime());
        let expected = self.expected();
        on.wait("the pods' own reports", PATIENCE, |heard| {
            expected.iter().all(|n| heard.pods.contains_key(n))
        })?;
        self.count(&on.heard)?;
        println!(
            "boot {}: {}; {objects} objects as they should be {:.1?} after the power, {} pods back after {:.0?}; {}",
            self.rig.boots,
            self.rig.ledger.lock().summary(),
            self.to_api.last().copied().unwrap_or_default(),
            now.len(),
            self.to_pods.last().copied().unwrap_or_default(),
            on.heard.state
        );
        let Churn { next, .. } = self.churn;
        let there = now.keys().filter(|n| n.starts_with("churn-")).cloned();
        self.churn = Churn {
            there: there.collect(),
            gone: BTreeSet::new(),
            next,
        };
        self.containers = now;
        Ok((on, credentials))
    }

    /// What is wrong with the objects, and how many there are.
    fn check(
        &mut self,
        on: &mut On,
        credentials: &Credentials,
    ) -> anyhow::Result<(Vec<String>, usize)> {
        let (credentials, ledger) = (credentials.clone(), self.rig.ledger.clone());
        let check = async move { load::check(&credentials, &ledger, PATIENCE).await };
        let check = self.rig.runtime.spawn(check);
        // A server that ends is heard of at once.
        on.wait("the list", PATIENCE, |_| check.is_finished())?;
        Ok(self.rig.runtime.block_on(check)?)
    }

    /// The pods that always run.
    fn expected(&self) -> BTreeSet<String> {
        &self.steady | &BTreeSet::from(["counter".to_owned()])
    }

    /// All that was acknowledged runs, in containers of this boot, and what was deleted is gone. Returns pods and containers.
    fn pods_come_back(
        &mut self,
        on: &mut On,
        credentials: &Credentials,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self
                .rig
                .runtime
                .block_on(pods(credentials))
                .unwrap_or_default();
            let running: BTreeMap<String, String> = now
                .iter()
                .filter_map(|(name, container)| Some((name.clone(), container.clone()?)))
                .filter(|(name, container)| self.containers.get(name) != Some(container))
                .collect();
            let steady: BTreeSet<String> = now
                .keys()
                .filter(|n| n.starts_with("steady-"))
                .cloned()
                .collect();
            ensure!(
                self.steady.is_empty() || now.is_empty() || steady == self.steady,
                "the Deployment's pods were replaced: {:?}, now {steady:?}",
                self.steady
            );
            let all =
                running.len() == now.len() && steady.len() == 2 && now.contains_key("counter");
            if all
                && self.churn.there.iter().all(|n| now.contains_key(n))
                && !self.churn.gone.iter().any(|n| now.contains_key(n))
            {
                self.steady = steady;
                return Ok(running);
            }
            if Instant::now() > deadline {
                self.rig.runtime.block_on(tell_why(credentials));
                bail!(
                    "not in {PATIENCE:?}: {now:#?}\nacknowledged: {:?}\n{}",
                    self.churn,
                    on.guest.console()
                );
            }
            on.listen(Duration::from_secs(1))?;
        }
    }

    /// Loads the machine for some seconds and cuts its power between a write to the disk and the flush after it.
    fn cut_under_load(
        &mut self,
        on: On,
        credentials: &Credentials,
        round: u64,
    ) -> anyhow::Result<Cut> {
        let runtime = &self.rig.runtime;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let dice = Dice::new(100 + round, writer);
                let ledger = self.rig.ledger.clone();
                runtime.spawn(load::write(
                    credentials.clone(),
                    ledger,
                    writer,
                    dice,
                    Enough::default(),
                ))
            })
            .collect();
        let churner = runtime.spawn(churn(credentials.clone(), std::mem::take(&mut self.churn)));
        let mut dice = Dice::new(200, round);
        let moment = Duration::from_millis(3000 + dice.below(17_000));
        std::thread::sleep(moment);
        on.disk.die_after(dice.below(40));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !on.disk.is_dead() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let keep = KEEP[usize::try_from(round).unwrap_or_default() % KEEP.len()];
        let cut = self.rig.cut(on, keep)?;
        for writer in writers {
            self.writes.extend(self.rig.runtime.block_on(writer)?);
        }
        self.churn = self.rig.runtime.block_on(churner)?;
        println!(
            "cut {round}: after {moment:.1?} of load; the disk lost {} unflushed sectors and kept {}",
            cut.lost, cut.kept
        );
        Ok(cut)
    }

    /// Turns the machine on with no network card: its pods come back all the same, as they tell by the serial port.
    fn boot_without_network(&mut self) -> anyhow::Result<()> {
        let mut on = self.rig.on(false)?;
        let expected = self.expected();
        on.wait("the pods, without a network", PATIENCE, |heard| {
            expected.iter().all(|name| heard.pods.contains_key(name))
        })?;
        self.count(&on.heard)?;
        println!(
            "boot {}, without a network: {} pods back after {:.0?}",
            self.rig.boots,
            expected.len(),
            on.guest.uptime()
        );
        self.to_pods.push(on.guest.uptime());
        self.rig.cut(on, 50).map(drop)
    }

    /// The counter's volume must remember every start that it told of.
    fn count(&mut self, heard: &Heard) -> anyhow::Result<()> {
        let text = heard.pods.get("counter").map_or("", String::as_str);
        let now: u64 = text.trim().parse()?;
        ensure!(
            now > self.counted,
            "the volume remembers {now} starts, {} were told of before",
            self.counted
        );
        self.counted = now;
        Ok(())
    }

    /// The counter-check: with a disk that says it flushed and did not, writes are lost, and this soak sees it.
    fn see_a_liar(&mut self) -> anyhow::Result<()> {
        self.lie(true);
        let (on, credentials) = self.boot()?;
        self.cut_under_load(on, &credentials, 0)?;
        self.lie(false);
        let seen = self.rig.on(true).and_then(|mut on| {
            let credentials = self.rig.credentials(&mut on)?;
            self.check(&mut on, &credentials)
        });
        let seen = match seen {
            Ok((problems, _)) => {
                ensure!(
                    !problems.is_empty(),
                    "a disk that flushes nothing lost nothing: this soak sees nothing"
                );
                format!("{} acknowledged writes are seen to be lost", problems.len())
            }
            Err(error) => format!(
                "the machine is seen to be broken ({:.80})",
                format!("{error:#}")
            ),
        };
        println!("soak: power cut, counter-check: with a disk that only pretends to flush, {seen}");
        Ok(())
    }

    fn lie(&mut self, lies: bool) {
        if let Some(disk) = &mut self.rig.disk {
            disk.lie(lies);
        }
    }
}
