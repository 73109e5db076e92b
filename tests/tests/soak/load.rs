//! Writers that create, change and delete objects until their server is gone, and the look at what is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::{Method, StatusCode};
use minicloud_tests::api::{Connection, Credentials};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::ledger::{Ledger, Version};

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Objects that one writer has; it comes back to each often.
const SLOTS: u64 = 100;

/// A ledger that writers share.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that it is enough.
#[derive(Debug, Clone, Default)]
pub struct Enough(Arc<AtomicBool>);

impl Enough {
    pub fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Writes until the connection breaks or it is enough; returns how long each acknowledged write took.
pub async fn write(
    credentials: Credentials,
    ledger: Shared,
    writer: u64,
    mut dice: Dice,
    enough: Enough,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let Ok(mut connection) = credentials.connect().await else {
        return times;
    };
    while !enough.is_said() {
        let name = format!("soak-{writer}-{}", dice.below(SLOTS));
        let Ok(before) = ledger.lock().version(&name) else {
            continue;
        };
        let started = Instant::now();
        match one_write(&mut connection, &ledger, &name, before, &mut dice).await {
            Ok(()) => times.push(started.elapsed()),
            Err(_) => return times,
        }
    }
    times
}

fn object(name: &str, value: u64, revision: Option<u64>) -> Value {
    // Of varying size, so that pages of the database split and merge.
    let filling = "x".repeat(usize::try_from(value % 2048).unwrap_or_default());
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value.to_string(), "filling": filling}});
    if let Some(revision) = revision {
        object["metadata"]["resourceVersion"] = revision.to_string().into();
    }
    object
}

/// Fails when nobody can know whether the write was carried out.
async fn one_write(
    connection: &mut Connection,
    ledger: &Shared,
    name: &str,
    before: Option<Version>,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    // Recognisable, never the same twice.
    let value = dice.roll() >> 16;
    let path = format!("{CONFIG_MAPS}/{name}");
    let (method, path, body, outcome) = match before {
        None => (
            Method::POST,
            CONFIG_MAPS,
            object(name, value, None),
            Some(value),
        ),
        Some(_) if dice.percent(25) => (Method::DELETE, path.as_str(), Value::Null, None),
        Some(_) if dice.percent(50) => (
            Method::PATCH,
            path.as_str(),
            object(name, value, None),
            Some(value),
        ),
        // Compare and swap: refused if the server remembers another revision.
        Some(v) => (
            Method::PUT,
            path.as_str(),
            object(name, value, Some(v.revision)),
            Some(value),
        ),
    };
    ledger.lock().begin(name, outcome);
    let body = if body.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(&body)?
    };
    let (status, answer) = connection
        .request(method.clone(), path, body.into())
        .await?;
    let text = || {
        format!(
            "{method} {path}: {status} {:.300}",
            String::from_utf8_lossy(&answer)
        )
    };
    match status {
        status if status.is_success() => {
            let revision = if outcome.is_some() {
                let answer: Value = serde_json::from_slice(&answer)?;
                Some(revision(&answer).with_context(text)?)
            } else {
                None
            };
            ledger.lock().acknowledge(name, revision);
            Ok(())
        }
        // What is overloaded or about to end may have done it or not; the connection is of no more use.
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            anyhow::bail!(text())
        }
        _ => {
            ledger.lock().refused(name, &text());
            anyhow::bail!(text())
        }
    }
}

fn revision(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// Compares what is there with the ledger; returns what is wrong and how many objects there are.
///
/// # Panics
/// When the server gives no list in time.
pub async fn check(
    credentials: &Credentials,
    ledger: &Shared,
    patience: Duration,
) -> (Vec<String>, usize) {
    let deadline = Instant::now() + patience;
    let list = loop {
        let attempt = async { credentials.connect().await?.get(CONFIG_MAPS).await };
        // A port that is forwarded accepts also while nobody is behind it.
        let attempt = tokio::time::timeout(Duration::from_secs(10), attempt);
        match attempt.await.unwrap_or_else(|late| Err(late.into())) {
            Ok(list) => break list,
            Err(error) if Instant::now() > deadline => panic!("no list: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let version = |o: &Value| {
        let value = o["data"]["value"].as_str()?.parse().ok()?;
        Some(Version {
            value,
            revision: revision(o)?,
        })
    };
    let found: BTreeMap<String, Version> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|o| Some((o["metadata"]["name"].as_str()?.to_owned(), o)))
        .filter(|(name, _)| name.starts_with("soak-"))
        .map(|(name, o)| {
            let version = version(o).unwrap_or_else(|| panic!("{name} is damaged: {o}"));
            (name, version)
        })
        .collect();
    let problems = ledger
        .lock()
        .settle(&found, revision(&list).unwrap_or_default());
    (problems, found.len())
}
