//! An API server of a few hundred lines: list, watch, get, create, patch, replace, delete, tokens; and it can be cut off.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::bench::LONGEST;

/// Group and version, resource, namespace, name.
type Key = (String, String, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    revision: u64,
    /// What happened, by revision.
    log: Vec<(u64, &'static str, Key, Value)>,
}

pub struct Api {
    state: Arc<Mutex<State>>,
    moved: watch::Sender<u64>,
    up: watch::Sender<bool>,
    /// Every request, `VERB path`.
    pub requests: Mutex<Vec<String>>,
}

type Answer = http::Response<axum::body::Body>;

fn answer(code: u16, value: &Value) -> Answer {
    let body = axum::body::Body::from(serde_json::to_vec(value).expect("serializes"));
    http::Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body)
        .expect("an answer")
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let value = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "message": message,
        "code": code});
    answer(code, &value)
}

impl Api {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Arc::default(),
            moved: watch::channel(0).0,
            up: watch::channel(true).0,
            requests: Mutex::default(),
        })
    }

    /// A client as the agent gets it.
    pub fn client(self: &Arc<Self>) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let api = api.clone();
            async move { api.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// Cuts the server off, or brings it back.
    pub fn set_up(&self, up: bool) {
        self.up.send_replace(up);
    }

    async fn serve(&self, request: http::Request<Body>) -> Result<Answer, std::io::Error> {
        let cut = || std::io::Error::other("connection refused");
        if !*self.up.borrow() {
            return Err(cut());
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| cut())?.to_bytes();
        let path = head.uri.path().to_owned();
        self.requests
            .lock()
            .expect("a lock")
            .push(format!("{} {path}", head.method));
        let query: BTreeMap<String, String> = head
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.replace("%3D", "=")))
            .collect();
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let group: Vec<&str> = parts
            .drain(..if parts[0] == "api" { 2 } else { 3 })
            .collect();
        let namespace = if parts.len() > 2 && parts[0] == "namespaces" {
            let namespace = parts[1].to_owned();
            parts.drain(..2);
            namespace
        } else {
            String::new()
        };
        let group = group.join("/");
        let resource = parts[0].to_owned();
        let name = parts.get(1).map(|n| (*n).to_owned());
        let sub = parts.get(2).copied().unwrap_or_default();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let key = |name: &str| {
            (
                group.clone(),
                resource.clone(),
                namespace.clone(),
                name.to_owned(),
            )
        };
        Ok(match (head.method.as_str(), name, sub) {
            ("GET", None, _) if query.get("watch").is_some_and(|w| w == "true" || w == "1") => {
                self.watch(&group, &resource, &namespace, &query)
            }
            ("GET", None, _) => self.list(&group, &resource, &namespace, &query),
            ("GET", Some(name), _) => match self.get(&key(&name)) {
                Some(found) => answer(200, &found),
                None => status(404, "NotFound", &format!("{resource} \"{name}\" not found")),
            },
            ("POST", Some(_), "token") => {
                let expires = jiff::Timestamp::now() + Duration::from_secs(3600);
                answer(
                    201,
                    &json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": value["spec"],
                        "status": {"token": "a-token", "expirationTimestamp": expires}}),
                )
            }
            ("POST", None, _) => {
                let name = value["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                match self.get(&key(&name)) {
                    Some(_) => status(409, "AlreadyExists", "exists"),
                    None => answer(201, &self.put(key(&name), value)),
                }
            }
            ("PUT", Some(name), _) => answer(200, &self.put(key(&name), value)),
            ("PATCH", Some(name), _) => match self.get(&key(&name)) {
                None => status(404, "NotFound", "not found"),
                Some(found)
                    if value["metadata"]["uid"].is_string()
                        && value["metadata"]["uid"] != found["metadata"]["uid"] =>
                {
                    status(409, "Conflict", "another uid")
                }
                Some(mut found) => {
                    merge(&mut found, &value);
                    answer(200, &self.put(key(&name), found))
                }
            },
            ("DELETE", Some(name), _) => match self.get(&key(&name)) {
                None => status(404, "NotFound", "not found"),
                Some(found)
                    if value["preconditions"]["uid"].is_string()
                        && value["preconditions"]["uid"] != found["metadata"]["uid"] =>
                {
                    status(409, "Conflict", "another uid")
                }
                Some(found) if value["gracePeriodSeconds"] == 0 => {
                    self.remove(&key(&name));
                    answer(200, &found)
                }
                Some(mut found) => {
                    let grace = value["gracePeriodSeconds"].as_i64().unwrap_or(30);
                    found["metadata"]["deletionTimestamp"] = json!(jiff::Timestamp::now());
                    found["metadata"]["deletionGracePeriodSeconds"] = grace.into();
                    answer(200, &self.put(key(&name), found))
                }
            },
            _ => status(405, "MethodNotAllowed", "no"),
        })
    }

    fn get(&self, key: &Key) -> Option<Value> {
        self.state.lock().expect("a lock").objects.get(key).cloned()
    }

    fn put(&self, key: Key, mut value: Value) -> Value {
        let mut state = self.state.lock().expect("a lock");
        let old = state.objects.get(&key).cloned();
        let mut same = value.clone();
        same["metadata"]["resourceVersion"] = old
            .as_ref()
            .map_or(Value::Null, |o| o["metadata"]["resourceVersion"].clone());
        if old.as_ref() == Some(&same) {
            return same;
        }
        state.revision += 1;
        let meta = &mut value["metadata"];
        meta["resourceVersion"] = state.revision.to_string().into();
        if meta["uid"].is_null() {
            meta["uid"] = format!("uid-{}", state.revision).into();
        }
        if !key.2.is_empty() {
            meta["namespace"] = key.2.clone().into();
        }
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let revision = state.revision;
        state.log.push((revision, kind, key.clone(), value.clone()));
        state.objects.insert(key, value.clone());
        self.moved.send_replace(revision);
        value
    }

    fn remove(&self, key: &Key) {
        let mut state = self.state.lock().expect("a lock");
        let Some(mut value) = state.objects.remove(key) else {
            return;
        };
        state.revision += 1;
        let revision = state.revision;
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        state.log.push((revision, "DELETED", key.clone(), value));
        self.moved.send_replace(revision);
    }

    fn list(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        query: &BTreeMap<String, String>,
    ) -> Answer {
        let state = self.state.lock().expect("a lock");
        let items: Vec<&Value> = state
            .objects
            .iter()
            .filter(|(k, v)| fits(k, v, group, resource, namespace, query))
            .map(|(_, v)| v)
            .collect();
        answer(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": state.revision.to_string()}, "items": items}),
        )
    }

    fn watch(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        query: &BTreeMap<String, String>,
    ) -> Answer {
        let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(16);
        let (mut moved, mut up) = (self.moved.subscribe(), self.up.subscribe());
        let from: u64 = query
            .get("resourceVersion")
            .and_then(|v| v.parse().ok())
            .unwrap_or(0);
        let (group, resource, namespace, query) = (
            group.to_owned(),
            resource.to_owned(),
            namespace.to_owned(),
            query.clone(),
        );
        let state = self.state.clone();
        let log = move |seen: u64| -> Vec<(u64, &'static str, Key, Value)> {
            let state = state.lock().expect("a lock");
            let fresh = state.log.iter().filter(|(revision, ..)| *revision > seen);
            fresh.cloned().collect()
        };
        tokio::spawn(async move {
            let mut seen = from;
            loop {
                for (revision, kind, key, value) in log(seen) {
                    seen = revision;
                    if fits(&key, &value, &group, &resource, &namespace, &query) {
                        let mut line = serde_json::to_vec(&json!({"type": kind, "object": value}))
                            .expect("serializes");
                        line.push(b'\n');
                        if sender.send(Ok(line.into())).await.is_err() {
                            return;
                        }
                    }
                }
                tokio::select! {
                    _ = moved.wait_for(|r| *r > seen) => {}
                    _ = up.wait_for(|up| !up) => return,
                    () = sender.closed() => return,
                }
            }
        });
        let stream = futures::stream::unfold(receiver, |mut r| async move {
            r.recv().await.map(|item| (item, r))
        })
        .boxed();
        http::Response::new(axum::body::Body::from_stream(stream))
    }
}

