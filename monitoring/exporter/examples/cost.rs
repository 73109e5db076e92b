//! What a scrape costs, beside Debian's node_exporter with the same collectors, on this machine and at the same time:
//! `cargo run --release -p minicloud-exporter --example cost`.
//!
//! Ours is without HTTP, which the agent adds; node_exporter's is with it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use minicloud_exporter::{Exporter, Settings};

const SCRAPES: u32 = 1000;
const ADDRESS: &str = "127.0.0.1:19109";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = std::process::id();
    let before = memory_kib(own);
    let mut exporter = Exporter::new(Path::new("/"), &Settings::default());
    let mut text = String::new();
    exporter.scrape(&mut text);
    let ours = measure(own, || {
        text.clear();
        exporter.scrape(&mut text);
        Ok(text.len())
    })?;
    let after = memory_kib(own);
    println!(
        "ours: {ours}; resident {after} KiB, of which {} KiB before the first scrape",
        before
    );

    let collectors = text.lines().filter_map(|line| {
        let name = line
            .strip_prefix("node_scrape_collector_success{collector=\"")?
            .split_once('"')?
            .0;
        Some(format!("--collector.{name}"))
    });
    let child = Command::new("/usr/bin/prometheus-node-exporter")
        .arg(format!("--web.listen-address={ADDRESS}"))
        .arg("--collector.disable-defaults")
        .args(collectors)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let child = Ended(child);
    let deadline = Instant::now() + Duration::from_secs(10);
    while get().is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let theirs = measure(child.0.id(), get)?;
    println!(
        "node_exporter: {theirs}; resident {} KiB",
        memory_kib(child.0.id())
    );
    Ok(())
}

/// A process that is ended whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(
    process: u32,
    mut scrape: impl FnMut() -> std::io::Result<usize>,
) -> std::io::Result<String> {
    let (started, cpu) = (Instant::now(), cpu_milliseconds(process));
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        bytes = scrape()?;
    }
    let cpu = (cpu_milliseconds(process) - cpu) / f64::from(SCRAPES);
    let wall = started.elapsed().as_secs_f64() * 1000.0 / f64::from(SCRAPES);
    Ok(format!(
        "{cpu:.2} ms CPU and {wall:.2} ms per scrape of {bytes} bytes, mean of {SCRAPES}"
    ))
}

fn get() -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(ADDRESS)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())
}

/// Of all threads, also those that ended; in steps of 10 ms.
fn cpu_milliseconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = |field| {
        fields
            .split(' ')
            .nth(field)
            .and_then(|word| word.parse::<f64>().ok())
    };
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) * 10.0
}

fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
