//! Metrics of containers on the node's port, compared with what pods really do and with what the kernel's files say.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use minicloud_tests::images::busybox;
use minicloud_tests::programs::run;
use minicloud_tests::walk::timed;
use minicloud_tests::{Cluster, Reader, eventually};

const URL: &str = "https://127.0.0.1:9100/metrics/cadvisor";

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: burn}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: burner
    image: minicloud.local/busybox:1
    command: [sh, -c, "while :; do :; done"]
    resources: {requests: {cpu: 100m}, limits: {cpu: 200m, memory: 64Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: memory}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: holder
    image: minicloud.local/busybox:1
    command: [sh, -c, "(head -c 41943040 /dev/zero; sleep 100000) | tail"]
    resources: {limits: {cpu: "1", memory: 128Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: eater
    image: minicloud.local/busybox:1
    command: [sh, -c, "while :; do head -c 200000000 /dev/zero | tail; sleep 2; done"]
    resources: {limits: {memory: 24Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: one, image: minicloud.local/busybox:1, command: [sleep, "100000"]}
  - {name: two, image: minicloud.local/busybox:1, command: [sleep, "100000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: one, image: minicloud.local/busybox:1, command: [sleep, "100000"]}
"#;

#[test]
fn containers_are_measured() {
    let mut c = Cluster::start();
    let images = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    c.import(&busybox(images.path()));
    c.apply(PODS);
    c.k("wait pod --all --for=condition=Ready --timeout=60s");
    timed("rights", || rights(&c));
    timed("labels", || labels(&c));
    timed("processor", || processor(&c));
    timed("memory", || memory(&c));
    timed("network", || network(&c));
    timed("disk", || disk(&c));
    timed("the kernel says the same", || same_as_the_kernel(&c));
    timed("coming and going", || coming_and_going(&c));
    timed("a hung engine", || hung_engine(&c));
    timed("restart", || restart(&mut c));
}

/// Series and their values. A series that is there twice, or a line that is none, fails the test.
struct Samples(HashMap<String, f64>);

impl Samples {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut samples = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            let value = value.parse().with_context(|| line.to_owned())?;
            let twice = samples.insert(series.to_owned(), value);
            ensure!(twice.is_none(), "twice: {series}");
        }
        Ok(Self(samples))
    }

    /// The values of series that begin with a name and have all these labels.
    fn all(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let begin = format!("{name}{{");
        let fits =
            |series: &str| series.starts_with(&begin) && labels.iter().all(|l| series.contains(l));
        let found = self.0.iter().filter(|(series, _)| fits(series));
        found.map(|(_, value)| *value).collect()
    }

    /// The value of the only such series.
    fn one(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let found = self.all(name, labels);
        ensure!(found.len() == 1, "{name} {labels:?}: {found:?}");
        Ok(found[0])
    }

    fn series(&self, name: &str, labels: &[&str]) -> anyhow::Result<&str> {
        let fits = |s: &&String| {
            s.starts_with(&format!("{name}{{")) && labels.iter().all(|l| s.contains(l))
        };
        let found = self.0.keys().find(fits);
        found
            .map(String::as_str)
            .with_context(|| format!("{name} {labels:?}"))
    }
}

fn scrape(c: &Cluster) -> anyhow::Result<Samples> {
    let (code, text) = Reader::new(c).fetch(URL);
    ensure!(code == "200", "{code}: {text}");
    Samples::parse(&text)
}

fn must<T>(result: anyhow::Result<T>) -> T {
    result.unwrap_or_else(|e| panic!("{e:#}"))
}

/// Only for whoever may read metrics below `/metrics`.
fn rights(c: &Cluster) {
    let mut reader = Reader::new(c);
    assert_eq!(reader.fetch(URL).0, "403");
    let token = std::mem::take(&mut reader.token);
    assert_eq!(reader.fetch(URL).0, "401");
    reader.token = token;
    c.k("create clusterrolebinding scraper --clusterrole=system:minicloud-metrics --serviceaccount=default:reader");
    eventually("the right is given", Duration::from_secs(15), || {
        scrape(c).map(drop)
    });
}

/// Who is who, as the kubelet says it.
fn labels(c: &Cluster) {
    let samples = eventually("all pods are told", Duration::from_secs(10), || {
        let samples = scrape(c)?;
        samples.one(
            "container_memory_usage_bytes",
            &["pod=\"greedy\"", "container=\"eater\""],
        )?;
        Ok(samples)
    });
    let uid = c.k("get pod burn -o jsonpath={.metadata.uid}");
    let id = c.k("get pod burn -o jsonpath={.status.containerStatuses[0].containerID}");
    let id = id.trim_start_matches("containerd://");
    let burner = ["pod=\"burn\"", "container=\"burner\""];
    let series = must(samples.series("container_memory_usage_bytes", &burner));
    for label in [
        "container=\"burner\"",
        &format!("/burstable/pod{uid}/{id}\""),
        "image=\"minicloud.local/busybox:1\"",
        &format!("name=\"{id}\""),
        "namespace=\"default\"",
        "pod=\"burn\"",
    ] {
        assert!(series.contains(label), "{label}: {series}");
    }
    // The pod's own cgroup, and its sandbox.
    let pod = [
        "pod=\"burn\"",
        "container=\"\"",
        "image=\"\"",
        "namespace=\"default\"",
    ];
    let series = must(samples.series("container_memory_usage_bytes", &pod));
    assert!(series.contains(&format!("/pod{uid}\"")), "{series}");
    let sandbox = [
        "pod=\"burn\"",
        "container=\"\"",
        "image=\"minicloud.io/pause:1\"",
    ];
    must(samples.one("container_memory_usage_bytes", &sandbox));
    // The whole machine, and nobody in two places.
    must(samples.one(
        "container_cpu_usage_seconds_total",
        &["id=\"/\"", "cpu=\"total\""],
    ));
    assert_eq!(
        samples
            .all(
                "container_last_seen",
                &["pod=\"talker\"", "image=\"minicloud.local"]
            )
            .len(),
        2
    );
    let cores = must(samples.one("machine_cpu_cores", &[]));
    let expected = must(run(&mut c.command("nproc")));
    assert_eq!(cores.to_string(), expected.trim());
    assert_eq!(samples.0["container_scrape_error"], 0.0);
    assert_eq!(samples.0["machine_scrape_error"], 0.0);
}

/// A pod that wants a processor and may have a fifth of one.
fn processor(c: &Cluster) {
    let burner = ["pod=\"burn\"", "container=\"burner\""];
    let before = (must(scrape(c)), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let after = (must(scrape(c)), Instant::now());
    let seconds = (after.1 - before.1).as_secs_f64();
    let rate = |name: &str, labels: &[&str]| {
        (must(after.0.one(name, labels)) - must(before.0.one(name, labels))) / seconds
    };
    let used = rate("container_cpu_usage_seconds_total", &burner);
    // Less where others want the processors as well, as on a machine that builds meanwhile.
    assert!((0.03..0.25).contains(&used), "{used} processors");
    let split = rate("container_cpu_user_seconds_total", &burner)
        + rate("container_cpu_system_seconds_total", &burner);
    assert!((used - split).abs() < 0.03, "{used} {split}");
    // The pod has what its container has.
    let pod = rate(
        "container_cpu_usage_seconds_total",
        &["pod=\"burn\"", "container=\"\"", "image=\"\""],
    );
    assert!((used - pod).abs() < 0.03, "{used} {pod}");
    let periods = rate("container_cpu_cfs_periods_total", &burner);
    let throttled = rate("container_cpu_cfs_throttled_periods_total", &burner);
    assert!((5.0..12.0).contains(&periods), "{periods} periods a second");
    assert!(throttled > 0.2 * periods, "{throttled} of {periods}");
    assert!(rate("container_cpu_cfs_throttled_seconds_total", &burner) > 0.0);
    // Who is throttled waits for a processor; told where there is a v2 hierarchy, also beside v1.
    if Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists()
        || Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        let waited = rate("container_pressure_cpu_waiting_seconds_total", &burner);
        assert!((0.1..1.1).contains(&waited), "{waited}");
    }
    // What has no quota is not throttled.
    assert!(
        after
            .0
            .all("container_cpu_cfs_periods_total", &["pod=\"talker\""])
            .is_empty()
    );
    let value = |name: &str| must(after.0.one(name, &burner));
    assert_eq!(value("container_spec_cpu_quota"), 20_000.0);
    assert_eq!(value("container_spec_cpu_period"), 100_000.0);
    assert_eq!(value("container_spec_cpu_shares"), 102.0);
    assert_eq!(value("container_spec_memory_limit_bytes"), 67_108_864.0);
}

/// One pod holds 40 MiB, another one takes more than it may.
fn memory(c: &Cluster) {
    const MIB: f64 = 1_048_576.0;
    let holder = ["pod=\"memory\"", "container=\"holder\""];
    let samples = eventually("it holds", Duration::from_secs(20), || {
        let samples = scrape(c)?;
        let held = samples.one("container_memory_rss", &holder)?;
        ensure!(held > 40.0 * MIB, "{held}");
        Ok(samples)
    });
    let value = |name: &str| must(samples.one(name, &holder));
    let (rss, usage) = (
        value("container_memory_rss"),
        value("container_memory_usage_bytes"),
    );
    assert!((40.0 * MIB..60.0 * MIB).contains(&rss), "{rss}");
    assert!((rss..rss + 20.0 * MIB).contains(&usage), "{usage}");
    assert!(value("container_memory_working_set_bytes") <= usage);
    assert!(value("container_memory_max_usage_bytes") >= usage);
    assert_eq!(value("container_memory_failcnt"), 0.0);
    let pod = ["pod=\"memory\"", "container=\"\"", "image=\"\""];
    let whole = must(samples.one("container_memory_usage_bytes", &pod));
    assert!((usage..usage + 8.0 * MIB).contains(&whole), "{whole}");

    let eater = ["pod=\"greedy\"", "container=\"eater\""];
    eventually("it is killed", Duration::from_secs(20), || {
        let samples = scrape(c)?;
        ensure!(samples.one("container_oom_events_total", &eater)? >= 1.0);
        // The pod's limit is the same, and what its sandbox has counts as well: it is hit first.
        let hits = samples.all("container_memory_failcnt", &["pod=\"greedy\""]);
        ensure!(hits.iter().sum::<f64>() > 0.0, "{hits:?}");
        Ok(())
    });
}

/// Ten million bytes from one pod to another are counted at both, and at no pod that uses the machine's network.
fn network(c: &Cluster) {
    const BYTES: f64 = 10_000_000.0;
    let talker = ["pod=\"talker\"", "interface=\"eth0\""];
    let receiver = ["pod=\"memory\"", "interface=\"eth0\""];
    let address = c.k("get pod memory -o jsonpath={.status.podIP}");
    let before = must(scrape(c));
    let listen = "timeout 20 socat -u TCP-LISTEN:9999,reuseaddr OPEN:/dev/null";
    let mut server = c.kubectl(&["exec", "memory", "--", "sh", "-c", listen]);
    let mut server = server.spawn().unwrap_or_else(|e| panic!("{e}"));
    eventually("the bytes are sent", Duration::from_secs(15), || {
        let send =
            format!("head -c 10000000 /dev/zero | socat -u - TCP:{address}:9999,connect-timeout=2");
        c.sh("talker", &send)
    });
    let _ = server.wait();
    let after = must(scrape(c));
    let more = |name: &str, labels: &[&str]| {
        must(after.one(name, labels)) - must(before.one(name, labels))
    };
    for (name, labels) in [
        ("container_network_transmit_bytes_total", talker),
        ("container_network_receive_bytes_total", receiver),
    ] {
        let moved = more(name, &labels);
        assert!((BYTES..1.1 * BYTES).contains(&moved), "{name}: {moved}");
    }
    assert!(more("container_network_receive_packets_total", &receiver) > 100.0);
    // Once for a pod: by its sandbox.
    let series = must(after.series("container_network_receive_bytes_total", &talker));
    assert!(
        series.contains("container=\"\"") && series.contains("image=\"minicloud.io/pause:1\""),
        "{series}"
    );
    let host = after.all("container_network_receive_bytes_total", &["pod=\"host\""]);
    assert!(host.is_empty(), "{host:?}");
    must(after.one(
        "container_network_receive_bytes_total",
        &["id=\"/\"", "interface=\"minicloud0\""],
    ));
}

/// Eight MiB past the page cache to a disk.
fn disk(c: &Cluster) {
    let one = ["pod=\"talker\"", "container=\"one\""];
    let written = |samples: &Samples| -> f64 {
        samples
            .all("container_fs_writes_bytes_total", &one)
            .iter()
            .sum()
    };
    let before = must(scrape(c));
    must(c.sh(
        "talker",
        "dd if=/dev/zero of=/file bs=1M count=8 oflag=direct status=none && rm /file",
    ));
    let after = must(scrape(c));
    // Recent kernels count no disks on v1 until a disk has a limit; then there is nothing to tell.
    let counted =
        std::fs::read_to_string("/sys/fs/cgroup/blkio/blkio.throttle.io_service_bytes_recursive");
    match counted {
        Ok(text) if text.trim() == "Total 0" => assert_eq!(written(&after), 0.0),
        _ => {
            let bytes = written(&after) - written(&before);
            assert!((8_388_608.0..12_000_000.0).contains(&bytes), "{bytes}");
            let series = must(after.series("container_fs_writes_total", &one));
            assert!(series.contains("device=\"/dev/"), "{series}");
        }
    }
    let root = ["id=\"/\""];
    let used: f64 = after.all("container_fs_usage_bytes", &root).iter().sum();
    let size: f64 = after.all("container_fs_limit_bytes", &root).iter().sum();
    assert!(0.0 < used && used < size, "{used} of {size}");
}

/// A file of a v1 hierarchy that is told: controller, file, key of its line (none for a file of one number), unit.
const FILES: &[(&str, &str, &str, &str, f64)] = &[
    (
        "container_cpu_usage_seconds_total",
        "cpuacct",
        "cpuacct.usage",
        "",
        1e9,
    ),
    (
        "container_cpu_user_seconds_total",
        "cpuacct",
        "cpuacct.stat",
        "user",
        100.0,
    ),
    (
        "container_cpu_system_seconds_total",
        "cpuacct",
        "cpuacct.stat",
        "system",
        100.0,
    ),
    (
        "container_cpu_cfs_periods_total",
        "cpu",
        "cpu.stat",
        "nr_periods",
        1.0,
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        "cpu",
        "cpu.stat",
        "nr_throttled",
        1.0,
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "cpu",
        "cpu.stat",
        "throttled_time",
        1e9,
    ),
    (
        "container_memory_max_usage_bytes",
        "memory",
        "memory.max_usage_in_bytes",
        "",
        1.0,
    ),
    (
        "container_memory_failcnt",
        "memory",
        "memory.failcnt",
        "",
        1.0,
    ),
    (
        "container_oom_events_total",
        "memory",
        "memory.oom_control",
        "oom_kill",
        1.0,
    ),
    ("container_spec_cpu_shares", "cpu", "cpu.shares", "", 1.0),
    (
        "container_spec_cpu_quota",
        "cpu",
        "cpu.cfs_quota_us",
        "",
        1.0,
    ),
    (
        "container_spec_cpu_period",
        "cpu",
        "cpu.cfs_period_us",
        "",
        1.0,
    ),
    (
        "container_spec_memory_limit_bytes",
        "memory",
        "memory.limit_in_bytes",
        "",
        1.0,
    ),
];

/// What is told of a cgroup lies between what its files say before and after the scrape, for every cgroup of these pods.
fn same_as_the_kernel(c: &Cluster) {
    if !Path::new("/sys/fs/cgroup/memory").exists() {
        return;
    }
    let read = |id: &str, (_, controller, file, key, unit): (_, &str, &str, &str, f64)| -> f64 {
        let path = format!("/sys/fs/cgroup/{controller}{id}/{file}");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = match key {
            "" => Some(text.trim()),
            key => text
                .lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')),
        };
        let value: Option<f64> = line.and_then(|line| line.parse().ok());
        value.unwrap_or_else(|| panic!("{path} {key}: {text}")) / unit
    };
    let told = must(scrape(c));
    let mut watched = Vec::new();
    for series in told.0.keys() {
        let (name, labels) = series.split_once('{').unwrap_or_default();
        let id = labels
            .split_once("id=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let pods = ["talker", "burn", "memory", "greedy"];
        if let (Some(file), Some((id, _))) = (FILES.iter().find(|f| f.0 == name), id)
            && pods
                .iter()
                .any(|pod| labels.contains(&format!("pod=\"{pod}\"")))
            && !(name == "container_spec_memory_limit_bytes" && told.0[series] == 0.0)
        {
            watched.push((series.clone(), id.to_owned(), *file));
        }
    }
    let before: Vec<f64> = watched
        .iter()
        .map(|(_, id, file)| read(id, *file))
        .collect();
    let told = must(scrape(c));
    for ((series, id, file), before) in watched.iter().zip(before) {
        let after = read(id, *file);
        let value = told.0[series];
        let within = before - 1e-6 <= value && value <= after + 1e-6;
        assert!(within, "{series} {value}: {before} to {after}");
    }
    let names: std::collections::HashSet<_> = watched.iter().map(|(_, _, file)| file.0).collect();
    assert_eq!(names.len(), FILES.len(), "{names:?}");

    // What goes up and down, of a pod that sleeps.
    let quiet = ["pod=\"talker\"", "container=\"one\""];
    let series = must(told.series("container_memory_rss", &quiet));
    let (_, id) = series.split_once("id=\"").unwrap_or_default();
    let (id, _) = id.split_once('"').unwrap_or_default();
    for (name, key) in [
        ("container_memory_rss", "total_rss"),
        ("container_memory_cache", "total_cache"),
        ("container_memory_mapped_file", "total_mapped_file"),
        ("container_memory_swap", "total_swap"),
    ] {
        let truth = read(id, (name, "memory", "memory.stat", key, 1.0));
        assert_eq!(must(told.one(name, &quiet)), truth, "{name}");
    }
}

/// Pods that are made and removed while somebody scrapes do no harm.
fn coming_and_going(c: &Cluster) {
    let names: Vec<String> = (0..5).map(|n| format!("brief-{n}")).collect();
    for name in &names {
        c.k(&format!(
            "run {name} --image=minicloud.local/busybox:1 --restart=Never --command -- sleep 3"
        ));
    }
    let started = Instant::now();
    let mut seen = 0;
    while started.elapsed() < Duration::from_secs(if seen > 0 { 6 } else { 30 }) {
        let samples = must(scrape(c));
        seen = seen.max(
            samples
                .all("container_last_seen", &["container=\"brief-"])
                .len(),
        );
        must(samples.one(
            "container_last_seen",
            &["pod=\"burn\"", "container=\"burner\""],
        ));
    }
    assert!(seen > 0);
    c.k(&format!(
        "delete pod {} --grace-period=0 --force",
        names.join(" ")
    ));
    eventually("they are forgotten", Duration::from_secs(20), || {
        let samples = scrape(c)?;
        ensure!(
            samples
                .all("container_last_seen", &["pod=\"brief-"])
                .is_empty()
        );
        ensure!(samples.0["container_scrape_error"] == 0.0);
        Ok(())
    });
}

/// An engine that hangs takes nothing away that was known; a cgroup that is new meanwhile makes the scrape say that it is
/// incomplete, and in time.
fn hung_engine(c: &Cluster) {
    use rustix::process::{Pid, Signal, kill_process};
    let file = c.run_dir().join("containerd/containerd.pid");
    let pid = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let pid: i32 = pid
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .unwrap_or_else(|| panic!("{pid}"));
    let pid = Pid::from_raw(pid).unwrap_or_else(|| panic!("{pid}"));
    let before = must(scrape(c));
    let id = must(before.series(
        "container_start_time_seconds",
        &["pod=\"talker\"", "image=\"\""],
    ));
    let (_, pods) = id.split_once("id=\"").unwrap_or_default();
    let (pods, _) = pods.rsplit_once("/pod").unwrap_or_default();
    let root = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        .iter()
        .find(|root| Path::new(&format!("{root}{pods}")).is_dir())
        .unwrap_or_else(|| panic!("{pods}"));
    let stray = format!("{root}{pods}/podstray");
    kill_process(pid, Signal::STOP).unwrap_or_else(|e| panic!("{e}"));
    let known = must(scrape(c));
    std::fs::create_dir(&stray).unwrap_or_else(|e| panic!("{stray}: {e}"));
    let started = Instant::now();
    let late = must(scrape(c));
    let took = started.elapsed();
    kill_process(pid, Signal::CONT).unwrap_or_else(|e| panic!("{e}"));
    std::fs::remove_dir(&stray).unwrap_or_else(|e| panic!("{stray}: {e}"));
    assert_eq!(known.0["container_scrape_error"], 0.0);
    assert_eq!(late.0["container_scrape_error"], 1.0);
    assert!(took < Duration::from_secs(6), "{took:?}");
    for samples in [known, late] {
        for name in ["container_last_seen", "container_memory_usage_bytes"] {
            let labels = ["pod=\"burn\"", "container=\"burner\""];
            must(samples.one(name, &labels));
        }
    }
    eventually("complete again", Duration::from_secs(20), || {
        ensure!(scrape(c)?.0["container_scrape_error"] == 0.0);
        Ok(())
    });
}

/// A new server tells the same series: nothing is counted anew and nothing gets another name.
fn restart(c: &mut Cluster) {
    let burner = ["pod=\"burn\"", "container=\"burner\""];
    let names = |samples: &Samples| {
        let mut names: Vec<String> = samples
            .0
            .keys()
            .filter(|series| series.contains("pod=\"talker\""))
            .cloned()
            .collect();
        names.sort();
        names
    };
    let before = must(scrape(c));
    c.stop_server();
    c.start_server();
    c.wait_ready();
    let after = eventually("the metrics are served", Duration::from_secs(20), || {
        scrape(c)
    });
    assert_eq!(names(&before), names(&after));
    let used = |samples: &Samples| must(samples.one("container_cpu_usage_seconds_total", &burner));
    assert!(used(&after) > used(&before));
    assert_eq!(
        must(before.one("container_start_time_seconds", &burner)),
        must(after.one("container_start_time_seconds", &burner))
    );
}
