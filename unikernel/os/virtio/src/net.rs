//! The network device (virtio 1.2, section 5.1): two queues, no offloads.

use alloc::vec::Vec;

use bitflags::bitflags;
use uk_net::{Device, LONGEST, Receive, Send};
use virtio_drivers::transport::Transport;

use crate::queue::Queue;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const VERSION_1 = 1 << 32;
    }
}

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const BUFFERS: usize = 64;
/// A header of 12 bytes before each frame; ours is all zero: nothing is left to the device.
const HEADER: usize = 12;
/// With the header, and on a boundary that copies are quick on.
const SIZE: usize = 1536;

/// The device.
pub struct Net<T: Transport> {
    transport: T,
    address: [u8; 6],
    receiver: Receiver,
    sender: Sender,
}

/// Frames that have come.
pub struct Receiver(Queue<BUFFERS, SIZE>);

/// Frames on their way out.
pub struct Sender {
    queue: Queue<BUFFERS, SIZE>,
    /// Buffers that are ours.
    free: Vec<u16>,
}

impl<T: Transport> Net<T> {
    /// Sets the device up.
    pub fn new(mut transport: T) -> Self {
        let _ = transport.begin_init(Features::MAC | Features::VERSION_1);
        let mut address = [0; 6];
        for (n, byte) in address.iter_mut().enumerate() {
            *byte = transport.read_config_space(n).unwrap_or_default();
        }
        let mut receive = Queue::new(&mut transport, RECEIVE, true);
        let mut transmit = Queue::new(&mut transport, TRANSMIT, false);
        transport.finish_init();
        for n in 0..BUFFERS as u16 {
            receive.hand_over(n, SIZE);
        }
        receive.interrupt(false);
        transmit.interrupt(false);
        receive.notify(&mut transport);
        let sender = Sender {
            queue: transmit,
            free: (0..BUFFERS as u16).collect(),
        };
        Self {
            transport,
            address,
            receiver: Receiver(receive),
            sender,
        }
    }
}

impl<T: Transport> Device for Net<T> {
    type Receiver = Receiver;
    type Sender = Sender;

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn halves(&mut self) -> (&mut Receiver, &mut Sender) {
        (&mut self.receiver, &mut self.sender)
    }

    fn flush(&mut self) {
        self.sender.queue.notify(&mut self.transport);
        self.receiver.0.notify(&mut self.transport);
    }

    fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }
}

impl Receive for Receiver {
    fn receive(&mut self, most: usize, mut each: impl FnMut(&mut [u8])) -> usize {
        let mut count = 0;
        while count < most
            && let Some((id, length)) = self.0.take()
        {
            if let Some(frame) = self.0.buffer(id).get_mut(HEADER..length) {
                each(frame);
            }
            self.0.hand_over(id, SIZE);
            count += 1;
        }
        count
    }

    fn has_received(&self) -> bool {
        self.0.has_used()
    }

    fn interrupt(&mut self, wanted: bool) {
        self.0.interrupt(wanted);
    }
}

impl Send for Sender {
    fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if length > LONGEST || !self.can_send() {
            return None;
        }
        let id = self.free.pop()?;
        let buffer = self.queue.buffer(id);
        buffer[..HEADER].fill(0);
        let result = fill(&mut buffer[HEADER..HEADER + length]);
        self.queue.hand_over(id, HEADER + length);
        Some(result)
    }

    fn can_send(&mut self) -> bool {
        if self.free.is_empty() {
            while let Some((id, _)) = self.queue.take() {
                self.free.push(id);
            }
        }
        !self.free.is_empty()
    }
}
