//! What can be done with objects, one file per verb. All of it is generic over [`crate::registry::Resource`].

pub(crate) mod body;
pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod delete_options;
pub(crate) mod deletion;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod output;
pub(crate) mod patch;
pub(crate) mod update;
pub(crate) mod watch;
