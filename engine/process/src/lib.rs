//! A handle to a process that is not our child: it can be signalled and waited for, and never comes to mean another process.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process, by the kernel's handle to it.
#[derive(Debug)]
pub struct Pidfd {
    pid: Pid,
    /// Readable once the process has ended.
    handle: AsyncFd<OwnedFd>,
}

impl Pidfd {
    /// Opens the handle. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When no such process is there.
    pub fn open(pid: Pid) -> io::Result<Self> {
        let handle = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        // Deprecated because a type may give another descriptor each time it is asked; OwnedFd does not, and what replaces it
        // is unsafe to call.
        #[expect(deprecated)]
        let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
        Ok(Pidfd { pid, handle })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Returns when the process has ended.
    pub async fn ended(&self) {
        // The only error is that of a closing runtime, at which nobody is interested in the answer any more.
        let _ = self.handle.readable().await;
    }

    /// Says whether the process was there to get it.
    pub fn send(&self, signal: Signal) -> bool {
        rustix::process::pidfd_send_signal(self.handle.get_ref(), signal).is_ok()
    }
}
