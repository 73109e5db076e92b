//! The web console at `/console/`, and a way to the Kubernetes API for it at `/kubernetes/`.
//!
//! The console is files: what it shows, the browser asks for with the caller's own token. So this part has no rights of its own
//! and decides nothing: [`files`] hands out what `cargo xtask console` built, [`proxy`] passes requests on to the Kubernetes API,
//! which decides who may do what. The user interface is in `console/ui`.

mod embedding;
mod files;
mod proxy;

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::{any, get};
use minicloud_api::part::{Need, Part};
use serde_json::json;

pub use embedding::{BadOrigin, Origin};

/// The part. `nobody` is a client of the Kubernetes API that has no credentials of its own: it sends what a request brings.
/// The pages of `embedders` may show the console in a frame; nobody else's may.
pub fn part(nobody: kube::Client, embedders: &[Origin]) -> Part {
    let policy = embedding::policy(embedders);
    let files = get(move |request| files::answer(files::BUILT, policy.clone(), request));
    Part {
        name: "console",
        routes: Router::new()
            // Who types the machine's address into a browser means this.
            .route("/", get(async || Redirect::temporary("/console/")))
            .route("/console", get(async || Redirect::permanent("/console/")))
            .route("/console/", files.clone())
            .route("/console/{*path}", files)
            .route(
                "/kubernetes/{*path}",
                any(proxy::answer).with_state(proxy::Proxy::new(nobody)),
            ),
        permit: Arc::new(|head| need(head.uri.path())),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

/// The console's files tell nothing about the site; what they ask needs the caller's credentials.
fn need(path: &str) -> Need {
    if path.starts_with("/kubernetes/") {
        Need::Credentials
    } else {
        Need::Nothing
    }
}

fn openapi() -> serde_json::Value {
    let path = json!([{
        "name": "path", "in": "path", "required": true, "schema": { "type": "string" },
        "description": "A path of the Kubernetes API, such as api/v1/nodes",
    }]);
    let answers = json!({ "default": { "description": "The Kubernetes API's own answer, errors too; a watch is a stream" } });
    let mut kubernetes = json!({ "parameters": path });
    for (method, id) in [
        ("get", "getKubernetes"),
        ("post", "postKubernetes"),
        ("put", "putKubernetes"),
        ("patch", "patchKubernetes"),
        ("delete", "deleteKubernetes"),
    ] {
        kubernetes[method] = json!({
            "operationId": id,
            "summary": "The Kubernetes API, for programs in a browser",
            "description": "Passes the caller's bearer token on; the Kubernetes API decides. Other programs use port 6443.",
            "responses": answers,
        });
    }
    json!({
        "paths": {
            "/console/": { "get": {
                "operationId": "getConsole",
                "summary": "The web console",
                "description": "Needs no credentials: its user signs in with a token.",
                "responses": { "200": { "description": "A page", "content": { "text/html": {} } } },
            } },
            "/kubernetes/{path}": kubernetes,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_need_nothing() {
        for (path, expected) in [
            ("/", Need::Nothing),
            ("/console/nodes/edge-1", Need::Nothing),
            ("/kubernetes/api/v1/nodes", Need::Credentials),
            ("/kubernetes/../console/", Need::Credentials),
        ] {
            assert_eq!(need(path), expected, "{path}");
        }
    }
}
