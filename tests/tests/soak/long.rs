//! Long load: pods, objects and watches come and go for minutes, and what the server takes stays bounded and is given back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hyper::Method;
use minicloud_tests::api::{Connection, Credentials};
use minicloud_tests::images::busybox;
use minicloud_tests::processes::shims;
use minicloud_tests::{Cluster, eventually};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::load::{self, CONFIG_MAPS, Enough, Shared};
use crate::{setting, spread};

const WRITERS: u64 = 4;
const FOLLOWERS: u64 = 8;
const PASSERS_BY: u64 = 8;
const POD_MAKERS: u64 = 2;
const MIB: u64 = 1 << 20;

/// A container that writes 1 MiB a second to its log.
const TALKER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: minicloud.local/busybox:1
    command: [sh, -c, \"while :; do head -c 1000000 /dev/zero | tr '\\\\0' x | fold -w 999; sleep 1; done\"]
";

/// kubelet's bound for one container's log, five files of 10 MiB, and what is written between two looks at each, 10 s apart.
const TALKER_LOG: u64 = 5 * (10 + 12) * MIB;
/// History that the store keeps, its log, what is current, and pages that are free.
const STORE: u64 = 128 * MIB;

/// What the server takes at a moment.
#[derive(Debug, Clone, Default)]
struct Taken {
    memory: u64,
    open_files: usize,
    threads: usize,
    store: u64,
    pod_logs: u64,
    server_log: u64,
}

impl Taken {
    fn now(cluster: &Cluster) -> Self {
        let process = Path::new("/proc").join(cluster.server_pid().to_string());
        let entries = |dir: &str| std::fs::read_dir(process.join(dir)).map_or(0, Iterator::count);
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmRSS:")?.split_whitespace().next()?;
            kib.parse::<u64>().ok()
        });
        Self {
            memory: memory.unwrap_or_default() * 1024,
            open_files: entries("fd"),
            threads: entries("task"),
            store: size(&cluster.data_dir().join("store")),
            pod_logs: size(&cluster.data_dir().join("logs/pods")),
            server_log: size(&cluster.log_file()),
        }
    }

    /// The larger of each.
    fn max(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            open_files: self.open_files.max(other.open_files),
            threads: self.threads.max(other.threads),
            store: self.store.max(other.store),
            pod_logs: self.pod_logs.max(other.pod_logs),
            server_log: self.server_log.max(other.server_log),
        }
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        write!(
            f,
            "memory {:.0} MiB, {} open files, {} threads, store {:.0} MiB, pod logs {:.0} MiB, server log {:.2} MiB",
            mib(self.memory),
            self.open_files,
            self.threads,
            mib(self.store),
            mib(self.pod_logs),
            mib(self.server_log)
        )
    }
}

/// The bytes on disk of a file, or of all files below a folder.
fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    let below = match std::fs::read_dir(path) {
        Ok(entries) if metadata.is_dir() => entries.flatten().map(|e| size(&e.path())).sum(),
        _ => 0,
    };
    metadata.blocks() * 512 + below
}

/// What pods leave on a machine unless it is taken away: `(kind, how many)`.
fn left_by_pods(cluster: &Cluster) -> Vec<(&'static str, usize)> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let own = cluster.scratch().display().to_string();
    let entries =
        |path: &str| std::fs::read_dir(cluster.data_dir().join(path)).map_or(0, Iterator::count);
    let addresses = std::fs::read_dir(cluster.data_dir().join("cni/addresses"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|network| std::fs::read_dir(network.path()).map_or(0, Iterator::count))
        .sum();
    vec![
        (
            "mounts",
            mounts.lines().filter(|line| line.contains(&own)).count(),
        ),
        ("shims", shims(cluster).len()),
        ("addresses and their locks", addresses),
        ("pod folders", entries("agent/pods")),
        ("log folders", entries("logs/pods")),
    ]
}

/// Creates a pod, sees it run, deletes it, sees it gone.
async fn make_pods(
    credentials: Credentials,
    maker: u64,
    enough: Enough,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = credentials.connect().await?;
    let mut times = Vec::new();
    for number in 0_u32.. {
        if enough.is_said() {
            break;
        }
        let name = format!("come-and-go-{maker}-{number}");
        let collection = "/api/v1/namespaces/default/pods";
        let path = format!("{collection}/{name}");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}],
            "containers": [{"name": "main", "image": "minicloud.local/busybox:1", "command": ["sleep", "1000000"],
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}]}});
        connection.create(collection, &pod).await?;
        let started = Instant::now();
        wait(&mut connection, &path, |pod| {
            pod["status"]["phase"] == "Running"
        })
        .await?;
        times.push(started.elapsed());
        connection.ok(Method::DELETE, &path, "".into()).await?;
        wait(&mut connection, &path, |pod| pod["reason"] == "NotFound").await?;
    }
    Ok(times)
}

