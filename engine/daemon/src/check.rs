//! Asking a daemon's own program whether a file is good, before the daemon gets to see it: one mistake in one of many pieces must
//! not cost the daemon all of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use tokio::process::Command;

use crate::User;

/// Where the program finds the text.
pub const CHECKED_FILE: &str = "/dev/stdin";

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of what it says is passed on.
const QUOTE_BYTES: usize = 1024;

/// Why a file is not known to be good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is bad; what the program says. Report to who wrote it.
    #[error("{0}")]
    Refused(String),
    /// The program cannot be asked. Try again later, or go without.
    #[error("{program} cannot be asked: {source}")]
    Unable {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// Runs `program` with these arguments, which name [`CHECKED_FILE`], as `user` without any rights. Good is what it ends well with.
///
/// # Errors
/// When the text is refused, or the program does not run or does not end.
pub async fn check(
    program: &Path,
    arguments: &[&str],
    text: &str,
    user: User,
) -> Result<(), CheckError> {
    let unable = |source| CheckError::Unable {
        program: program.display().to_string(),
        source,
    };
    let ended = run(program, arguments, text, user);
    let output = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(unable)?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(QUOTE_BYTES)..]);
    Err(CheckError::Refused(said.trim().to_owned()))
}

async fn run(
    program: &Path,
    arguments: &[&str],
    text: &str,
    user: User,
) -> io::Result<std::process::Output> {
    if !program.exists() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // In memory: there is nothing to remove, and whoever the program runs as may open it anew.
    let mut file = File::from(rustix::fs::memfd_create("checked", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    let (uid, gid) = (user.uid, user.gid);
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={uid}"), format!("--regid={gid}")])
        .args(["--clear-groups", "--no-new-privs", "--bounding-set=-all"])
        .args(["--inh-caps=-all", "--"])
        .arg(program)
        .args(arguments.iter().map(OsStr::new));
    command
        .env_clear()
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir("/")
        .kill_on_drop(true)
        .output()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_good_or_the_reason_is_told() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let user = User {
            uid: 65_000,
            gid: 65_000,
        };
        let ask = async |program: &str, text: &str| {
            let script = "test $(id -u) = 65000 || echo not that user; cat $0; grep -q good $0";
            let arguments = ["-c", script, CHECKED_FILE];
            check(Path::new(program), &arguments, text, user).await
        };
        ask("/bin/sh", "a good one").await.unwrap();
        let refused = ask("/bin/sh", "a bad one").await.unwrap_err();
        assert_eq!(refused.to_string(), "a bad one");
        let unable = ask("/nonexistent", "").await.unwrap_err();
        assert!(matches!(unable, CheckError::Unable { .. }), "{unable}");
    }
}
