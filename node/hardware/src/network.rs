//! Network interfaces that lead out of the machine, from `/sys/class/net`, and their addresses from the kernel.

mod netlink;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Root;

/// Interfaces that are told.
const MOST: usize = 256;

/// An interface that leads out of the machine: a card, or a bridge, bond or VLAN on one. Those of pods are none: they come and
/// go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkInterface {
    /// `eth0`
    pub name: String,
    /// The hardware's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The largest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu_bytes: Option<u64>,
    /// That of the link as it is now; absent when there is none, and for what has no fixed one (Wi-Fi).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mbit_per_second: Option<u64>,
    /// The kernel's driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// With the length of the prefix: `192.168.1.205/24`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// The addresses by which others could reach the machine, in the order of interfaces, IPv4 first.
pub(crate) fn global_addresses(interfaces: &[NetworkInterface]) -> Vec<String> {
    let all = interfaces.iter().flat_map(|interface| &interface.addresses);
    let hosts = all.filter_map(|address| address.split('/').next()?.parse::<IpAddr>().ok());
    let mut global: Vec<IpAddr> = hosts
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_loopback(),
        })
        .collect();
    global.sort_by_key(IpAddr::is_ipv6);
    global.iter().map(IpAddr::to_string).collect()
}

/// A card, or something above one.
fn leads_out(root: &Root, name: &str) -> bool {
    let card = |name: &str| root.exists(&format!("/sys/class/net/{name}/device"));
    let below = root.names(&format!("/sys/class/net/{name}"));
    card(name)
        || below
            .iter()
            .filter_map(|link| link.strip_prefix("lower_"))
            .any(card)
}

pub(crate) fn read(root: &Root) -> Vec<NetworkInterface> {
    let addresses = if root.is_this_machine() {
        netlink::addresses()
    } else {
        Vec::new()
    };
    let names = root.names("/sys/class/net").into_iter();
    let interfaces = names.filter(|name| leads_out(root, name)).map(|name| {
        let folder = format!("/sys/class/net/{name}");
        let index = root.number(&format!("{folder}/ifindex"));
        let own = addresses
            .iter()
            .filter(|a| Some(u64::from(a.interface)) == index);
        NetworkInterface {
            mac: root.value(&format!("{folder}/address")),
            mtu_bytes: root.number(&format!("{folder}/mtu")),
            // -1 for unknown, which is no number here.
            speed_mbit_per_second: root
                .number(&format!("{folder}/speed"))
                .filter(|speed| *speed > 0),
            driver: root.link_name(&format!("{folder}/device/driver")),
            addresses: own.map(|a| format!("{}/{}", a.address, a.prefix)).collect(),
            name,
        }
    });
    interfaces.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_reach() {
        let with = |addresses: &[&str]| NetworkInterface {
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            ..NetworkInterface::default()
        };
        let interfaces = [
            with(&["169.254.3.4/16", "fe80::1/64", "2001:db8::5/64"]),
            with(&["192.168.1.2/24", "garbage"]),
        ];
        assert_eq!(
            global_addresses(&interfaces),
            ["192.168.1.2", "2001:db8::5"]
        );
    }
}