async fn wait(
    connection: &mut Connection,
    path: &str,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let (_, body) = connection.request(Method::GET, path, "".into()).await?;
        let object: Value = serde_json::from_slice(&body)?;
        if done(&object) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "{path}: not in 90 s: {object}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

type Objects = BTreeMap<String, String>;

fn entry(object: &Value) -> Option<(String, String)> {
    let metadata = &object["metadata"];
    Some((
        metadata["name"].as_str()?.into(),
        metadata["resourceVersion"].as_str()?.into(),
    ))
}

/// Follows config maps as informers do, until its picture is that of `wanted`. Returns how often it had to list anew.
async fn follow(
    credentials: Credentials,
    wanted: tokio::sync::watch::Receiver<Option<Objects>>,
) -> anyhow::Result<u32> {
    let mut wanted = wanted;
    let mut lists = 0;
    loop {
        let list = credentials.connect().await?.get(CONFIG_MAPS).await?;
        lists += 1;
        let mut picture: Objects = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(entry)
            .collect();
        let revision = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={revision}");
        let Ok(mut watch) = credentials.connect().await?.watch(&path).await else {
            continue;
        };
        loop {
            if wanted
                .borrow()
                .as_ref()
                .is_some_and(|wanted| *wanted == picture)
            {
                return Ok(lists - 1);
            }
            let event = tokio::select! {
                event = watch.event() => event,
                Ok(()) = wanted.changed() => continue,
            };
            let Ok(event) = event else { break };
            let Some((name, revision)) = entry(&event["object"]) else {
                break;
            };
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => drop(picture.insert(name, revision)),
                Some("DELETED") => drop(picture.remove(&name)),
                _ => break,
            }
        }
    }
}

/// Opens watches and walks away without a word.
async fn pass_by(credentials: Credentials, mut dice: Dice, enough: Enough) -> anyhow::Result<u32> {
    let mut watches = 0;
    while !enough.is_said() {
        let mut watch = credentials
            .connect()
            .await?
            .watch(&format!("{CONFIG_MAPS}?watch=true"))
            .await?;
        watches += 1;
        for _ in 0..dice.below(2000) {
            watch.line().await?;
        }
    }
    Ok(watches)
}

