//! Who is told of alerts: Debian's Alertmanager, supervised, which sends mail or does what an `alertmanager.yml` of the
//! administrator's own says; or the URL of any Alertmanager; or nobody, which is the default.
//!
//! [`choice`] and [`config`] are pure; [`managed`] keeps the process; [`proxy`] is `/alertmanager` on port 3000.

pub mod choice;
pub mod config;
pub mod managed;
pub mod proxy;
