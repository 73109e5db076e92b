//! `kill -9` of the server under load, again and again.
//!
//! It loses nothing that the kernel has, so it shows that what is acknowledged was written and that the server starts from
//! whatever it left; that writes are flushed to the disk is shown by the power cut.

use std::time::{Duration, Instant};

use minicloud_tests::Cluster;
use minicloud_tests::api::Credentials;
use minicloud_tests::images::busybox;

use crate::dice::Dice;
use crate::load::{self, Shared};
use crate::{setting, spread};

const WRITERS: u64 = 16;

/// Two pods that must not notice.
const WITNESS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: witness}
spec:
  replicas: 2
  selector: {matchLabels: {app: witness}}
  template:
    metadata: {labels: {app: witness}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: 'minicloud.local/busybox:1', command: [sleep, '1000000']}
";

/// Which containers run, and how often they were started again.
fn containers(cluster: &Cluster) -> String {
    cluster.k("get pods -o jsonpath={range.items[*].status.containerStatuses[*]}{.containerID}={.restartCount};{end}")
}

/// `MINICLOUD_SOAK_KILLS` sets the number of rounds.
#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn every_acknowledged_write_survives_kill_9() {
    let rounds = setting("MINICLOUD_SOAK_KILLS", 30);
    let mut cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    cluster.apply(WITNESS);
    cluster.k("rollout status deployment/witness --timeout=60s");
    let before = containers(&cluster);
    cluster.netns().enter().unwrap_or_else(|e| panic!("{e:#}"));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|e| panic!("{e}"));
    let ledger = Shared::default();
    let (mut writes, mut starts) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for round in 0..rounds {
        let credentials =
            Credentials::read(&cluster.kubeconfig()).unwrap_or_else(|e| panic!("{e:#}"));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let dice = Dice::new(round, writer);
                runtime.spawn(load::write(
                    credentials.clone(),
                    ledger.clone(),
                    writer,
                    dice,
                    load::Enough::default(),
                ))
            })
            .collect();
        // Another moment each time; now and then among the first writes.
        let moment = 100 + Dice::new(round, WRITERS).below(6000);
        std::thread::sleep(Duration::from_millis(moment));
        cluster.kill_server();
        for writer in writers {
            writes.extend(runtime.block_on(writer).unwrap_or_default());
        }
        let start = Instant::now();
        cluster.start_server();
        let (problems, objects) =
            runtime.block_on(load::check(&credentials, &ledger, Duration::from_secs(60)));
        starts.push(start.elapsed());
        assert!(problems.is_empty(), "round {round}: {problems:#?}");
        println!(
            "round {round}: killed after {moment} ms; {}; {objects} objects as they should be",
            ledger.lock().summary()
        );
        cluster.wait_ready();
    }
    assert_eq!(
        before,
        containers(&cluster),
        "a killed server touched containers"
    );
    println!(
        "soak: kill -9: {rounds} rounds in {:.0} s, {}, none lost, none undone; a write {}; start to the whole list {}; \
         no container restarted",
        started.elapsed().as_secs_f64(),
        ledger.lock().summary(),
        spread(writes),
        spread(starts),
    );
}
