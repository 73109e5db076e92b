//! What the server says that it serves.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Server, call, send};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition of `widgets` in a group, stored as `v1` and served as `v2` too.
fn definition(group: &str) -> Value {
    let version = |name: &str| json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": {"type": "object"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1"), version("v2")],
        },
    })
}

const VERBS_ALL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const VERBS_OF_STATUS: &[&str] = &["get", "patch", "update"];

fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

/// A resource of aggregated discovery as `docs/compatibility.md` writes it.
fn row(group_version: &str, resource: &Value) -> String {
    let verbs = match words(&resource["verbs"]) {
        all if all == VERBS_ALL => "all".to_owned(),
        some => some.join(", "),
    };
    // Subresources with the same verbs stand together.
    let mut subresources: Vec<(Vec<&str>, String)> = Vec::new();
    for subresource in resource["subresources"].as_array().into_iter().flatten() {
        let name = subresource["subresource"].as_str().unwrap();
        let verbs = words(&subresource["verbs"]);
        match subresources.iter_mut().find(|(of, _)| *of == verbs) {
            Some((_, names)) => names.push_str(&format!(" {name}")),
            None => subresources.push((verbs, name.to_owned())),
        }
    }
    let subresources: Vec<String> = subresources
        .into_iter()
        .map(|(verbs, names)| match verbs {
            usual if usual == VERBS_OF_STATUS => names,
            verbs => format!("{names} ({})", verbs.join(" ")),
        })
        .collect();
    let cells = [
        group_version.to_owned(),
        resource["resource"].as_str().unwrap().to_owned(),
        words(&resource["shortNames"]).join(", "),
        verbs,
        subresources.join(", "),
    ];
    // An empty cell is one space, as Markdown's formatters have it.
    let cells = cells.map(|cell| {
        if cell.is_empty() {
            cell
        } else {
            format!(" {cell}")
        }
    });
    format!("|{} |", cells.join(" |"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_what_is_served_is_true() {
    let server = Server::start().await;
    let c = server.admin().await;
    let mut served = BTreeSet::new();
    for path in ["/api", "/apis"] {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let (_, _, body) = send(&c, Method::GET, path, &[("accept", accept)], "").await;
        let groups: Value = serde_json::from_str(&body).unwrap();
        for group in groups["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                let name = version["version"].as_str().unwrap();
                let group_version = match group["metadata"]["name"].as_str() {
                    None => name.to_owned(),
                    Some(group) => format!("{group}/{name}"),
                };
                for resource in version["resources"].as_array().unwrap() {
                    served.insert(row(&group_version, resource));
                }
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<String> = text
        .lines()
        .skip_while(|line| !line.starts_with("| group/version |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = served.difference(&documented).collect();
    let wrong: Vec<_> = documented.difference(&served).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/compatibility.md, first table: to be added {missing:#?}, to be removed {wrong:#?}"
    );
    assert!(served.len() > 20, "{served:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_the_storage_version_is_that_of_kubernetes() {
    let server = Server::start().await;
    let c = server.admin().await;
    let (code, made) = call(&c, Method::POST, CRDS, &definition("example.org")).await;
    assert_eq!(code, 201, "{made}");
    // The values of Kubernetes' own are those that clusters answer; that of `example.org/v1/Widget` is by the same formula.
    for (path, resource, hash) in [
        ("/api/v1", "pods", Some("xPOwRZ+Yhw8=")),
        ("/api/v1", "pods/status", None),
        ("/api/v1", "configmaps", Some("qFsyl6wFWjQ=")),
        ("/api/v1", "events", Some("r2yiGXH7wu8=")),
        ("/apis/events.k8s.io/v1", "events", Some("r2yiGXH7wu8=")),
        ("/apis/apps/v1", "deployments", Some("8aSe+NMegvE=")),
        ("/apis/authentication.k8s.io/v1", "tokenreviews", None),
        ("/apis/example.org/v1", "widgets", Some("UBpgYKpyMCc=")),
        ("/apis/example.org/v2", "widgets", Some("UBpgYKpyMCc=")),
    ] {
        let (_, list) = call(&c, Method::GET, path, &Value::Null).await;
        let resources = list["resources"].as_array().unwrap();
        let found = resources.iter().find(|r| r["name"] == resource).unwrap();
        assert_eq!(
            found["storageVersionHash"].as_str(),
            hash,
            "{path} {resource}"
        );
    }
    server.stop().await;
}

/// The address of each document in the index, by key.
async fn openapi_index(c: &kube::Client) -> Value {
    let (code, index) = call(c, Method::GET, "/openapi/v3", &Value::Null).await;
    assert_eq!(code, 200, "{index}");
    index["paths"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_changes_the_openapi_of_its_own_group_only() {
    let server = Server::start().await;
    let c = server.admin().await;
    for group in ["a.example.org", "b.example.org"] {
        let (code, made) = call(&c, Method::POST, CRDS, &definition(group)).await;
        assert_eq!(code, 201, "{made}");
    }
    let before = openapi_index(&c).await;
    // The hash of the index is that of the document, which need not have been made for it.
    for key in ["api/v1", "apis/apps/v1", "apis/a.example.org/v1"] {
        let address = before[key]["serverRelativeURL"].as_str().unwrap();
        let (path, hash) = address.split_once("?hash=").unwrap();
        let etag = format!("\"{hash}\"");
        let known = [("if-none-match", etag.as_str())];
        let (code, headers, body) = send(&c, Method::GET, path, &known, "").await;
        assert_eq!((code, body.as_str()), (304, ""));
        assert_eq!(headers["etag"], etag.as_str());
        let (code, headers, body) = send(&c, Method::GET, address, &[], "").await;
        assert_eq!(code, 200);
        assert_eq!(headers["etag"], etag.as_str());
        assert_eq!(headers["cache-control"], "public, immutable");
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["openapi"], "3.0.0");
    }
    let mut changed = definition("a.example.org");
    changed["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["description"] = "New.".into();
    let path = format!("{CRDS}/widgets.a.example.org");
    let change = json!({"spec": changed["spec"]});
    let (code, answer) = call(&c, Method::PATCH, &path, &change).await;
    assert_eq!(code, 200, "{answer}");
    let after = openapi_index(&c).await;
    let differing: Vec<&String> = after
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, address)| before[key.as_str()] != **address)
        .map(|(key, _)| key)
        .collect();
    assert_eq!(differing, ["apis/a.example.org/v2"]);
    let address = after["apis/a.example.org/v2"]["serverRelativeURL"].as_str();
    let (_, _, body) = send(&c, Method::GET, address.unwrap(), &[], "").await;
    assert!(body.contains("\"description\":\"New.\""), "{body}");
    server.stop().await;
}
