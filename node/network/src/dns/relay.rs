//! Asks the host's name servers: over UDP first, over TCP when the answer does not fit or the client came by TCP.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long one name server has to answer; the C library waits five seconds in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first answer of the name servers in order; `None` when none answers.
pub async fn ask(upstream: &[SocketAddr], query: &[u8], udp: bool) -> Option<Vec<u8>> {
    for server in upstream {
        let answer = if udp {
            tokio::time::timeout(PATIENCE, over_udp(*server, query)).await
        } else {
            tokio::time::timeout(PATIENCE, over_tcp(*server, query)).await
        };
        match answer {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %error, "the name server does not answer"),
            Err(_) => tracing::debug!(%server, "the name server does not answer in {PATIENCE:?}"),
        }
    }
    None
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // An answer to another question is somebody's mistake or forgery.
        if length >= 12 && buffer[..2] == query[..2] && buffer[2] & 0x80 != 0 {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, query).await?;
    read_message(&mut stream).await
}

/// Reads a message with its length before it (RFC 1035, 4.2.2).
pub async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message with its length before it, in one segment.
pub async fn write_message(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
