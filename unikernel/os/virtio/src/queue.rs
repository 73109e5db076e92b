//! A split virtqueue (virtio 1.2, section 2.7) whose every descriptor has a buffer of its own for good.
//!
//! Descriptor *n* always names buffer *n*: nothing is linked, looked up or unmapped on the way. What was handed over since the last
//! notification is told to the device at once.

use alloc::alloc::{Layout, alloc_zeroed};
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{Ordering, fence};

use virtio_drivers::transport::Transport;

const DEVICE_WRITES: u16 = 2;
/// Wish for no notification, in either ring's flags.
const QUIET: u16 = 1;

#[repr(C)]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

#[repr(C)]
struct Available<const N: usize> {
    flags: u16,
    index: u16,
    ring: [u16; N],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct UsedElement {
    id: u32,
    length: u32,
}

#[repr(C)]
struct Used<const N: usize> {
    flags: u16,
    index: u16,
    ring: [UsedElement; N],
}

/// Buffers of `SIZE` bytes, `N` of them, a power of two.
pub(crate) struct Queue<const N: usize, const SIZE: usize> {
    number: u16,
    descriptors: *mut [Descriptor; N],
    available: *mut Available<N>,
    used: *mut Used<N>,
    buffers: *mut [[u8; SIZE]; N],
    /// Our count of buffers handed over, and what the device was told of.
    handed: u16,
    told: u16,
    /// Our count of buffers that came back.
    taken: u16,
}

/// Memory for a `T`, for good, on a page.
fn forever<T>() -> *mut T {
    let layout = Layout::new::<T>()
        .align_to(4096)
        .unwrap_or(Layout::new::<T>());
    // SAFETY: no `T` here is of size zero, and zeros are a value of each.
    let memory = unsafe { alloc_zeroed(layout) };
    assert!(!memory.is_null(), "no memory for a device's queue");
    memory.cast()
}

impl<const N: usize, const SIZE: usize> Queue<N, SIZE> {
    /// Sets up queue `number`; `receives` says that the device writes into the buffers.
    pub(crate) fn new(transport: &mut impl Transport, number: u16, receives: bool) -> Self {
        const { assert!(N.is_power_of_two()) };
        let queue = Self {
            number,
            descriptors: forever(),
            available: forever(),
            used: forever(),
            buffers: forever(),
            handed: 0,
            told: 0,
            taken: 0,
        };
        for n in 0..N {
            // SAFETY: ours alone until the queue is set.
            unsafe {
                (*queue.descriptors)[n] = Descriptor {
                    address: &raw const (*queue.buffers)[n] as u64,
                    length: SIZE as u32,
                    flags: if receives { DEVICE_WRITES } else { 0 },
                    next: 0,
                };
            }
        }
        transport.queue_set(
            number,
            N as u32,
            queue.descriptors as u64,
            queue.available as u64,
            queue.used as u64,
        );
        queue
    }

    /// The buffer of a descriptor that is ours.
    pub(crate) fn buffer(&mut self, id: u16) -> &mut [u8; SIZE] {
        // SAFETY: the index is bounded, and the borrow is of the whole queue.
        unsafe { &mut (*self.buffers)[usize::from(id) % N] }
    }

    /// Hands a buffer over, `length` bytes of it. The device is told by [`Queue::notify`].
    pub(crate) fn hand_over(&mut self, id: u16, length: usize) {
        // SAFETY: the entry is not in use: there are as many as buffers.
        unsafe {
            write_volatile(
                &raw mut (*self.descriptors)[usize::from(id) % N].length,
                length as u32,
            );
            write_volatile(
                &raw mut (*self.available).ring[usize::from(self.handed) % N],
                id,
            );
        }
        self.handed = self.handed.wrapping_add(1);
    }

    /// Shows the device what was handed over, and wakes it where it wants to be.
    pub(crate) fn notify(&mut self, transport: &mut impl Transport) {
        if self.handed == self.told {
            return;
        }
        fence(Ordering::SeqCst);
        // SAFETY: the index is ours to write.
        unsafe { write_volatile(&raw mut (*self.available).index, self.handed) };
        self.told = self.handed;
        fence(Ordering::SeqCst);
        // SAFETY: the flags are the device's to write.
        if unsafe { read_volatile(&raw const (*self.used).flags) } & QUIET == 0 {
            transport.notify(self.number);
        }
    }

    /// Whether a buffer has come back.
    pub(crate) fn has_used(&self) -> bool {
        // SAFETY: the index is the device's to write.
        unsafe { read_volatile(&raw const (*self.used).index) != self.taken }
    }

    /// The next buffer that came back, and how many bytes of it the device wrote.
    pub(crate) fn take(&mut self) -> Option<(u16, usize)> {
        if !self.has_used() {
            return None;
        }
        fence(Ordering::Acquire);
        // SAFETY: the device wrote this entry before the index.
        let element =
            unsafe { read_volatile(&raw const (*self.used).ring[usize::from(self.taken) % N]) };
        self.taken = self.taken.wrapping_add(1);
        Some((
            element.id as u16 % N as u16,
            (element.length as usize).min(SIZE),
        ))
    }

    /// Whether the device shall interrupt when a buffer comes back.
    pub(crate) fn interrupt(&mut self, wanted: bool) {
        // SAFETY: the flags are ours to write.
        unsafe {
            write_volatile(
                &raw mut (*self.available).flags,
                if wanted { 0 } else { QUIET },
            )
        };
        fence(Ordering::SeqCst);
    }
}
