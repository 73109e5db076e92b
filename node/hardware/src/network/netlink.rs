//! The kernel's list of addresses (rtnetlink(7), `RTM_GETADDR`).
//!
//! Asked for directly: no file has it, `getifaddrs` is not to be had without `unsafe`, and the program `ip` need not be
//! installed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// An address for privacy (RFC 8981), which is another one tomorrow.
const IFA_F_TEMPORARY: u8 = 0x1;

/// Bytes before a message's content: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// Bytes of `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const ADDRESS_HEADER: usize = 8;
/// The kernel fills at most this at a time.
const BUFFER_BYTES: usize = 32 << 10;
/// Buffers that are read; some 400 addresses fit into one.
const BUFFERS: usize = 64;
/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    /// The interface's index.
    pub(super) interface: u32,
    /// The interface's own address, not its peer's.
    pub(super) address: IpAddr,
    /// Bits of the network.
    pub(super) prefix: u8,
}

/// All lasting addresses of this network namespace; empty when the kernel does not say.
pub(super) fn addresses() -> Vec<InterfaceAddress> {
    dump().unwrap_or_default()
}

fn dump() -> rustix::io::Result<Vec<InterfaceAddress>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    sendto(
        &socket,
        &request(),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    for _ in 0..BUFFERS {
        let (read, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let (more, last) = parse(&buffer[..read.min(BUFFER_BYTES)]);
        found.extend(more);
        if last || read == 0 {
            break;
        }
    }
    Ok(found)
}

/// Asks for the addresses of all families.
fn request() -> Vec<u8> {
    let length = u32::try_from(HEADER + ADDRESS_HEADER).unwrap_or_default();
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(RTM_GETADDR.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend([0; 8 + ADDRESS_HEADER]);
    bytes
}

fn number_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The addresses in a buffer, and whether it was the last one.
fn parse(mut bytes: &[u8]) -> (Vec<InterfaceAddress>, bool) {
    let mut found = Vec::new();
    while let Some(length) = number_at(bytes, 0).map(u32::from_ne_bytes) {
        let kind = number_at(bytes, 4).map(u16::from_ne_bytes);
        let Some(content) = bytes.get(HEADER..length as usize) else {
            return (found, true);
        };
        match kind {
            Some(RTM_NEWADDR) => found.extend(address(content)),
            Some(NLMSG_DONE | NLMSG_ERROR) => return (found, true),
            _ => {}
        }
        bytes = bytes.get(aligned(length as usize)..).unwrap_or_default();
    }
    (found, false)
}

/// Messages and attributes begin at multiples of four.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// An address message. A link between two points has its own address as `IFA_LOCAL` and the other's as `IFA_ADDRESS`.
fn address(content: &[u8]) -> Option<InterfaceAddress> {
    let prefix = *content.get(1)?;
    if content.get(2)? & IFA_F_TEMPORARY != 0 {
        return None;
    }
    let interface = u32::from_ne_bytes(number_at(content, 4)?);
    let mut attributes = content.get(ADDRESS_HEADER..)?;
    let (mut local, mut other) = (None, None);
    while let Some(length) = number_at(attributes, 0).map(u16::from_ne_bytes) {
        let value = attributes.get(4..usize::from(length))?;
        match number_at(attributes, 2).map(u16::from_ne_bytes) {
            Some(IFA_LOCAL) => local = ip(value),
            Some(IFA_ADDRESS) => other = ip(value),
            _ => {}
        }
        attributes = attributes
            .get(aligned(usize::from(length))..)
            .unwrap_or_default();
    }
    Some(InterfaceAddress {
        interface,
        address: local.or(other)?,
        prefix,
    })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|v4| IpAddr::from(Ipv4Addr::from(v4)));
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|v6| IpAddr::from(Ipv6Addr::from(v6))))
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn message(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + content.len()).unwrap();
        [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &[0; 10],
            content,
        ]
        .concat()
    }

    #[test]
    fn a_point_to_point_link_tells_its_own_address() {
        let head = [2, 24, 0, 0, 7, 0, 0, 0];
        let peer = attribute(IFA_ADDRESS, &[10, 0, 0, 2]);
        let own = attribute(IFA_LOCAL, &[10, 0, 0, 1]);
        let first = message(RTM_NEWADDR, &[&head[..], &peer, &own].concat());
        let v6 = attribute(IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets());
        let second = message(
            RTM_NEWADDR,
            &[&[10, 128, 0, 0, 1, 0, 0, 0][..], &v6].concat(),
        );
        let private = [10, 64, IFA_F_TEMPORARY, 0, 1, 0, 0, 0];
        let private = message(RTM_NEWADDR, &[&private[..], &v6].concat());
        let (found, last) = parse(&[first, second, private, message(NLMSG_DONE, &[0; 4])].concat());
        let shown: Vec<_> = found
            .iter()
            .map(|a| format!("{} {}/{}", a.interface, a.address, a.prefix))
            .collect();
        assert_eq!(shown, ["7 10.0.0.1/24", "1 ::1/128"]);
        assert!(last);
    }

    #[test]
    fn this_machine_has_addresses() {
        assert!(addresses().iter().any(|a| a.address.is_loopback()) || addresses().is_empty());
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes);
            let _ = parse(&message(RTM_NEWADDR, &bytes));
        }
    }
}
