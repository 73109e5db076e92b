//! The client against a server on loopback that tells what it was asked. Real answers of Prometheus are read in the tests of
//! `monitoring/prometheus`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use minicloud_prometheus_client::{Endpoint, Prometheus, QueryError};

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let authorization = headers.get("authorization").map(|v| v.to_str().unwrap());
    let told = format!("{method} {uri} {authorization:?} {body}");
    let error = serde_json::json!({ "status": "error", "errorType": "told", "error": told });
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

async fn server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/under", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    url
}

fn client(url: &str, token_file: Option<std::path::PathBuf>) -> Prometheus {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    Prometheus::new(Endpoint {
        url: url.parse().unwrap(),
        tls: Arc::new(tls),
        token_file,
    })
}

fn refused(error: QueryError) -> String {
    match error {
        QueryError::Refused {
            status, message, ..
        } => {
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            message
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn queries_go_below_the_url_with_our_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let url = server().await;
    let prometheus = client(&url, Some(token.clone()));
    assert_eq!(
        refused(prometheus.query("up{a=\"b c\"} & 1").await.unwrap_err()),
        r#"POST /under/api/v1/query Some("Bearer secret") query=up%7Ba%3D%22b+c%22%7D+%26+1"#
    );
    assert_eq!(
        refused(
            prometheus
                .query_range("up", (1.5, 31.0), 15.0)
                .await
                .unwrap_err()
        ),
        r#"POST /under/api/v1/query_range Some("Bearer secret") query=up&start=1.5&end=31&step=15"#
    );
    // The token is read anew, and the caller's is never passed on.
    std::fs::write(&token, "renewed").unwrap();
    let request = Request::get("/api/v1/labels?a=b")
        .header("authorization", "Bearer caller")
        .body(Body::empty())
        .unwrap();
    let answer = prometheus.forward(request).await.unwrap();
    let body = to_bytes(answer.into_body(), 1000).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(
        text.contains(r#"GET /under/api/v1/labels?a=b Some(\"Bearer renewed\")"#),
        "{text}"
    );
    std::fs::remove_file(&token).unwrap();
    let error = prometheus.query("up").await.unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn away_says_why() {
    let error = Prometheus::away("switched off")
        .query("up")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Prometheus is away: switched off");
    // Nobody listens there.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url, None).query("up").await.unwrap_err();
    assert!(matches!(error, QueryError::Away(_)));
    assert!(error.to_string().contains("Connection refused"), "{error}");
}
