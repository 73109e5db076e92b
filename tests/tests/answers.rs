//! The monitoring API on port 3000: who may ask, what is wrong with a question, and what is told of nodes, pods and namespaces.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use minicloud_tests::api::Credentials;
use minicloud_tests::programs::output;
use minicloud_tests::walk::timed;
use minicloud_tests::{Cluster, eventually};
use serde_json::Value;

#[test]
fn programs_get_answers() {
    let c = Cluster::start();
    c.netns().enter().unwrap_or_else(|e| panic!("{e:#}"));
    let asker = Asker::new(&c).unwrap_or_else(|e| panic!("{e:#}"));
    let walk = |what: &str, part: &dyn Fn(&Cluster, &Asker) -> anyhow::Result<()>| {
        timed(what, || {
            part(&c, &asker).unwrap_or_else(|e| panic!("{what}: {e:#}"))
        });
    };
    walk("who may", &who_may);
    walk("questions", &questions);
    walk("objects", &objects);
    walk("impact", &impact);
}

/// The administrator, who asks port 3000.
struct Asker {
    runtime: tokio::runtime::Runtime,
    on_3000: Credentials,
}

impl Asker {
    fn new(c: &Cluster) -> anyhow::Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Runtime::new()?,
            on_3000: Credentials::read(&c.kubeconfig())?.at(([127, 0, 0, 1], 3000).into()),
        })
    }

    /// Status and body.
    fn ask(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        self.runtime.block_on(async {
            let mut connection = self.on_3000.connect().await?;
            let (status, body) = connection
                .request(Method::GET, path, Default::default())
                .await?;
            let body = serde_json::from_slice(&body)
                .with_context(|| format!("{path}: {}", String::from_utf8_lossy(&body)))?;
            Ok((status.as_u16(), body))
        })
    }

    fn ok(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.ask(path)?;
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(body)
    }
}

/// Who may list pods of one namespace may ask about that one and nothing else.
fn who_may(c: &Cluster, _: &Asker) -> anyhow::Result<()> {
    c.k("create namespace shop");
    c.k("create serviceaccount asker");
    c.k("-n shop create role see-pods --verb=list --resource=pods");
    c.k("-n shop create rolebinding asker --role=see-pods --serviceaccount=default:asker");
    let token = c.k("create token asker").trim().to_owned();
    let code = |path: &str| -> anyhow::Result<String> {
        let mut curl = c.command("curl");
        curl.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H"])
            .arg(format!("Authorization: Bearer {token}"))
            .arg(format!("https://127.0.0.1:3000{path}"));
        Ok(String::from_utf8_lossy(&output(&mut curl)?.stdout).into_owned())
    };
    eventually("the right is given", Duration::from_secs(15), || {
        let code = code("/v1/pods?namespace=shop")?;
        ensure!(code == "200", "{code}");
        Ok(())
    });
    for path in [
        "/v1/pods",
        "/v1/pods?namespace=default",
        "/v1/pods?namespace=no-such",
        "/v1/nodes",
        "/v1/nodes/edge-1",
        "/v1/nodes/edge%2d1",
        "/v1/namespaces",
        "/v1/impact",
        "/v1/impact?node=edge-1",
        "/v1/impact?pod=default/web-0",
        "/monitoring?metric=physical_metrics",
        "/monitoring?namespace=all",
        "/monitoring?metric=virtual_metrics&namespace=default",
    ] {
        let code = code(path)?;
        ensure!(code == "403", "{path}: {code}");
    }
    // What is wrong with a question is said to whoever asks.
    ensure!(code("/monitoring?metric=none")? == "400");
    Ok(())
}

/// What cannot be answered says what can.
fn questions(_: &Cluster, asker: &Asker) -> anyhow::Result<()> {
    for (path, code, said) in [
        ("/monitoring", 400, "metric=physical_metrics"),
        ("/monitoring?metric=cpu", 400, "metric=physical_metrics"),
        ("/monitoring?metric=virtual_metrics", 400, "namespace=NAME"),
        (
            "/monitoring?metric=virtual_metrics&namespace=no-such",
            404,
            "kube-system",
        ),
        (
            "/monitoring?metric=virtual_metrics&namespace=..%2F..%2Fnodes",
            404,
            "kube-system",
        ),
        ("/v1/pods?namespace=no-such", 404, "kube-system"),
        ("/v1/pods?namespace=..%2F..%2Fnodes", 404, "kube-system"),
        ("/v1/pods?limit=0", 400, "from 1 to 1000"),
        ("/v1/pods?continue=nonsense", 400, "without continue"),
        ("/v1/nodes/no-such", 404, "edge-1"),
        ("/v1/impact?node=no-such", 404, "edge-1"),
        ("/v1/impact?pod=web-0", 400, "pod=NAMESPACE/NAME"),
        ("/v1/impact?pod=default/no-such", 404, "get pods"),
    ] {
        let (status, problem) = asker.ask(path)?;
        ensure!(status == code, "{path}: {status} {problem}");
        let hint = problem["hint"].as_str().unwrap_or_default();
        ensure!(hint.contains(said), "{path}: {problem}");
    }
    Ok(())
}

