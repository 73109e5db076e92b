//! Devices that the kernel's arguments name, as QEMU's microvm does: `virtio_mmio.device=SIZE@ADDRESS:INTERRUPT`.

use core::ptr::NonNull;

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bytes of registers.
    pub size: usize,
    /// The first register.
    pub address: u64,
    /// The line of the interrupt controller.
    pub interrupt: u8,
}

/// The places that arguments name. What is not of the form is no place.
pub fn places(arguments: &str) -> impl Iterator<Item = Place> {
    arguments.split_ascii_whitespace().filter_map(|word| {
        let (size, rest) = word.strip_prefix("virtio_mmio.device=")?.split_once('@')?;
        let mut rest = rest.split(':');
        let address = rest.next()?;
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        Some(Place {
            size: size.parse().ok()?,
            address,
            interrupt: rest.next()?.parse().ok()?,
        })
    })
}

/// The first device of a kind.
///
/// # Safety
/// The arguments are the hypervisor's own; each device is taken once.
pub unsafe fn find(arguments: &str, kind: DeviceType) -> Option<(Place, MmioTransport<'static>)> {
    places(arguments).find_map(|place| {
        let header = NonNull::new(place.address as *mut VirtIOHeader)?;
        // SAFETY: the caller's.
        let transport = unsafe { MmioTransport::new(header, place.size) }.ok()?;
        (transport.device_type() == kind).then_some((place, transport))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_arguments() {
        let found: alloc::vec::Vec<_> =
            places("debug virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=x@0x1:2 virtio_mmio.device=512@5:1").collect();
        assert_eq!(
            found,
            [Place {
                size: 512,
                address: 0xfeb0_0e00,
                interrupt: 12
            }]
        );
    }
}
