//! Cluster DNS: answers for the cluster's domain from [`State`], relays everything else to the host's own name servers.
//!
//! It is a process of its own ([`Server`], `minicloud dns`), started and told by [`keeper`], so that names go on to resolve
//! while the server is down or is upgraded. Every node answers its own pods. The names are those of the Kubernetes DNS specification 1.1.0.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use ipnet::Ipv4Net;
use rustix::fs::{Mode, OFlags, open, openat};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::Config;
use crate::model::State;

pub mod keeper;
mod pulse;
mod relay;
mod server;
mod wire;
mod zone;

pub use zone::{Answer, Record, Zone};

/// Whom it runs as: nobody, to whom nothing belongs.
pub(crate) const USER: u32 = 65534;
/// How often the host's file of name servers is looked at, while there are questions for them.
const LOOK: Duration = Duration::from_secs(5);

/// What the DNS process is told at start, as a JSON file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Where it listens, on UDP and TCP.
    pub address: SocketAddr,
    /// The cluster's domain.
    pub domain: String,
    /// The range of Services.
    pub service_cidr: Ipv4Net,
    /// The range of pods.
    pub pod_cidr: Ipv4Net,
    /// Whose name servers answer for everything outside the cluster.
    pub resolv_conf: PathBuf,
    /// The file with the [`State`], replaced whole; a line on standard input says that it is new.
    pub state: PathBuf,
}

impl DnsConfig {
    /// The settings that follow from a node's.
    pub fn new(config: &Config) -> Self {
        Self {
            address: SocketAddr::from((config.cluster_dns, 53)),
            domain: config.cluster_domain.clone(),
            service_cidr: config.service_cidr,
            pod_cidr: config.pod_cidr,
            resolv_conf: config.resolv_conf.clone(),
            state: config.run_dir.join("dns-state.json"),
        }
    }
}

/// The server, bound to its address and not yet running.
pub struct Server {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    zone: Arc<Zone>,
    upstream: Arc<Upstream>,
    state: StateFile,
}

impl Server {
    /// Takes the address and opens what only root may open.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(config: &DnsConfig) -> anyhow::Result<Self> {
        let address = config.address;
        let what = || {
            format!(
                "cluster DNS cannot listen on {address}; is another name server bound to all addresses?"
            )
        };
        let udp = std::net::UdpSocket::bind(address).with_context(what)?;
        let tcp = std::net::TcpListener::bind(address).with_context(what)?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self {
            udp,
            tcp,
            zone: Arc::new(Zone::new(
                &config.domain,
                config.service_cidr,
                config.pod_cidr,
            )),
            upstream: Arc::new(Upstream::new(&config.resolv_conf, address.ip())),
            state: StateFile::new(&config.state)?,
        })
    }

    /// Gives up root's rights: whoever sends questions talks to a process that may do nothing else.
    ///
    /// Know before changing: these are properties of a thread, which later threads inherit, so no other may run yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn drop_rights(&self) -> anyhow::Result<()> {
        use rustix::process::{Gid, Uid};
        use rustix::thread::{
            set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
        };
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        set_thread_groups(&[])
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .and_then(|()| set_no_new_privs(true))
            .context("cluster DNS cannot give up its rights")
    }

    /// Answers until SIGTERM, from the state in the file that the configuration names.
    ///
    /// # Errors
    /// When standard input is not a pipe.
    pub async fn serve(self) -> anyhow::Result<()> {
        let file = self.state;
        let state = Arc::new(RwLock::new(file.read()));
        let sockets = (
            UdpSocket::from_std(self.udp)?,
            TcpListener::from_std(self.tcp)?,
        );
        let input = std::io::stdin().as_fd().try_clone_to_owned()?;
        let input = pipe::Receiver::from_owned_fd(input).context("standard input is not a pipe")?;
        let mut renewed = BufReader::new(input).lines();
        let mut told = true;
        let mut ended = signal(SignalKind::terminate())?;
        let serving = server::run(sockets, self.zone, state.clone(), self.upstream);
        tokio::pin!(serving);
        loop {
            tokio::select! {
                () = &mut serving => return Ok(()),
                _ = ended.recv() => return Ok(()),
                line = renewed.next_line(), if told => {
                    // The server has ended: what it told last holds until the next one starts another process.
                    told = matches!(line, Ok(Some(_)));
                    let new = file.read();
                    *state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
                }
            }
        }
    }
}

