//! Images: how they are named, made, brought in and thrown away.

pub mod archive;
pub mod collect;
pub mod import;
pub mod pause;
pub mod reference;
