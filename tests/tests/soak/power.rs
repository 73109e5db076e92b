//! The power cut: a whole machine under load loses its power, again and again, and its disk what was not flushed.
//!
//! What a kill of QEMU loses is the guest's memory, with its page cache: everything that the server and containerd did not
//! bring to the disk. What the disk had in its own cache is lost by [`Disk::cut`]. This machine's page cache is not lost, and
//! need not be: it only stands for the platter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hyper::{Method, StatusCode};
use minicloud_tests::api::Credentials;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::disk::Disk;
use crate::guest::{Guest, Machine};
use crate::load::{self, Shared};
use crate::nbd::Server;
use crate::{setting, spread};

const WRITERS: u64 = 8;
const PODS: &str = "/api/v1/namespaces/default/pods";
/// Emulation is slow, and this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(240);
/// A kernel that has not mounted its disk by then hangs, as they do now and then when emulated.
const BOOT: Duration = Duration::from_secs(90);

/// What the guest said since it was turned on.
#[derive(Debug, Default)]
struct Heard {
    mounted: bool,
    imported: bool,
    kubeconfig: String,
    /// What each pod wrote when it started.
    pods: BTreeMap<String, String>,
    state: String,
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
struct On {
    guest: Guest,
    disk: Server,
    heard: Heard,
}

impl On {
    /// Listens until `done`, or says what was being waited for.
    fn wait(
        &mut self,
        what: &str,
        patience: Duration,
        mut done: impl FnMut(&Heard) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            for line in self.guest.report()? {
                self.heard.take(&line);
            }
            if done(&self.heard) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{what}: not in {patience:?}; heard {:?}\n{}",
                self.heard.pods,
                self.guest.console()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The machine and everything that must outlive its power.
struct Rig {
    machine: Machine,
    disk: Option<Disk>,
    boots: usize,
    hung: usize,
    runtime: Runtime,
    /// The administrator's, from the first boot on.
    credentials: Option<Credentials>,
    ledger: Shared,
}

impl Rig {
    fn new() -> anyhow::Result<Self> {
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
    fn on(&mut self, network: bool) -> anyhow::Result<On> {
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
                Err(error) if on.heard.mounted || error.to_string().starts_with("FAILED") => {
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
    fn cut(&mut self, on: On, keep: u64) -> anyhow::Result<crate::disk::Cut> {
        on.guest.cut();
        let mut disk = on.disk.finish()?;
        let cut = disk.cut(keep)?;
        self.disk = Some(disk);
        Ok(cut)
    }

    /// The administrator's credentials at this boot's address.
    fn credentials(&mut self, on: &mut On) -> anyhow::Result<Credentials> {
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

/// What a pod does when it starts: it tells the outside what `say` prints.
fn pod_spec(name: &str, say: &str, data: Option<Value>) -> Value {
    let command =
        format!("({say}) > /soak/.{name}; mv /soak/.{name} /soak/{name}; exec sleep 1000000");
    let mut mounts = vec![json!({"name": "soak", "mountPath": "/soak"})];
    let mut volumes = vec![
        json!({"name": "soak", "hostPath": {"path": "/run/soak", "type": "DirectoryOrCreate"}}),
    ];
    if let Some(data) = data {
        mounts.push(json!({"name": "data", "mountPath": "/data"}));
        volumes.push(data);
    }
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main",
            "image": "minicloud.local/busybox:1",
            "command": ["sh", "-c", command],
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    })
}

/// What runs all the time: two replicas, and a pod that counts its own starts on a volume.
fn workload() -> [(&'static str, Value); 3] {
    let spec = pod_spec("$HOSTNAME", "echo up", None);
    let counter = pod_spec(
        "counter",
        "cat /proc/sys/kernel/random/boot_id >> /data/starts; sync; wc -l < /data/starts",
        Some(json!({"name": "data", "persistentVolumeClaim": {"claimName": "counter"}})),
    );
    [
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "steady"}, "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "steady"}},
                "template": {"metadata": {"labels": {"app": "steady"}}, "spec": spec}}}),
        ),
        (
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "counter"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}),
        ),
        (
            PODS,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "counter"}, "spec": counter}),
        ),
    ]
}

/// What was acknowledged of the pods that come and go.
#[derive(Debug, Default)]
struct Churn {
    there: BTreeSet<String>,
    gone: BTreeSet<String>,
    next: u32,
}

