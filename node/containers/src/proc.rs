//! What `/proc` says of processes (proc(5)).

use std::fmt::Display;
use std::fs;

use rustix::process::Pid;

/// All processes there are now.
pub(crate) fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse().ok().and_then(Pid::from_raw)
    })
}

/// The text of a file of a process' folder; empty when the process is gone.
pub(crate) fn text(pid: impl Display, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// The fields of a text of `/proc/PID/stat` from the third on, the state, which comes to be number 0: the second, the program's
/// name in parentheses, may hold anything.
pub(crate) fn stat_fields(text: &str) -> Vec<&str> {
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().collect()
}
