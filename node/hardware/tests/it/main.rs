//! Machines of all kinds, written down in `tests/machines`, read from another root; and this one.

mod figure_12;
mod garbage;
mod machines;
mod tosca;
mod tree;
