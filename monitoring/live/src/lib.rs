//! The live stream: how the machines are doing this second, for whoever watches, and never kept.
//!
//! Two halves, which meet on the wire. [`node`] is a node's: it measures its machine while somebody listens, and says when
//! something moved. [`follow`] is the server's: while somebody watches it follows every node once, however many watch, and
//! [`follow::Live`] gives each watcher what is new. Nobody watching, nothing happens.
//!
//! The one thing to know: nothing queues. A [`board::Board`] holds the newest line of each node, and a watcher who is slow finds
//! newer lines there, not more of them.

pub mod board;
mod change;
pub mod follow;
pub mod measurements;
pub mod node;
mod stream;
mod upstream;