/// The file with the state, by its open folder: those above it may be closed to everyone but root.
struct StateFile {
    folder: OwnedFd,
    name: OsString,
}

impl StateFile {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            anyhow::bail!("{} is no file", path.display());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            folder: open(folder, flags, Mode::empty())
                .with_context(|| format!("cannot open {}", folder.display()))?,
            name: name.to_owned(),
        })
    }

    /// The state; none when there is no file yet.
    fn read(&self) -> State {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut text = Vec::new();
        let read = openat(&self.folder, &self.name, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).read_to_end(&mut text));
        if let Err(error) = read {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::error!(%error, "the state cannot be read");
            }
            return State::default();
        }
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::error!(%error, "the state cannot be used");
            State::default()
        })
    }
}

/// The host's name servers, as its file has them: it changes with the network, e.g. when that comes after us.
pub(crate) struct Upstream {
    resolv_conf: PathBuf,
    own: IpAddr,
    seen: Mutex<(Instant, Arc<Vec<SocketAddr>>)>,
}

impl Upstream {
    fn new(resolv_conf: &Path, own: IpAddr) -> Self {
        let servers = Arc::new(upstream(
            &std::fs::read_to_string(resolv_conf).unwrap_or_default(),
            own,
        ));
        Self {
            resolv_conf: resolv_conf.to_owned(),
            own,
            seen: Mutex::new((Instant::now(), servers)),
        }
    }

    /// Whom to ask now.
    pub(crate) fn servers(&self) -> Arc<Vec<SocketAddr>> {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.0.elapsed() >= LOOK {
            seen.0 = Instant::now();
            // A file that cannot be read says nothing new.
            if let Ok(text) = std::fs::read_to_string(&self.resolv_conf) {
                seen.1 = Arc::new(upstream(&text, self.own));
            }
        }
        seen.1.clone()
    }
}

/// The host's name servers, without ourselves: asking oneself would never end.
fn upstream(text: &str, own: IpAddr) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse().ok())
        .filter(|ip: &IpAddr| *ip != own)
        .map(|ip| SocketAddr::new(ip, 53))
        // More than three are not used by the C library either.
        .take(3)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_come_from_the_hosts_file() {
        let own: IpAddr = [10, 43, 0, 10].into();
        let check = |text: &str, expect: &[&str]| {
            let found: Vec<String> = upstream(text, own).iter().map(|s| s.to_string()).collect();
            assert_eq!(found, expect, "{text:?}");
        };
        check("", &[]);
        check(
            "# x\nnameserver 10.0.0.1\n nameserver  fd00::1\nnameserver 10.43.0.10\n",
            &["10.0.0.1:53", "[fd00::1]:53"],
        );
        check(
            "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
            &["1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"],
        );
    }

    #[test]
    fn a_network_that_comes_later_is_used() {
        let file = std::env::temp_dir().join(format!("mct-resolv-{}", std::process::id()));
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("");
        let upstream = Upstream::new(&file, [10, 43, 0, 10].into());
        assert!(upstream.servers().is_empty());
        write("nameserver 10.0.0.1\n");
        let long_ago = Instant::now().checked_sub(LOOK).unwrap();
        upstream.seen.lock().unwrap().0 = long_ago;
        assert_eq!(upstream.servers().len(), 1);
        // Gone for a moment, as while it is replaced.
        std::fs::remove_file(&file).unwrap();
        upstream.seen.lock().unwrap().0 = long_ago;
        assert_eq!(upstream.servers().len(), 1);
    }
}