/// Creates pods and deletes the oldest, until the connection breaks.
async fn churn(credentials: Credentials, mut known: Churn) -> Churn {
    let Ok(mut connection) = credentials.connect().await else {
        return known;
    };
    loop {
        known.next += 1;
        let name = format!("churn-{:04}", known.next);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(&name, "echo up", None)});
        match connection
            .request(Method::POST, PODS, pod.to_string().into())
            .await
        {
            Ok((StatusCode::CREATED, _)) => known.there.insert(name),
            _ => return known,
        };
        if known.there.len() > 3 {
            let Some(oldest) = known.there.pop_first() else {
                continue;
            };
            match connection
                .request(Method::DELETE, &format!("{PODS}/{oldest}"), "".into())
                .await
            {
                Ok((status, _)) if status.is_success() => known.gone.insert(oldest),
                // Sent and not answered: either is right.
                _ => return known,
            };
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

/// Every pod by name: `None` while it does not run and is not ready.
async fn pods(credentials: &Credentials) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let get = async { credentials.connect().await?.get(PODS).await };
    let list = tokio::time::timeout(Duration::from_secs(20), get).await??;
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array()?;
        let ready = conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        (ready
            && pod["status"]["phase"] == "Running"
            && pod["metadata"]["deletionTimestamp"].is_null())
        .then(|| {
            pod["status"]["containerStatuses"][0]["containerID"]
                .as_str()
                .map(str::to_owned)
        })
        .flatten()
    };
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .iter()
        .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?.to_owned(), ready(pod))))
        .collect())
}

/// Prints the states of the pods and what happened to them.
async fn tell_why(credentials: &Credentials) {
    let Ok(mut connection) = credentials.connect().await else {
        return;
    };
    for path in [PODS, "/api/v1/namespaces/default/events"] {
        let list = connection.get(path).await.unwrap_or_default();
        for item in list["items"].as_array().into_iter().flatten() {
            println!(
                "{} {} {} {} {}",
                item["metadata"]["name"],
                item["metadata"]["deletionTimestamp"],
                item["status"],
                item["reason"],
                item["message"]
            );
        }
    }
}

/// `MINICLOUD_SOAK_CUTS` sets how often the power is cut under load.
#[test]
#[ignore = "takes many minutes; cargo xtask soak"]
fn every_acknowledged_write_survives_power_cuts_and_pods_come_back() {
    power_cuts().unwrap_or_else(|e| panic!("{e:#}"));
}

