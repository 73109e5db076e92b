//! A network namespace with one address and no way out.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::programs::run;

/// The namespace; removed when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

/// The address of the machine in the namespace.
pub const ADDRESS: &str = "10.99.0.1";

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Netns {
    /// Makes a namespace named after this process.
    ///
    /// # Errors
    /// When this is not root, or iproute2 is missing.
    pub fn new() -> anyhow::Result<Self> {
        let name = format!(
            "mct-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name };
        for line in [
            "link set lo up".to_owned(),
            // Both ends stay inside: an interface with an address that leads nowhere.
            "link add eth0 type veth peer name wire".to_owned(),
            format!("addr add {ADDRESS}/24 dev eth0"),
            "link set eth0 up".to_owned(),
            "link set wire up".to_owned(),
        ] {
            run(netns.command("ip").args(line.split(' ')))?;
        }
        Ok(netns)
    }

    /// Where the namespace is kept open.
    pub fn path(&self) -> std::path::PathBuf {
        format!("/run/netns/{}", self.name).into()
    }

    /// Moves the calling thread inside, and with it the threads that it starts from now on.
    ///
    /// # Errors
    /// When this is not root.
    pub fn enter(&self) -> anyhow::Result<()> {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        let namespace = std::fs::File::open(self.path())?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// A program that will run inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        // Not `ip netns exec`: that would hide the cgroups by a new /sys.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .arg(program);
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "delete", &self.name])) {
            eprintln!("the namespace {} is left: {error:#}", self.name);
        }
    }
}
