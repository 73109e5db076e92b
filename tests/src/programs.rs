//! Running programs, with errors that hold what they said.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

/// Runs to the end; fails unless it succeeded. Returns what it printed.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "{:?} failed ({}): {}{}",
            command,
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end, however that is.
pub fn output(command: &mut Command) -> anyhow::Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))
}

/// The words of a line: separated by spaces, unless `'quoted'`.
pub fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    // Every other part is quoted; a quote in the middle of a word goes on with it, as in a shell.
    let mut joins = false;
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            match words.last_mut() {
                Some(last) if joins => last.push_str(part),
                _ => words.push(part.to_owned()),
            }
            joins = true;
            continue;
        }
        let glued = joins && !part.starts_with(char::is_whitespace);
        for (m, word) in part.split_whitespace().enumerate() {
            match words.last_mut() {
                Some(last) if m == 0 && glued => last.push_str(word),
                _ => words.push(word.to_owned()),
            }
        }
        joins = !part.is_empty() && !part.ends_with(char::is_whitespace);
    }
    words
}

#[test]
fn words_are_split_as_in_a_shell() {
    assert_eq!(
        words("patch cm a -p '{\"a\": 1}' -o=jsonpath='{.a}{\"\\n\"}'  x"),
        [
            "patch",
            "cm",
            "a",
            "-p",
            "{\"a\": 1}",
            "-o=jsonpath={.a}{\"\\n\"}",
            "x"
        ]
    );
    assert_eq!(words(" sh -c 'exit 7' ''"), ["sh", "-c", "exit 7", ""]);
}

/// kubectl, as `cargo xtask` found it.
pub fn kubectl() -> PathBuf {
    std::env::var_os("MINICLOUD_KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from)
}

/// A Python with the official Kubernetes client, as `cargo xtask` made it.
pub fn python() -> PathBuf {
    std::env::var_os("MINICLOUD_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// The program under test, as `cargo xtask` built it: beside this test's own folder.
pub fn minicloud() -> PathBuf {
    if let Some(path) = std::env::var_os("MINICLOUD_BIN") {
        return path.into();
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let found = exe
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("minicloud"))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("build it first: cargo build --package minicloud"))
}
