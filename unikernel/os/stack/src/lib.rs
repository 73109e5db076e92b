//! TCP/IP by smoltcp on any [`uk_net::Device`].
#![no_std]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use uk_net::{Device, LONGEST, Receive, Send};

pub use smoltcp;

/// The device as smoltcp wants it.
struct Phy<D>(D);

struct Rx<'a, R>(&'a mut R);
struct Tx<'a, S>(&'a mut S);

impl<D: Device> phy::Device for Phy<D> {
    type RxToken<'a>
        = Rx<'a, D::Receiver>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a, D::Sender>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (receiver, sender) = self.0.halves();
        // Without room for an answer the question waits.
        (receiver.has_received() && sender.can_send()).then_some((Rx(receiver), Tx(sender)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        let (_, sender) = self.0.halves();
        sender.can_send().then_some(Tx(sender))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}

impl<R: Receive> phy::RxToken for Rx<'_, R> {
    fn consume<O, F: FnOnce(&[u8]) -> O>(self, read: F) -> O {
        let (mut read, mut result) = (Some(read), None);
        self.0
            .receive(1, |frame| result = read.take().map(|read| read(frame)));
        match result {
            Some(result) => result,
            // A frame shorter than its header: an empty one is no packet to anybody.
            None => read
                .take()
                .map_or_else(|| unreachable!("read at most once"), |read| read(&[])),
        }
    }
}

impl<S: Send> phy::TxToken for Tx<'_, S> {
    fn consume<O, F: FnOnce(&mut [u8]) -> O>(self, length: usize, fill: F) -> O {
        let mut fill = Some(fill);
        let sent = self
            .0
            .send(length, |frame| fill.take().map(|fill| fill(frame)));
        match (sent.flatten(), fill) {
            (Some(result), _) => result,
            // Never: tokens are given out only when there is a buffer. The frame is lost then, which networks may do.
            (None, Some(fill)) => fill(&mut vec![0; length]),
            (None, None) => unreachable!("filled and not filled"),
        }
    }
}

/// How the address is found.
#[derive(Debug, Clone, Copy)]
pub enum Address {
    /// By DHCP.
    Automatic,
    /// Address with prefix, and the way out.
    Fixed(IpCidr, Option<Ipv4Address>),
}

/// The stack.
pub struct Stack<D: Device> {
    phy: Phy<D>,
    interface: Interface,
    /// The sockets, for whoever knows their handles.
    pub sockets: SocketSet<'static>,
    dhcp: Option<SocketHandle>,
}

impl<D: Device> Stack<D> {
    /// A stack on a device; `now` is any time that only goes forward, `seed` what nobody can guess.
    pub fn new(device: D, address: Address, seed: u64, now: Instant) -> Self {
        let mut phy = Phy(device);
        let mut config = Config::new(EthernetAddress(phy.0.address()).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut phy, now);
        let mut sockets = SocketSet::new(Vec::new());
        let dhcp = match address {
            Address::Automatic => Some(sockets.add(dhcpv4::Socket::new())),
            Address::Fixed(address, router) => {
                set(&mut interface, address, router);
                None
            }
        };
        Self {
            phy,
            interface,
            sockets,
            dhcp,
        }
    }

    /// A TCP socket with buffers of these sizes.
    pub fn tcp(&mut self, receive: usize, send: usize) -> SocketHandle {
        let buffer = |size| tcp::SocketBuffer::new(vec![0; size]);
        self.sockets
            .add(tcp::Socket::new(buffer(receive), buffer(send)))
    }

    /// Handles what has come and sends what is due. `true` when a socket may have changed.
    pub fn poll(&mut self, now: Instant) -> bool {
        let changed = self.interface.poll(now, &mut self.phy, &mut self.sockets)
            != smoltcp::iface::PollResult::None;
        self.phy.0.flush();
        if let Some(handle) = self.dhcp {
            match self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
                Some(dhcpv4::Event::Configured(lease)) => {
                    set(&mut self.interface, lease.address.into(), lease.router)
                }
                Some(dhcpv4::Event::Deconfigured) => {
                    self.interface.update_ip_addrs(|all| all.clear())
                }
                None => {}
            }
        }
        changed
    }

    /// The address, once there is one.
    pub fn address(&self) -> Option<Ipv4Address> {
        self.interface.ipv4_addr()
    }

    /// Microseconds until something is due though nothing comes; `None` when nothing is.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        self.interface
            .poll_delay(now, &self.sockets)
            .map(|delay| delay.total_micros())
    }

    /// The device, to ask for interrupts.
    pub fn device(&mut self) -> &mut D {
        &mut self.phy.0
    }
}

fn set(interface: &mut Interface, address: IpCidr, router: Option<Ipv4Address>) {
    interface.update_ip_addrs(|all| {
        all.clear();
        let _ = all.push(address);
    });
    let routes = interface.routes_mut();
    routes.remove_default_ipv4_route();
    if let Some(router) = router {
        let _ = routes.add_default_ipv4_route(router);
    }
}
