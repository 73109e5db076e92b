//! A thin client of nftables: whole rulesets go to `nft -f -`, which the kernel applies as one transaction.
//!
//! The one thing to know: nothing here edits single rules. A caller computes the ruleset of its own table and replaces it;
//! either all of it holds afterwards or nothing has changed.

use std::process::Stdio;

use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why a ruleset does not hold. Nothing has changed in the kernel.
#[derive(Debug, Error)]
pub enum NftError {
    /// The program is not there.
    #[error("nft is not installed: install the Debian package nftables")]
    Missing,
    /// The program could not be run.
    #[error("cannot run nft")]
    Run(#[source] std::io::Error),
    /// nft or the kernel refused the ruleset.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
}

/// Applies `ruleset` (nft's native syntax) as one transaction.
///
/// # Errors
/// When nft is missing or refuses; the kernel's rules are then as before.
pub async fn apply(ruleset: &str) -> Result<(), NftError> {
    run(&["-f", "-"], ruleset.as_bytes()).await.map(drop)
}

/// The ruleset of one table as nft prints it; `None` when there is no such table.
///
/// # Errors
/// When nft is missing or fails for another reason.
pub async fn list_table(family: &str, table: &str) -> Result<Option<String>, NftError> {
    match run(&["list", "table", family, table], b"").await {
        Ok(text) => Ok(Some(text)),
        Err(NftError::Refused(why)) if why.contains("No such file or directory") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a table and all in it; a table that is not there is fine.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn delete_table(family: &str, table: &str) -> Result<(), NftError> {
    // `add` first, so that deleting cannot fail for want of the table.
    apply(&format!(
        "add table {family} {table}\ndelete table {family} {table}\n"
    ))
    .await
}

async fn run(arguments: &[&str], input: &[u8]) -> Result<String, NftError> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                NftError::Missing
            } else {
                NftError::Run(e)
            }
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft that ends early says why on stderr; a broken pipe here adds nothing to that.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await.map_err(NftError::Run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(NftError::Refused(text.trim().chars().take(2000).collect()))
}
