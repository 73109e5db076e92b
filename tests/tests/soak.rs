//! What takes longer than a test may: `cargo xtask soak`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use minicloud_tests::Cluster;
use minicloud_tests::api::Credentials;
use serde_json::json;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const CLIENTS: usize = 16;

/// How often the server is killed; `MINICLOUD_SOAK_ROUNDS` sets another number.
fn rounds() -> usize {
    std::env::var("MINICLOUD_SOAK_ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok())
        .unwrap_or(30)
}

/// Kill -9 loses nothing that the kernel has; that a commit is flushed to the disk is not shown by this.
#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn every_acknowledged_write_survives_kill_9() {
    let mut cluster = Cluster::start();
    cluster.netns().enter().unwrap_or_else(|e| panic!("{e:#}"));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|e| panic!("{e}"));
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 0..rounds() {
        let credentials =
            Credentials::read(&cluster.kubeconfig()).unwrap_or_else(|e| panic!("{e:#}"));
        let writers: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (credentials, acknowledged) = (credentials.clone(), acknowledged.clone());
                runtime.spawn(write(credentials, round, client, acknowledged))
            })
            .collect();
        // Another moment each time, from the first writes on.
        std::thread::sleep(Duration::from_millis(300 + (round as u64 * 137) % 1200));
        cluster.kill_server();
        for writer in writers {
            let _ = runtime.block_on(writer);
        }
        cluster.start_server();
        cluster.wait_ready();
        let missing = runtime.block_on(check(&credentials, &acknowledged));
        let total = acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        assert!(
            missing.is_empty(),
            "round {round}: lost or changed: {missing:?}"
        );
        println!("round {round}: {total} acknowledged writes, all there");
    }
}

/// Creates objects until the connection breaks.
async fn write(
    credentials: Credentials,
    round: usize,
    client: usize,
    acknowledged: Arc<Mutex<BTreeMap<String, String>>>,
) {
    let Ok(mut connection) = credentials.connect().await else {
        return;
    };
    for number in 0_u32.. {
        let name = format!("r{round}-c{client}-{number}");
        let value = format!("{name}-value");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}});
        match connection
            .request(Method::POST, CONFIG_MAPS, object.to_string().into())
            .await
        {
            Ok((StatusCode::CREATED, _)) => {
                let mut all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(name, value);
            }
            Ok((status, _)) => eprintln!("{name}: {status}"),
            Err(_) => return,
        }
    }
}

/// The acknowledged writes that are not there as they were.
async fn check(
    credentials: &Credentials,
    acknowledged: &Mutex<BTreeMap<String, String>>,
) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let list = loop {
        let attempt = async {
            let mut connection = credentials.connect().await?;
            connection.ok(Method::GET, CONFIG_MAPS, Bytes::new()).await
        };
        match attempt.await {
            Ok(list) => break list,
            Err(error) if Instant::now() > deadline => panic!("no list: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap_or_default();
    let there: BTreeMap<&str, &str> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|o| Some((o["metadata"]["name"].as_str()?, o["data"]["v"].as_str()?)))
        .collect();
    let all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter()
        .filter(|(name, value)| there.get(name.as_str()) != Some(&value.as_str()))
        .map(|(name, _)| name.clone())
        .collect()
}
