//! The gRPC health check (`grpc.health.v1.Health/Check`) over plain HTTP/2, with its two messages written out by hand: a request is
//! one string field, an answer one enumeration.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::check::{AbortOnDrop, dial};

const SERVING: u64 = 1;
const LIMIT: usize = 4096;

/// Asks; the caller limits the time.
pub(super) async fn check(host: &str, port: i32, service: &str) -> Result<(), String> {
    let port = u16::try_from(port).map_err(|_| format!("{port} is not a port"))?;
    let stream = dial(host, port).await?;
    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .map_err(|e| e.to_string())?;
    let _connection = AbortOnDrop(tokio::spawn(connection));
    let authority = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let request = http::Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.36")
        .body(Full::new(encode(service)))
        .map_err(|e| e.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|e| format!("rpc error: {e}"))?;
    let (head, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, LIMIT)
        .collect()
        .await
        .map_err(|e| format!("rpc error: {e}"))?;
    let header = |name| {
        body.trailers()
            .and_then(|t| t.get(name))
            .or_else(|| head.headers.get(name))
    };
    match header("grpc-status").and_then(|v| v.to_str().ok()) {
        Some("0") | None if head.status.is_success() => {}
        code => {
            let message = header("grpc-message")
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default();
            return Err(format!(
                "rpc error: code = {} desc = {message}",
                code.unwrap_or(head.status.as_str())
            ));
        }
    }
    match decode(&body.to_bytes()) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(format!(
            "service unhealthy (responded with status {status})"
        )),
        None => Err("the answer is not a HealthCheckResponse".into()),
    }
}

fn encode(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

/// The `status` of a response frame; zero when the field is absent.
fn decode(frame: &[u8]) -> Option<u64> {
    let (head, message) = frame.split_at_checked(5)?;
    if head[0] != 0 {
        return None;
    }
    let mut bytes = message.iter();
    let mut status = 0;
    while let Some(tag) = bytes.next() {
        if *tag != 0x08 {
            return None;
        }
        status = 0;
        for shift in (0..63).step_by(7) {
            let byte = bytes.next()?;
            status |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(&encode("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let check = |frame: &[u8], expect| assert_eq!(decode(frame), expect);
        check(&[0, 0, 0, 0, 2, 8, 1], Some(1));
        check(&[0, 0, 0, 0, 0], Some(0));
        check(&[0, 0, 0, 0, 3, 8, 0x82, 1], Some(130));
        check(&[0, 0, 0, 0, 2, 8], None);
        check(&[1, 0, 0, 0, 2, 8, 1], None);
        check(&[0, 0], None);
    }
}
