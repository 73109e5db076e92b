//! Debian's node_exporter, running for the time of a test.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::exposition::Exposition;

const PROGRAM: &str = "/usr/bin/prometheus-node-exporter";

/// Ended when dropped, also by a failing test.
pub struct NodeExporter {
    child: Child,
    address: SocketAddr,
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl NodeExporter {
    /// Starts it on a free port of loopback and waits until it answers.
    pub fn start(arguments: &[String]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(PROGRAM)
            .arg(format!("--web.listen-address={port}"))
            .args(arguments)
            // Fixtures have no time zone.
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{PROGRAM}: {e}; `cargo xtask setup` installs it"));
        let exporter = Self {
            child,
            address: port,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while exporter.get().is_err() {
            assert!(Instant::now() < deadline, "node_exporter does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        exporter
    }

    pub fn scrape(&self) -> Exposition {
        Exposition::parse(&self.get().unwrap())
    }

    fn get(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned());
        match body {
            Some(body) if answer.starts_with("HTTP/1.0 200") => Ok(body),
            _ => Err(std::io::Error::other(answer)),
        }
    }
}