/// `MINICLOUD_SOAK_MINUTES` sets how long; `MINICLOUD_SOAK_MEMORY_MIB` what the server may take at most.
#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn what_the_server_takes_is_bounded_and_given_back() {
    let minutes = setting("MINICLOUD_SOAK_MINUTES", 3);
    let memory = setting("MINICLOUD_SOAK_MEMORY_MIB", 200) * MIB;
    let cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    cluster.apply(TALKER);
    cluster.k("wait --for=condition=Ready pod/talker --timeout=60s");
    cluster.netns().enter().unwrap_or_else(|e| panic!("{e:#}"));
    let credentials = Credentials::read(&cluster.kubeconfig()).unwrap_or_else(|e| panic!("{e:#}"));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|e| panic!("{e}"));
    let (before, left_before) = (Taken::now(&cluster), left_by_pods(&cluster));
    println!("before: {before}");

    let (enough, leave, ledger) = (Enough::default(), Enough::default(), Shared::default());
    let (tell, wanted) = tokio::sync::watch::channel(None);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            runtime.spawn(load::write(
                credentials.clone(),
                ledger.clone(),
                n,
                Dice::new(300, n),
                enough.clone(),
            ))
        })
        .collect();
    let makers: Vec<_> = (0..POD_MAKERS)
        .map(|n| runtime.spawn(make_pods(credentials.clone(), n, enough.clone())))
        .collect();
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| runtime.spawn(follow(credentials.clone(), wanted.clone())))
        .collect();
    let passers_by: Vec<_> = (0..PASSERS_BY)
        .map(|n| {
            runtime.spawn(pass_by(
                credentials.clone(),
                Dice::new(400, n),
                leave.clone(),
            ))
        })
        .collect();

    let started = Instant::now();
    let length = Duration::from_secs(60 * minutes);
    let mut samples = Vec::new();
    while started.elapsed() < length {
        std::thread::sleep(Duration::from_secs(2));
        samples.push(Taken::now(&cluster));
        if samples.len().is_multiple_of(15) {
            println!(
                "after {:.0?}: {}",
                started.elapsed(),
                samples[samples.len() - 1]
            );
        }
    }
    // They wait for events, so they leave while there still are some.
    leave.say();
    let watches: u32 = passers_by
        .into_iter()
        .map(|task| {
            runtime
                .block_on(task)
                .unwrap_or_else(|e| panic!("{e}"))
                .unwrap_or_else(|e| panic!("{e:#}"))
        })
        .sum();
    enough.say();
    let writes: Vec<Duration> = writers
        .into_iter()
        .flat_map(|task| runtime.block_on(task).unwrap_or_else(|e| panic!("{e}")))
        .collect();
    let pods: Vec<Duration> = makers
        .into_iter()
        .flat_map(|task| {
            runtime
                .block_on(task)
                .unwrap_or_else(|e| panic!("{e}"))
                .unwrap_or_else(|e| panic!("{e:#}"))
        })
        .collect();

    // Everybody sees the same in the end.
    let (problems, _) =
        runtime.block_on(load::check(&credentials, &ledger, Duration::from_secs(30)));
    assert!(problems.is_empty(), "{problems:#?}");
    let list = runtime.block_on(async { credentials.connect().await?.get(CONFIG_MAPS).await });
    let list = list.unwrap_or_else(|e| panic!("{e:#}"));
    tell.send_replace(Some(
        list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(entry)
            .collect(),
    ));
    let mut anew = 0;
    let _inside = runtime.enter();
    for follower in followers {
        let end = tokio::time::timeout(Duration::from_secs(60), follower);
        let end = runtime.block_on(end);
        anew += end
            .unwrap_or_else(|_| panic!("a watch did not bring all events"))
            .unwrap_or_else(|e| panic!("{e}"))
            .unwrap_or_else(|e| panic!("{e:#}"));
    }

    // What was taken is given back.
    eventually("pods leave nothing", Duration::from_secs(60), || {
        let left = left_by_pods(&cluster);
        anyhow::ensure!(left == left_before, "{left:?}, before {left_before:?}");
        Ok(())
    });
    eventually("open files are closed", Duration::from_secs(60), || {
        let now = Taken::now(&cluster);
        anyhow::ensure!(
            now.open_files <= before.open_files + 16,
            "{now}, before {before}"
        );
        Ok(())
    });
    let after = Taken::now(&cluster);
    let peak = samples
        .iter()
        .fold(Taken::default(), |peak, sample| peak.max(sample));
    let mean =
        |part: &[Taken]| part.iter().map(|s| s.memory).sum::<u64>() / part.len().max(1) as u64;
    let quarter = samples.len() / 4;
    let (early, late) = (
        mean(&samples[quarter..2 * quarter]),
        mean(&samples[3 * quarter..]),
    );
    println!("after: {after}");
    println!(
        "soak: long load: {minutes} min, {}, a write {}; {} pods created, run and deleted, each running after {}; {watches} watches \
         abandoned, {FOLLOWERS} followed to the last event ({anew} listed anew)",
        ledger.lock().summary(),
        spread(writes),
        pods.len(),
        spread(pods),
    );
    println!("soak: long load: before {before}");
    println!(
        "soak: long load: peak {peak}; memory {} MiB in the second quarter, {} MiB in the last",
        early / MIB,
        late / MIB
    );
    println!(
        "soak: long load: after {after}; mounts, shims, addresses and folders of pods as before"
    );
    assert!(peak.memory <= memory, "memory: {peak}");
    assert!(
        late <= early + early / 4 + 10 * MIB,
        "memory grows: {early}, then {late}"
    );
    assert!(peak.store <= STORE, "the store's files: {peak}");
    assert!(peak.pod_logs <= TALKER_LOG, "a container's log: {peak}");
    assert!(
        peak.server_log <= before.server_log + MIB * minutes / 2,
        "the server's log: {peak}"
    );
}
