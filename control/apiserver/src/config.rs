//! What the API server is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use minicloud_api::extension::ExtensionGroup;
use minicloud_auth::token::ServiceAccountTokens;

use crate::http::limits::Limits;

/// The settings of an API server.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address and port under which others reach this server: what the Service `kubernetes` points to.
    pub advertise: SocketAddr,
    /// TLS of the listener, with client certificates optional.
    pub tls: Arc<rustls::ServerConfig>,
    /// TLS towards node agents: the cluster's CA, and a client certificate that agents trust. `None` refuses log, exec and
    /// the like.
    pub agent_tls: Option<Arc<rustls::ClientConfig>>,
    /// The CA of client certificates, PEM.
    pub client_ca_pem: String,
    /// Signs and verifies service-account tokens.
    pub tokens: Arc<ServiceAccountTokens>,
    /// The addresses of Services.
    pub service_range: ServiceRange,
    /// The ports of NodePort Services.
    pub node_ports: RangeInclusive<u16>,
    /// The cluster's domain, `cluster.local`.
    pub cluster_domain: String,
    /// Groups that other servers answer.
    pub extensions: Vec<Extension>,
    /// The bounds of the HTTP edge.
    pub limits: Limits,
}

/// A group that another server answers, under the same paths.
#[derive(Clone)]
pub struct Extension {
    /// The group.
    pub group: ExtensionGroup,
    /// Host and port of the server, which speaks HTTPS.
    pub authority: http::uri::Authority,
    /// Whom to trust and the certificate to show; without ALPN.
    pub tls: Arc<rustls::ClientConfig>,
}

/// An IPv4 range in CIDR notation, from which Services get their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRange {
    base: u32,
    prefix_bits: u8,
}

/// A range that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 range of 4 to 1,048,576 addresses; write it as 10.43.0.0/16")]
pub struct BadRange(String);

impl std::str::FromStr for ServiceRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let bad = || BadRange(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix_bits: u8 = bits
            .parse()
            .ok()
            .filter(|b| (12..=30).contains(b))
            .ok_or_else(bad)?;
        let base = u32::from(address) & (u32::MAX << (32 - prefix_bits));
        Ok(Self { base, prefix_bits })
    }
}

impl std::fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix_bits)
    }
}

impl ServiceRange {
    /// How many addresses a Service may get: all but the first and the last of the range.
    pub fn usable(&self) -> u32 {
        (1_u32 << (32 - self.prefix_bits)) - 2
    }

    /// The usable address of this number, from 0.
    pub fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1 + number % self.usable())
    }

    /// True when a Service may have this address.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.base);
        offset >= 1 && offset <= self.usable()
    }

    /// The address of the Service `kubernetes`: the first one.
    pub fn first(&self) -> Ipv4Addr {
        self.address(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range: ServiceRange = "10.43.0.0/16".parse().unwrap();
        assert_eq!(range.first(), Ipv4Addr::new(10, 43, 0, 1));
        assert_eq!(range.usable(), 65_534);
        assert_eq!(range.to_string(), "10.43.0.0/16");
        let check = |address: [u8; 4], expect: bool| {
            assert_eq!(range.contains(address.into()), expect, "{address:?}")
        };
        check([10, 43, 0, 0], false);
        check([10, 43, 0, 1], true);
        check([10, 43, 255, 254], true);
        check([10, 43, 255, 255], false);
        check([10, 42, 0, 1], false);
        for bad in [
            "",
            "10.43.0.0",
            "10.43.0.0/8",
            "10.43.0.0/31",
            "x/16",
            "fd00::/112",
        ] {
            assert!(bad.parse::<ServiceRange>().is_err(), "{bad}");
        }
    }
}
