//! This machine's addresses, found without asking anyone.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use crate::settings::Settings;

/// The address that packets to elsewhere have: that of the default route; else the first that is not a loopback address;
/// else the pods' gateway, so that a machine without any network works by itself.
pub fn node_ip(settings: &Settings) -> Ipv4Addr {
    by_default_route()
        .or_else(|| first_other(settings))
        .unwrap_or_else(|| gateway(settings))
}

fn gateway(settings: &Settings) -> Ipv4Addr {
    let range = settings.node_pod_cidr();
    range.hosts().next().unwrap_or(range.network())
}

/// Connecting a UDP socket sends nothing; it only makes the kernel choose a route.
fn by_default_route() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address reserved for documentation (RFC 5737): only a default route leads there.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        _ => None,
    }
}

fn first_other(settings: &Settings) -> Option<Ipv4Addr> {
    host_addresses().into_iter().find_map(|ip| match ip {
        IpAddr::V4(ip)
            if !settings.pod_cidr.contains(&ip) && !settings.service_cidr.contains(&ip) =>
        {
            Some(ip)
        }
        _ => None,
    })
}

/// All addresses of this machine that are not loopback addresses.
pub fn host_addresses() -> Vec<IpAddr> {
    local_addresses(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default())
}

/// The `/32 host LOCAL` leaves of the kernel's routing trie.
fn local_addresses(trie: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in trie.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            let address = leaf.filter(|ip| !ip.is_loopback()).map(IpAddr::V4);
            found.extend(address.filter(|ip| !found.contains(ip)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_trie() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.2\n        /32 host LOCAL\n";
        assert_eq!(
            local_addresses(trie),
            ["10.0.0.2".parse::<IpAddr>().unwrap()]
        );
    }
}
