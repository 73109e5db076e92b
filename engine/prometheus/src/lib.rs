//! A thin client of Prometheus' HTTP API, or of any server that speaks it: instant and range queries, and passing requests on.
//!
//! The one thing to know: there is always a client, also where there is no Prometheus. Then every call fails with
//! [`QueryError::Away`], which says why, so that who asks needs no second way.
//!
//! API: <https://prometheus.io/docs/prometheus/2.42/querying/api/>.

mod answer;
mod error;
mod promql;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use answer::{Labels, Point, Sample, Series};
pub use error::{CREDENTIALS, QueryError, credentials};
pub use promql::quoted;

/// The largest answer to a query that is read, in bytes.
const MAX_ANSWER: usize = 32 << 20;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a query of our own may take, to the last byte of its answer: clients wait ten seconds, and shall hear why in that time.
const QUERY: Duration = Duration::from_secs(8);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);

/// Where a Prometheus is and how to get in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `http` or `https`; its path is put before the API's.
    pub url: Uri,
    /// Whom to trust and, where the server wants one, the client certificate.
    pub tls: Arc<rustls::ClientConfig>,
    /// A file with a bearer token, read for each request, since such tokens are renewed in place.
    pub token_file: Option<PathBuf>,
}

/// A client; clones share their connections.
#[derive(Debug, Clone)]
pub struct Prometheus {
    /// What there is, or why there is none.
    engine: Result<Arc<There>, Arc<str>>,
}

#[derive(Debug)]
struct There {
    endpoint: Endpoint,
    http: Client<HttpsConnector<HttpConnector>, Body>,
}

impl Prometheus {
    /// A client of the Prometheus at `endpoint`. Nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*endpoint.tls).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        let there = There { endpoint, http };
        Self {
            engine: Ok(Arc::new(there)),
        }
    }

    /// A client of none, because of `why`, e.g. `switched off by --prometheus=off`.
    pub fn away(why: impl Into<Arc<str>>) -> Self {
        Self {
            engine: Err(why.into()),
        }
    }

    /// The value of `promql` now: an instant vector, or one sample without labels for a scalar.
    ///
    /// # Errors
    /// When there is no Prometheus, or it refuses the expression.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>, QueryError> {
        self.ask("/api/v1/query", &[("query", promql)], answer::vector)
            .await
    }

    /// The samples as they were taken, of a range selector such as `up[2m]`.
    ///
    /// # Errors
    /// When there is no Prometheus, or it refuses the selector.
    pub async fn samples(&self, selector: &str) -> Result<Vec<Series>, QueryError> {
        self.ask("/api/v1/query", &[("query", selector)], answer::matrix)
            .await
    }

    /// The values of `promql` from `start` to `end` (Unix time, seconds) every `step` seconds, one series per set of labels.
    ///
    /// # Errors
    /// When there is no Prometheus, or it refuses the expression or the range (11,000 points a series at most).
    pub async fn query_range(
        &self,
        promql: &str,
        (start, end): (f64, f64),
        step: f64,
    ) -> Result<Vec<Series>, QueryError> {
        let form = [
            ("query", promql),
            ("start", &start.to_string()),
            ("end", &end.to_string()),
            ("step", &step.to_string()),
        ];
        self.ask("/api/v1/query_range", &form, answer::matrix).await
    }

    /// Passes a request on as it is: method, path and query (below the endpoint's), headers but the caller's credentials, body.
    /// Neither the answer's size nor its time is limited here; the head of the answer has to come within the caller's patience.
    ///
    /// # Errors
    /// When there is no Prometheus, or it cannot be reached.
    pub async fn forward(&self, mut request: Request<Body>) -> Result<Response<Body>, QueryError> {
        let there = self.there()?;
        *request.uri_mut() = there.target(request.uri().path_and_query())?;
        request.headers_mut().remove(header::HOST);
        request.headers_mut().remove(header::AUTHORIZATION);
        there.send(request).await
    }

    fn there(&self) -> Result<&There, QueryError> {
        self.engine
            .as_deref()
            .map_err(|why| QueryError::Away(why.to_string()))
    }

    async fn ask<T>(
        &self,
        path: &'static str,
        form: &[(&str, &str)],
        read: fn(&[u8]) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let there = self.there()?;
        // By POST, so that no expression is too long. The serializer may not be kept while waiting: it is not `Send`.
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = there.target(Some(&PathAndQuery::from_static(path)))?;
        request.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let answer = async {
            let answer = there.send(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body: Bytes = body
                .map_err(|error| QueryError::Away(format!("its answer broke off: {error}")))?
                .to_bytes();
            if status.is_success() {
                read(&body)
            } else {
                Err(answer::refusal(status, &body))
            }
        };
        tokio::time::timeout(QUERY, answer)
            .await
            .unwrap_or_else(|_| Err(QueryError::Away(format!("no answer within {QUERY:?}"))))
    }
}

impl There {
    /// `asked`, below the endpoint's URL.
    fn target(&self, asked: Option<&PathAndQuery>) -> Result<Uri, QueryError> {
        let mut parts = self.endpoint.url.clone().into_parts();
        let base = self.endpoint.url.path().trim_end_matches('/');
        let path = format!("{base}{}", asked.map_or("/", PathAndQuery::as_str));
        let garbled = |error: &dyn std::fmt::Display| QueryError::Garbled(error.to_string());
        parts.path_and_query = Some(
            path.parse()
                .map_err(|e: http::uri::InvalidUri| garbled(&e))?,
        );
        Uri::from_parts(parts).map_err(|e| garbled(&e))
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, QueryError> {
        if let Some(value) = self.authorization().await? {
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let answer = self.http.request(request).await;
        let answer = answer.map_err(|error| {
            // The outer error says only that a request failed.
            let why = std::error::Error::source(&error).map_or(error.to_string(), root);
            QueryError::Away(format!("{} does not answer: {why}", self.endpoint.url))
        })?;
        Ok(answer.map(Body::new))
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, QueryError> {
        let Some(path) = &self.endpoint.token_file else {
            return Ok(None);
        };
        let away = |why: String| QueryError::Away(format!("token file {}: {why}", path.display()));
        let token = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| away(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| away("it holds no token".into()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// What an error comes from in the end.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
