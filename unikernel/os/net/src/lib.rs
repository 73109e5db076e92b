//! What a network device offers: Ethernet frames, handed over in batches, in the device's own buffers.
//!
//! A network stack stands on it, or an application that wants no stack.
#![no_std]

/// A network device: two halves, so that an answer can be written while the question is still in its buffer.
pub trait Device {
    /// The half that frames come from.
    type Receiver: Receive;
    /// The half that frames go to.
    type Sender: Send;

    /// Its hardware address.
    fn address(&self) -> [u8; 6];

    /// Both halves.
    fn halves(&mut self) -> (&mut Self::Receiver, &mut Self::Sender);

    /// Tells the device of all that was filled and given back since the last time: one notification for each half at most.
    fn flush(&mut self);

    /// Answers the device's interrupt.
    fn acknowledge(&mut self);
}

/// Where frames come from.
pub trait Receive {
    /// Gives each frame that has come to `each`, at most `most` of them; the buffer is the device's again after that. Returns how many
    /// there were.
    fn receive(&mut self, most: usize, each: impl FnMut(&mut [u8])) -> usize;

    /// Whether something has come that was not received.
    fn has_received(&self) -> bool;

    /// Asks for an interrupt when a frame comes, or for none.
    fn interrupt(&mut self, wanted: bool);
}

/// Where frames go to.
pub trait Send {
    /// Lets `fill` write a frame of `length` bytes, to be sent with the next [`Device::flush`]. `None` when all buffers are on their
    /// way or the frame is too long; nothing was called then.
    fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R>;

    /// Whether there is a buffer.
    fn can_send(&mut self) -> bool;
}

/// Bytes of the longest frame: no virtual networks, no jumbo frames.
pub const LONGEST: usize = 1514;
