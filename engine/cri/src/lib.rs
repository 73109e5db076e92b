//! A thin client of a container runtime's CRI v1 endpoint, and of containerd's event stream.
//!
//! It adds three things to the generated stubs and nothing else: a deadline for every call ([`Client`]), errors that name the
//! call and what it was about ([`CallError`]), and a connection over a Unix socket that mends itself. Know before changing:
//! the messages ([`v1`]) are compiled from `proto/cri.proto`, which names only the fields that Minicloud uses.

mod client;
mod error;
mod events;
mod v1_messages;

pub use client::{Client, MAX_MESSAGE_BYTES};
pub use error::{CallError, ErrorKind};
pub use events::{Event, EventKind, Events};
pub use v1_messages::runtime as v1;
