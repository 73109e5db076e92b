//! Machines of all kinds, written down in `tests/machines`, read from another root; and this one.

mod garbage;
mod machines;
mod tree;