fn power_cuts() -> anyhow::Result<()> {
    let cuts = setting("MINICLOUD_SOAK_CUTS", 6);
    let mut rig = Rig::new()?;
    let mut churned = Churn::default();
    // The containers of the last boot, to tell new ones from old reports.
    let mut containers = BTreeMap::<String, String>::new();
    let (mut steady, mut counted) = (BTreeSet::new(), 0);
    let (mut to_api, mut to_pods, mut writes, mut lost) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let started = Instant::now();
    for round in 0..=cuts {
        // One boot without any network, in the middle.
        if round == cuts / 2 + 1 {
            let mut on = rig.on(false)?;
            let expected: BTreeSet<String> = &steady | &BTreeSet::from(["counter".to_owned()]);
            on.wait("the pods, without a network", PATIENCE, |h| {
                expected.iter().all(|name| h.pods.contains_key(name))
            })?;
            count(&on.heard, &mut counted)?;
            println!(
                "without a network: {} pods back {:.0?} after the power",
                expected.len(),
                on.guest.uptime()
            );
            to_pods.push(on.guest.uptime());
            rig.cut(on, 50)?;
        }
        let mut on = rig.on(true)?;
        let credentials = rig.credentials(&mut on)?;
        let (problems, objects) =
            rig.runtime
                .block_on(load::check(&credentials, &rig.ledger, PATIENCE));
        ensure!(problems.is_empty(), "after cut {round}: {problems:#?}");
        to_api.push(on.guest.uptime());

        if round == 0 {
            on.wait("the image", PATIENCE, |h| h.imported)?;
            let create = async {
                let mut connection = credentials.connect().await?;
                for (path, object) in workload() {
                    connection.create(path, &object).await?;
                }
                anyhow::Ok(())
            };
            rig.runtime.block_on(create)?;
        }
        // All that was acknowledged runs, in containers of this boot, and what was deleted is gone.
        let deadline = Instant::now() + PATIENCE;
        let now = loop {
            let now = rig.runtime.block_on(pods(&credentials)).unwrap_or_default();
            let runs = |name: &String| match now.get(name) {
                Some(Some(container)) => containers.get(name) != Some(container),
                _ => false,
            };
            let steady_now = now.keys().filter(|n| n.starts_with("steady-")).count();
            if steady_now == 2
                && now.keys().all(runs)
                && now.contains_key("counter")
                && churned.there.iter().all(|n| now.contains_key(n))
                && !churned.gone.iter().any(|n| now.contains_key(n))
            {
                break now;
            }
            if Instant::now() > deadline {
                rig.runtime.block_on(tell_why(&credentials));
            }
            ensure!(
                Instant::now() < deadline,
                "after cut {round}: pods are not as they should be in {PATIENCE:?}: {now:#?}\nacknowledged: {churned:?}\n{}",
                on.guest.console()
            );
            on.wait("", Duration::from_secs(1), |_| false)
                .or_else(|e| {
                    if e.to_string().starts_with("FAILED") {
                        Err(e)
                    } else {
                        Ok(())
                    }
                })?;
        };
        to_pods.push(on.guest.uptime());
        let names: BTreeSet<String> = now
            .keys()
            .filter(|n| n.starts_with("steady-"))
            .cloned()
            .collect();
        ensure!(
            steady.is_empty() || steady == names,
            "the Deployment's pods were replaced: {steady:?}, now {names:?}"
        );
        steady = names;
        on.wait("the pods' own reports", PATIENCE, |h| {
            steady.iter().all(|n| h.pods.contains_key(n)) && h.pods.contains_key("counter")
        })?;
        count(&on.heard, &mut counted)?;
        println!(
            "boot {}: {}; {objects} objects as they should be {:.1?} after the power, {} pods back after {:.0?}; {}",
            rig.boots,
            rig.ledger.lock().summary(),
            to_api.last().copied().unwrap_or_default(),
            now.len(),
            to_pods.last().copied().unwrap_or_default(),
            on.heard.state
        );
        if round == cuts {
            rig.cut(on, 0)?;
            break;
        }

        containers = now
            .iter()
            .filter_map(|(n, c)| Some((n.clone(), c.clone()?)))
            .collect();
        let next = churned.next;
        let there = now
            .into_keys()
            .filter(|n| n.starts_with("churn-"))
            .collect();
        churned = Churn {
            there,
            gone: BTreeSet::new(),
            next,
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                rig.runtime.spawn(load::write(
                    credentials.clone(),
                    rig.ledger.clone(),
                    writer,
                    Dice::new(100 + round, writer),
                    load::Enough::default(),
                ))
            })
            .collect();
        let churner = rig
            .runtime
            .spawn(churn(credentials.clone(), std::mem::take(&mut churned)));
        let mut dice = Dice::new(200, round);
        let moment = Duration::from_millis(3000 + dice.below(17_000));
        std::thread::sleep(moment);
        on.disk.die_after(dice.below(40));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !on.disk.is_dead() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let keep = [0, 50, 90][usize::try_from(round % 3).unwrap_or_default()];
        let state = rig.cut(on, keep)?;
        lost += state.lost;
        for writer in writers {
            writes.extend(rig.runtime.block_on(writer)?);
        }
        churned = rig.runtime.block_on(churner)?;
        println!(
            "cut {round}: after {moment:.1?} of load; the disk lost {} unflushed sectors and kept {}",
            state.lost, state.kept
        );
    }
    let flushes = rig.disk.as_ref().map_or(0, Disk::flushes);
    println!(
        "soak: power cut: {cuts} cuts under load and one without a network in {:.0} s, {}, none lost, none undone; the disk lost \
         {lost} unflushed sectors; {flushes} flushes; a write {}; power to the whole list {}; power to all pods ready {}; kernels that hung: {}",
        started.elapsed().as_secs_f64(),
        rig.ledger.lock().summary(),
        spread(writes),
        spread(to_api),
        spread(to_pods),
        rig.hung,
    );
    Ok(())
}

/// The counter's volume must remember every start that it told of.
fn count(heard: &Heard, counted: &mut u64) -> anyhow::Result<()> {
    let text = heard.pods.get("counter").map_or("", String::as_str);
    let now: u64 = text.trim().parse()?;
    ensure!(
        now > *counted,
        "the volume remembers {now} starts, {counted} were told of before"
    );
    *counted = now;
    Ok(())
}
