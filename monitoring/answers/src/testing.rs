//! For tests: samples by hand, and a real Prometheus with a history by hand.

use std::fmt::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_prometheus_client::{Endpoint, Point, Prometheus, Sample};

use crate::found::{Found, now};

/// Labels and a value.
pub(crate) type Made = (Vec<(String, String)>, f64);

/// Found samples: measure, then labels and value of each.
pub(crate) fn found(measures: &[(&str, Vec<Made>)]) -> Found {
    let mut found = Found {
        time: 1_613_918_256.884_719,
        ..Found::default()
    };
    for (measure, samples) in measures {
        let sample = |(labels, value): &Made| Sample {
            labels: labels.iter().cloned().collect(),
            point: Point {
                time: found.time,
                value: *value,
            },
        };
        let samples = samples.iter().map(sample).collect();
        found.by_measure.insert((*measure).to_owned(), samples);
    }
    found
}

/// Debian's Prometheus on loopback, with half an hour of history; it ends with this value.
pub(crate) struct Engine {
    server: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Engine {
    /// `series` says the values of each minute, counted from the beginning of the history: `(name{labels}, value)`. The last is now.
    pub(crate) async fn start(series: impl Fn(f64) -> Vec<(String, f64)>) -> Self {
        const MINUTES: u32 = 30;
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        // Whole, so that every sample is exactly a minute after the one before.
        let end = now().floor();
        // OpenMetrics wants the samples of a metric together; as an unknown type each series is by itself.
        let mut lines: Vec<(String, f64, f64)> = Vec::new();
        for minute in 0..=MINUTES {
            let time = end - 60.0 * f64::from(MINUTES - minute);
            let of_minute = series(f64::from(minute));
            lines.extend(
                of_minute
                    .into_iter()
                    .map(|(name, value)| (name, value, time)),
            );
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.total_cmp(&b.2)));
        for (name, value, time) in lines {
            writeln!(text, "{name} {value} {time:.3}").unwrap();
        }
        text.push_str("# EOF\n");
        let (history, data) = (dir.path().join("history"), dir.path().join("data"));
        std::fs::write(&history, text).unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&history, &data])
            .output()
            .expect("promtool of Debian's package prometheus; `cargo xtask setup` installs it");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, "{}").unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|socket| socket.local_addr())
            .unwrap()
            .port();
        let server = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package prometheus; `cargo xtask setup` installs it");
        let mut engine = Self {
            server,
            port,
            _dir: dir,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = engine.client().query("vector(1)").await {
            assert!(Instant::now() < deadline, "{error}");
            let ended = engine.server.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "Prometheus ended: is port {port} taken? {ended:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Whoever answered was this one, not another that took the port.
        assert!(engine.server.try_wait().unwrap().is_none());
        engine
    }

    pub(crate) fn client(&self) -> Prometheus {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Prometheus::new(Endpoint {
            url: format!("http://127.0.0.1:{}", self.port).parse().unwrap(),
            tls: Arc::new(tls),
            token_file: None,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
