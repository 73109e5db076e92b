//! containerd's shims, found in `/proc`: each is told by the socket of the containerd that it was started for.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal};

use crate::proc;

/// A shim's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shim {
    pub(crate) pid: Pid,
    /// When it was started, in ticks since boot: a process id comes to mean another process, this with it does not.
    since: u64,
}

/// The shims of the containerd at `socket`, with the sandbox that each was started for.
pub(crate) fn of(socket: &Path) -> Vec<(Shim, String)> {
    let found = proc::processes().filter_map(|pid| {
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let sandbox = sandbox_of(&command, socket)?;
        let since = stat(pid)?.1;
        Some((Shim { pid, since }, sandbox))
    });
    found.collect()
}

/// Ends a shim and what it has started.
pub(crate) fn kill(shim: Shim) {
    let children: Vec<Pid> = proc::processes()
        .filter(|pid| {
            stat(*pid).is_some_and(|(parent, _)| parent == shim.pid.as_raw_nonzero().get())
        })
        .collect();
    // Its own end must come first, or it would see to the children's as to any container's.
    if stat(shim.pid).is_some_and(|(_, since)| since == shim.since) {
        let _ = rustix::process::kill_process(shim.pid, Signal::KILL);
        for pid in children {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Shims that no sandbox stands behind, now and at the look before.
pub(crate) fn orphans(
    shims: Vec<(Shim, String)>,
    sandboxes: &HashSet<String>,
    suspects: &mut HashSet<Shim>,
) -> Vec<(Shim, String)> {
    let alone: Vec<(Shim, String)> = shims
        .into_iter()
        .filter(|(_, sandbox)| !sandboxes.contains(sandbox))
        .collect();
    let before = std::mem::replace(suspects, alone.iter().map(|(shim, _)| *shim).collect());
    alone
        .into_iter()
        .filter(|(shim, _)| before.contains(shim))
        .collect()
}

/// A process' parent and start.
fn stat(pid: Pid) -> Option<(i32, u64)> {
    parse_stat(&proc::text(pid.as_raw_nonzero(), "stat"))
}

fn parse_stat(text: &str) -> Option<(i32, u64)> {
    let fields = proc::stat_fields(text);
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// The sandbox in a shim's command line, if it is one of the containerd at `socket`.
fn sandbox_of(command: &[u8], socket: &Path) -> Option<String> {
    let words: Vec<&[u8]> = command.split(|b| *b == 0).collect();
    let is_shim = words[0].windows(15).any(|part| part == b"containerd-shim");
    let after = |flag: &[u8]| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    if !is_shim || after(b"-address") != Some(socket.as_os_str().as_encoded_bytes()) {
        return None;
    }
    String::from_utf8(after(b"-id")?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shims_are_told_by_their_socket() {
        let shim = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0x\0-address\0/r/containerd.sock\0";
        let check = |command: &[u8], socket: &str| sandbox_of(command, Path::new(socket));
        assert_eq!(check(shim, "/r/containerd.sock").as_deref(), Some("x"));
        assert_eq!(check(shim, "/run/containerd/containerd.sock"), None);
        assert_eq!(
            check(b"vi\0-address\0/r/containerd.sock\0", "/r/containerd.sock"),
            None
        );
        assert_eq!(check(b"", "/r/containerd.sock"), None);
    }

    #[test]
    fn parent_and_start_are_read() {
        let text = "17 (a (b) c) S 4 17 17 0 -1 4194560 1 2 33 4 50 6 7 8 20 0 11 0 12345 9";
        assert_eq!(parse_stat(text), Some((4, 12345)));
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn what_is_alone_twice_is_an_orphan() {
        let shim = |pid, since| Shim {
            pid: Pid::from_raw(pid).unwrap(),
            since,
        };
        let mut suspects = HashSet::new();
        let mut look = |shims: &[(Shim, &str)]| {
            let shims = shims.iter().map(|(s, id)| (*s, (*id).to_owned())).collect();
            let sandboxes = HashSet::from(["known".to_owned()]);
            let found = orphans(shims, &sandboxes, &mut suspects);
            found.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
        };
        let known = (shim(1, 1), "known");
        assert!(look(&[known, (shim(2, 2), "lost")]).is_empty());
        assert!(
            look(&[known, (shim(2, 9), "new")]).is_empty(),
            "another process"
        );
        assert_eq!(look(&[known, (shim(2, 9), "new")]), ["new"]);
        assert!(look(&[known]).is_empty());
    }
}