/// Nodes, pods and namespaces as the Kubernetes API has them, with what their hardware is.
fn objects(c: &Cluster, asker: &Asker) -> anyhow::Result<()> {
    eventually("the device", Duration::from_secs(20), || {
        c.try_k("get device edge-1 -o jsonpath='{.status.memoryBytes}'")
    });
    let node = &asker.ok("/v1/nodes")?["nodes"][0];
    ensure!(node["name"] == "edge-1" && node["ready"] == true, "{node}");
    ensure!(node["internal_ip"] == "10.99.0.1", "{node}");
    ensure!(
        node["hardware"]["memory_bytes"].as_u64() > Some(1 << 20),
        "{node}"
    );
    ensure!(node["capacity"]["pods"] == 110.0, "{node}");
    ensure!(
        node["measurements"].is_object() || node["measurements_missing"].is_string(),
        "{node}"
    );
    let one = asker.ok("/v1/nodes/edge-1")?;
    ensure!(one["node"]["name"] == "edge-1", "{one}");

    // Pods without an image are pods all the same.
    for n in 0..3 {
        c.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-{n}, namespace: shop}}\nspec:\n  containers:\n  - name: a\n    \
             image: localhost/none:1\n    imagePullPolicy: Never\n    resources: {{requests: {{cpu: 100m, memory: 8Mi}}}}\n"
        ));
    }
    let mut names = Vec::new();
    let mut path = "/v1/pods?namespace=shop&limit=2".to_owned();
    for _ in 0..3 {
        let page = asker.ok(&path)?;
        for pod in page["pods"].as_array().context("pods")? {
            ensure!(pod["workload"]["kind"] == "Pod", "{pod}");
            ensure!(pod["requests"]["cpu_cores"] == 0.1, "{pod}");
            names.push(pod["name"].as_str().unwrap_or_default().to_owned());
        }
        let Some(next) = page["continue"].as_str() else {
            break;
        };
        path = format!("/v1/pods?namespace=shop&limit=2&continue={next}");
    }
    ensure!(names == ["web-0", "web-1", "web-2"], "{names:?}");
    let namespaces = asker.ok("/v1/namespaces")?;
    let shop = namespaces["namespaces"]
        .as_array()
        .context("namespaces")?
        .iter();
    let shop = shop.clone().find(|n| n["name"] == "shop").context("shop")?;
    ensure!(shop["pods"]["total"] == 3, "{shop}");
    let cores = shop["requested"]["cpu_cores"].as_f64().context("cores")?;
    ensure!((cores - 0.3).abs() < 1e-9, "{shop}");
    let (_, document) = asker.ask("/openapi.json")?;
    for path in [
        "/monitoring",
        "/v1/nodes",
        "/v1/nodes/{name}",
        "/v1/pods",
        "/v1/namespaces",
    ] {
        ensure!(
            document["paths"][path].is_object(),
            "{path} is not described"
        );
    }
    Ok(())
}

/// A node that went silent touches what is on it, and nothing else.
fn impact(c: &Cluster, asker: &Asker) -> anyhow::Result<()> {
    c.apply("apiVersion: v1\nkind: Node\nmetadata: {name: edge-2}\n");
    c.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: stranded, namespace: shop}\nspec:\n  nodeName: edge-2\n  containers:\n  - \
         name: a\n    image: localhost/none:1\n    imagePullPolicy: Never\n",
    );
    let silent = |answer: &Value| {
        let problems = answer["problems"].as_array().cloned().unwrap_or_default();
        let found = problems
            .into_iter()
            .find(|p| p["kind"] == "silent_node" && p["node"] == "edge-2");
        found.with_context(|| format!("no silent node: {answer}"))
    };
    let problem = silent(&asker.ok("/v1/impact")?)?;
    ensure!(problem["severity"] == "critical", "{problem}");
    ensure!(problem["affected"][0]["name"] == "stranded", "{problem}");
    ensure!(problem["affected"][1].is_null(), "{problem}");
    ensure!(problem["evidence"][0]["metric"].is_string(), "{problem}");
    silent(&asker.ok("/v1/impact?node=edge-2")?)?;
    silent(&asker.ok("/v1/impact?pod=shop/stranded")?)?;
    for path in ["/v1/impact?node=edge-1", "/v1/impact?pod=shop/web-0"] {
        let answer = asker.ok(path)?;
        ensure!(silent(&answer).is_err(), "{path}: {answer}");
    }
    Ok(())
}
