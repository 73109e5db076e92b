//! Termination messages: what a container wrote into its message file, or the end of its log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::pod::{ANNOTATION_MESSAGE_PATH, ANNOTATION_MESSAGE_POLICY};
use crate::runtime::{ContainerState, ObservedContainer};
use crate::volumes::Dirs;

/// Longest message.
const MESSAGE_BYTES: u64 = 4096;
/// Longest end of a log that stands in for one.
const LOG_BYTES: usize = 2048;
const LOG_LINES: usize = 80;

/// The message of a container that is over; empty if there is none.
pub(super) fn read(container: &ObservedContainer, dirs: &Dirs) -> String {
    let failed =
        matches!(container.state, ContainerState::Exited { exit_code, .. } if exit_code != 0);
    let path = container
        .annotations
        .get(ANNOTATION_MESSAGE_PATH)
        .map(Path::new);
    // The path comes from the engine's records: only what is ours is read.
    let own = path.filter(|p| {
        p.starts_with(&dirs.run) && !p.components().any(|c| c == std::path::Component::ParentDir)
    });
    let text = own.and_then(|p| head(p).ok()).unwrap_or_default();
    let fallback = container
        .annotations
        .get(ANNOTATION_MESSAGE_POLICY)
        .is_some_and(|p| p == "FallbackToLogsOnError");
    if text.is_empty() && failed && fallback {
        log_end(&container.log_path).unwrap_or_default()
    } else {
        text
    }
}

fn head(path: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MESSAGE_BYTES)
        .read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn log_end(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    // The log's own format adds about 50 bytes to a line.
    let from = length.saturating_sub((LOG_BYTES + 50 * LOG_LINES) as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take((LOG_BYTES + 50 * LOG_LINES) as u64)
        .read_to_end(&mut bytes)?;
    let mut text = String::new();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let whole = if from == 0 {
        &lines[..]
    } else {
        lines.get(1..).unwrap_or_default()
    };
    for line in &whole[whole.len().saturating_sub(LOG_LINES)..] {
        if let Some(entry) = crate::logs::line::parse(line) {
            text.push_str(&String::from_utf8_lossy(entry.content));
            if !entry.partial {
                text.push('\n');
            }
        }
    }
    let cut = text.len().saturating_sub(LOG_BYTES);
    let cut = (cut..=text.len())
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    Ok(text.split_off(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_then_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let dirs = Dirs {
            data: dir.path().join("d"),
            run: dir.path().to_owned(),
        };
        let log = dir.path().join("0.log");
        let mut lines = String::new();
        for n in 0..200 {
            lines.push_str(&format!("2026-01-02T03:04:05.{n:09}Z stderr F line {n}\n"));
        }
        std::fs::write(&log, lines).expect("writes");
        let check = |exit_code, policy: &str, file: Option<&str>, expect: &dyn Fn(&str) -> bool| {
            let path = dir.path().join("m");
            let _ = std::fs::remove_file(&path);
            if let Some(text) = file {
                std::fs::write(&path, text).expect("writes");
            }
            let container = ObservedContainer {
                state: ContainerState::Exited {
                    started_at: None,
                    finished_at: jiff::Timestamp::UNIX_EPOCH,
                    exit_code,
                    reason: String::new(),
                    message: String::new(),
                },
                annotations: [
                    (
                        ANNOTATION_MESSAGE_PATH.to_owned(),
                        path.to_string_lossy().into_owned(),
                    ),
                    (ANNOTATION_MESSAGE_POLICY.to_owned(), policy.to_owned()),
                ]
                .into(),
                log_path: log.clone(),
                ..ObservedContainer::default()
            };
            let text = read(&container, &dirs);
            assert!(expect(&text), "{text}");
        };
        check(1, "File", Some("why"), &|t| t == "why");
        check(1, "File", None, &str::is_empty);
        check(0, "FallbackToLogsOnError", Some(""), &str::is_empty);
        check(1, "FallbackToLogsOnError", Some(""), &|t| {
            t.starts_with("line 120\n") && t.ends_with("line 199\n")
        });
        check(1, "File", Some(&"x".repeat(9000)), &|t| t.len() == 4096);
    }
}
