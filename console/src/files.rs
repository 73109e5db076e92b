//! The console's files: chosen by path, sent in the coding that the browser takes, remembered by it as long as they are good for.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use minicloud_api::problem::Problem;

/// One file, as the build made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    /// Its path below `/console/`.
    pub(crate) path: &'static str,
    /// Names the content, for ETag.
    pub(crate) hash: &'static str,
    pub(crate) plain: &'static [u8],
    pub(crate) gzip: Option<&'static [u8]>,
    pub(crate) brotli: Option<&'static [u8]>,
}

/// What `cargo xtask console` built; empty when it was not built.
pub(crate) const BUILT: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The page that any address of the console starts with; it looks at the address itself.
const PAGE: &str = "index.html";
/// Names below here have a hash of the content: a file never changes.
const FOREVER: &str = "assets/";

/// Answers GET and HEAD.
pub(crate) async fn answer(files: &[File], policy: HeaderMap, request: Request<Body>) -> Response {
    let (head, _) = request.into_parts();
    let path = head
        .uri
        .path()
        .strip_prefix("/console/")
        .unwrap_or_default();
    let mut response = match choose(files, path) {
        Ok(file) => send(file, &head.headers),
        Err(problem) => problem.into_response(),
    };
    response.headers_mut().extend(policy);
    response
}

/// The file for a path: itself, or the page when the path is one of the page's own (`nodes/edge-1`).
fn choose<'a>(files: &'a [File], path: &str) -> Result<&'a File, Box<Problem>> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let Some(page) = find(PAGE) else {
        let problem = Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "this program was built without the console",
        );
        return Err(problem
            .hint("run `cargo xtask console`, then build the program again")
            .into());
    };
    match find(path) {
        Some(file) => Ok(file),
        None if path.starts_with(FOREVER) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("the console has no file {path:?}"),
        )
        .hint("reload the page: the console has been updated since it was opened")
        .into()),
        None => Ok(page),
    }
}

fn send(file: &File, asked: &HeaderMap) -> Response {
    let (coding, bytes) = coding(file, asked);
    // Another coding is other bytes, so another tag.
    let tag = match coding {
        Some(coding) => format!("\"{}-{coding}\"", file.hash),
        None => format!("\"{}\"", file.hash),
    };
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value == "*" || value.split(',').any(|one| one.trim() == tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = bytes.into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(kind(file.path)),
        );
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    };
    let headers = response.headers_mut();
    let keep = if file.path.starts_with(FOREVER) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The smallest form that the browser takes.
fn coding(file: &File, asked: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    let accepted = asked
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let takes = |name: &str| {
        accepted.split(',').any(|one| {
            let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
            let refused = quality
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse().is_ok_and(|q: f32| q == 0.0));
            coding.trim() == name && !refused
        })
    };
    match (file.brotli, file.gzip) {
        (Some(bytes), _) if takes("br") => (Some("br"), bytes),
        (_, Some(bytes)) if takes("gzip") => (Some("gzip"), bytes),
        _ => (None, file.plain),
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest" | "json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[File] = &[
        File {
            path: "index.html",
            hash: "1",
            plain: b"<page>",
            gzip: Some(b"<gz>"),
            brotli: Some(b"<br>"),
        },
        File {
            path: "assets/a-1.js",
            hash: "2",
            plain: b"js",
            gzip: None,
            brotli: None,
        },
    ];

    async fn get(files: &[File], path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("request");
        answer(files, crate::embedding::policy(&[]), request).await
    }

    #[tokio::test]
    async fn paths_codings_and_memory() {
        let check = async |path: &str, headers: &[(&str, &str)], expected: (u16, &str, &str)| {
            let response = get(FILES, path, headers).await;
            let status = response.status().as_u16();
            let header = |name| {
                let value = response
                    .headers()
                    .get(name)
                    .map(|v: &HeaderValue| v.to_str());
                value.and_then(Result::ok).unwrap_or_default().to_owned()
            };
            let (tag, policy) = (
                header(header::ETAG),
                header(header::CONTENT_SECURITY_POLICY),
            );
            let body = axum::body::to_bytes(response.into_body(), 1 << 10)
                .await
                .expect("body");
            let body = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(
                (status, body.get(..5).unwrap_or(&body), &*tag),
                expected,
                "{path} {headers:?}"
            );
            assert!(policy.starts_with("default-src 'none'"), "{path}");
        };
        check("/console/", &[], (200, "<page", "\"1\"")).await;
        check(
            "/console/nodes/edge-1",
            &[("accept-encoding", "gzip, br")],
            (200, "<br>", "\"1-br\""),
        )
        .await;
        check(
            "/console/",
            &[("accept-encoding", "br;q=0, gzip;q=0.5")],
            (200, "<gz>", "\"1-gzip\""),
        )
        .await;
        check(
            "/console/",
            &[("if-none-match", "\"0\", \"1\"")],
            (304, "", "\"1\""),
        )
        .await;
        check(
            "/console/",
            &[("if-none-match", "\"1\""), ("accept-encoding", "br")],
            (200, "<br>", "\"1-br\""),
        )
        .await;
        check(
            "/console/assets/a-1.js",
            &[("accept-encoding", "br")],
            (200, "js", "\"2\""),
        )
        .await;
        check("/console/assets/b.js", &[], (404, "{\"typ", "")).await;
        check("/console/../etc/passwd", &[], (200, "<page", "\"1\"")).await;
    }

    #[tokio::test]
    async fn only_what_has_its_hash_in_its_name_is_kept_for_ever() {
        let page = get(FILES, "/console/", &[]).await;
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        let asset = get(FILES, "/console/assets/a-1.js", &[]).await;
        assert_eq!(
            asset.headers()[header::CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
    }

    #[tokio::test]
    async fn a_program_without_the_console_says_so() {
        let response = get(&[], "/console/", &[]).await;
        assert_eq!(response.status(), 501);
        let problem: Option<&Problem> = response.extensions().get();
        assert!(
            problem.is_some_and(|p| p.hint.contains("cargo xtask console")),
            "{problem:?}"
        );
    }
}
