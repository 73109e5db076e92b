//! Runs a host's network tools (`ip`, `conntrack`) with a deadline and errors that say what was run.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

/// No network tool takes longer than this on a healthy host.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `program` with the words of `arguments` and returns what it printed.
///
/// # Errors
/// When the program is missing, fails or does not end; the error has the command and what it said.
pub async fn run(program: &str, arguments: &str) -> anyhow::Result<String> {
    let child = Command::new(program)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {program}; is its package installed?"))?;
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .with_context(|| format!("`{program} {arguments}` did not end in {DEADLINE:?}"))?
        .with_context(|| format!("cannot wait for {program}"))?;
    if !output.status.success() {
        bail!(
            "`{program} {arguments}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
