//! `uname`: what the running kernel calls itself, from the system call.

use std::ffi::CStr;

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

const INFO: Metric = Metric::gauge(
    "node_uname_info",
    "Labeled system information as provided by the uname system call.",
);

pub(crate) struct Uname;

impl Collector for Uname {
    fn collect(&mut self, _: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let uname = rustix::system::uname();
        let text = CStr::to_string_lossy;
        let labels = [
            ("domainname", &*text(uname.domainname())),
            ("machine", &*text(uname.machine())),
            ("nodename", &*text(uname.nodename())),
            ("release", &*text(uname.release())),
            ("sysname", &*text(uname.sysname())),
            ("version", &*text(uname.version())),
        ];
        out.add(&INFO, &labels, 1.0);
        Ok(())
    }
}
