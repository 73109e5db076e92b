//! Devices of the hypervisor by virtio 1.2: finding them, queues, and the network and block devices on them.
//!
//! Transports and the handshake are `virtio-drivers`'; the queue is ours, because it hands over many buffers with one notification.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod memory;
pub mod mmio;
pub mod net;
mod queue;

pub use memory::Identity;
pub use virtio_drivers::transport::DeviceType;
