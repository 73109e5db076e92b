//! The rules as a whole: against promtool, against what is exported, and against the documentation.

mod documentation;
mod metrics;
mod names;
mod promtool;
mod rules;
