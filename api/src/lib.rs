//! Types that every part of Minicloud shares. No I/O happens here.
//!
//! What lives here is what two parts need to mean the same thing by: Kubernetes' error body ([`status`]), its field
//! errors ([`field`]), quantities ([`quantity`]), selectors ([`selector`]), object names ([`names`]), who is asking
//! ([`user`]), how many places one client may take ([`share`]), the problem body of our own APIs ([`problem`]), the
//! interface by which a part joins the listener ([`part`]), what it says of API groups that it answers ([`extension`]) and
//! [`annotations`] of ours.

pub mod annotations;
pub mod extension;
pub mod field;
pub mod meta;
pub mod names;
pub mod part;
pub mod problem;
pub mod quantity;
pub mod selector;
pub mod share;
pub mod status;
pub mod user;