/// Whether an object belongs to a list.
fn fits(
    key: &Key,
    value: &Value,
    group: &str,
    resource: &str,
    namespace: &str,
    query: &BTreeMap<String, String>,
) -> bool {
    let selected = match query.get("fieldSelector").and_then(|f| f.split_once('=')) {
        Some(("metadata.name", name)) => value["metadata"]["name"] == name,
        Some(("spec.nodeName", node)) => value["spec"]["nodeName"] == node,
        _ => true,
    };
    key.0 == group && key.1 == resource && (namespace.is_empty() || key.2 == namespace) && selected
}

/// A merge patch; lists of conditions merge by type, directives are left out.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge(target.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) => {
            let typed = patch.first().is_some_and(|p| p["type"].is_string());
            if !typed {
                target.clear();
            }
            for item in patch.iter().filter(|p| p["$patch"].is_null()) {
                let mut fresh = json!({});
                merge(&mut fresh, item);
                match target
                    .iter_mut()
                    .find(|t| typed && t["type"] == item["type"])
                {
                    Some(old) => *old = fresh,
                    None => target.push(fresh),
                }
            }
        }
        (target, Value::Object(_)) => {
            *target = json!({});
            merge(target, patch);
        }
        (target, Value::Array(_)) => {
            *target = json!([]);
            merge(target, patch);
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// What tests do to objects.
impl Api {
    fn core(resource: &str, name: &str) -> Key {
        let namespace = if resource == "nodes" { "" } else { "n" };
        (
            "api/v1".into(),
            resource.into(),
            namespace.into(),
            name.into(),
        )
    }

    /// Makes or replaces an object of namespace `n`.
    pub fn set(&self, resource: &str, name: &str, mut value: Value) {
        value["metadata"]["name"] = name.into();
        self.put(Self::core(resource, name), value);
    }

    /// A pod that the scheduler has given to the node.
    pub fn set_pod(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = "node-1".into();
        for field in ["containers", "initContainers"] {
            for container in spec[field].as_array_mut().into_iter().flatten() {
                if container["image"].is_null() {
                    container["image"] = "img:1".into();
                }
            }
        }
        let meta = json!({"uid": format!("u-{name}"), "generation": 1, "creationTimestamp": jiff::Timestamp::now()});
        self.set(
            "pods",
            name,
            json!({"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}),
        );
    }

    /// An object of namespace `n`; null when there is none.
    pub fn read(&self, resource: &str, name: &str) -> Value {
        self.get(&Self::core(resource, name)).unwrap_or(Value::Null)
    }

    /// Asks for a pod's deletion, as kubectl does.
    pub fn delete_pod(&self, name: &str, grace: i64) {
        let mut pod = self.read("pods", name);
        pod["metadata"]["deletionTimestamp"] = json!(jiff::Timestamp::now());
        pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        self.put(Self::core("pods", name), pod);
    }

    /// Waits until a pod's object passes `test`; gives the object.
    pub async fn until_pod(&self, name: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let until = tokio::time::Instant::now() + LONGEST;
        while tokio::time::Instant::now() < until {
            last = self.read("pods", name);
            if test(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "pod {name} never: {what}; events {:?}; {last:#}",
            self.events(name)
        );
    }

    /// Takes an object away at once.
    pub fn drop_object(&self, resource: &str, name: &str) {
        self.remove(&Self::core(resource, name));
    }

    /// Reasons of all events about a pod, in order.
    pub fn events(&self, pod: &str) -> Vec<String> {
        let state = self.state.lock().expect("a lock");
        let mut found: Vec<(u64, String)> = state
            .log
            .iter()
            .filter(|(_, kind, key, value)| {
                *kind == "ADDED" && key.1 == "events" && value["involvedObject"]["name"] == pod
            })
            .map(|(r, _, _, v)| (*r, v["reason"].as_str().unwrap_or_default().to_owned()))
            .collect();
        found.sort();
        found.into_iter().map(|(_, reason)| reason).collect()
    }
}
