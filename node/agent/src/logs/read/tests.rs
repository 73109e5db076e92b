use std::io::Write as _;
use std::time::Duration;

use super::*;

fn entry(n: u32, stream: &str, tag: &str, text: &str) -> String {
    format!("2026-01-02T03:04:{n:02}.000000000Z {stream} {tag} {text}\n")
}

async fn read(text: &str, options: Options) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("0.log");
    std::fs::write(&path, text).expect("writes");
    let (sender, mut receiver) = mpsc::channel(4);
    let (_alive, alive) = watch::channel(false);
    let reading = tokio::spawn(async move { stream(&path, options, alive, &sender).await });
    let mut out = Vec::new();
    while let Some(chunk) = receiver.recv().await {
        out.extend_from_slice(&chunk);
    }
    reading.await.expect("runs").expect("reads");
    String::from_utf8(out).expect("text")
}

fn all() -> Options {
    Options {
        stdout: true,
        stderr: true,
        ..Options::default()
    }
}

#[tokio::test]
async fn what_is_wanted() {
    let log = [
        entry(1, "stdout", "F", "one"),
        entry(2, "stderr", "F", "two"),
        entry(3, "stdout", "P", "thr"),
        entry(3, "stdout", "F", "ee"),
        "garbage\n".into(),
        entry(4, "stdout", "F", ""),
    ]
    .concat();
    let cases: Vec<(Options, &str)> = vec![
        (all(), "one\ntwo\nthree\n\n"),
        (
            Options {
                stderr: false,
                ..all()
            },
            "one\nthree\n\n",
        ),
        (
            Options {
                stdout: false,
                ..all()
            },
            "two\n",
        ),
        (
            Options {
                limit_bytes: Some(6),
                ..all()
            },
            "one\ntw",
        ),
        (
            Options {
                limit_bytes: Some(0),
                ..all()
            },
            "",
        ),
        (
            Options {
                since: Some("2026-01-02T03:04:03Z".parse().expect("a time")),
                ..all()
            },
            "three\n\n",
        ),
        (
            Options {
                tail_lines: Some(0),
                ..all()
            },
            "",
        ),
        (
            Options {
                tail_lines: Some(1),
                ..all()
            },
            "\n",
        ),
        (
            Options {
                tail_lines: Some(100),
                ..all()
            },
            "one\ntwo\nthree\n\n",
        ),
        (
            Options {
                tail_lines: Some(0),
                follow: true,
                ..all()
            },
            "",
        ),
        (
            Options {
                timestamps: true,
                tail_lines: None,
                stderr: false,
                ..all()
            },
            "2026-01-02T03:04:01.000000000Z one\n2026-01-02T03:04:03.000000000Z three\n2026-01-02T03:04:04.000000000Z \n",
        ),
    ];
    for (options, expect) in cases {
        assert_eq!(read(&log, options.clone()).await, expect, "{options:?}");
    }
    assert_eq!(read("", all()).await, "");
    assert_eq!(
        read("2026-01-02T03:04:01Z stdout F cut", all()).await,
        "cut\n",
        "what a crash cut off is shown"
    );
}

#[tokio::test]
async fn tails_of_every_length_over_blocks() {
    let lines: Vec<String> = (0..2000)
        .map(|n| format!("line {n} {}", "x".repeat(n % 97)))
        .collect();
    let log: String = lines
        .iter()
        .enumerate()
        .map(|(n, text)| {
            // Every seventh line is in two entries.
            let half = if n % 7 == 0 { text.len() / 2 } else { 0 };
            let first = if half > 0 {
                entry(1, "stdout", "P", &text[..half])
            } else {
                String::new()
            };
            first + &entry(1, "stdout", "F", &text[half..])
        })
        .collect();
    for count in [1, 2, 6, 7, 8, 50, 999, 1999, 2000, 2001] {
        let expect: String = lines[lines.len().saturating_sub(count)..]
            .iter()
            .map(|l| format!("{l}\n"))
            .collect();
        let found = read(
            &log,
            Options {
                tail_lines: Some(count as u64),
                ..all()
            },
        )
        .await;
        assert_eq!(found.lines().count(), expect.lines().count(), "{count}");
        assert_eq!(found, expect, "{count}");
    }
}

#[tokio::test]
async fn follows_over_rotation_until_the_container_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("0.log");
    std::fs::write(&path, entry(1, "stdout", "F", "old")).expect("writes");
    let (sender, mut receiver) = mpsc::channel(4);
    let (alive, ended) = watch::channel(true);
    let (log, options) = (
        path.clone(),
        Options {
            follow: true,
            ..all()
        },
    );
    let reading = tokio::spawn(async move { stream(&log, options, ended, &sender).await });
    let mut seen = String::new();
    let mut expect = async |text: &str| {
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        while seen != text {
            let chunk = tokio::time::timeout_at(until, receiver.recv())
                .await
                .expect("in time")
                .expect("a chunk");
            seen.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    };
    expect("old\n").await;
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("opens");
        file.write_all(text.as_bytes()).expect("writes");
        file
    };
    let mut before = append(&entry(2, "stdout", "F", "a"));
    expect("old\na\n").await;
    std::fs::rename(&path, dir.path().join("0.log.20260102")).expect("renames");
    // The engine still has the old file open until it is told.
    before
        .write_all(entry(3, "stdout", "F", "b").as_bytes())
        .expect("writes");
    append(&entry(4, "stdout", "F", "c"));
    expect("old\na\nb\nc\n").await;
    append(&entry(5, "stdout", "F", "d"));
    alive.send_replace(false);
    expect("old\na\nb\nc\nd\n").await;
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("ends")
        .expect("runs")
        .expect("reads");
}

/// Gives the log the name of an older one.
fn rename(path: &Path, second: u32) {
    let mut older = path.as_os_str().to_owned();
    older.push(format!(".20260102-0304{second:02}"));
    std::fs::rename(path, older).expect("renames");
}

#[tokio::test]
async fn a_slow_follower_misses_no_rotation() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("0.log");
    std::fs::write(&path, entry(1, "stdout", "F", "one")).expect("writes");
    let (sender, mut receiver) = mpsc::channel(4);
    let (ended, alive) = watch::channel(true);
    let options = Options {
        follow: true,
        ..all()
    };
    let followed = path.clone();
    let reading = tokio::spawn(async move { stream(&followed, options, alive, &sender).await });
    assert_eq!(receiver.recv().await.expect("a chunk"), "one\n");
    // The follower does not run meanwhile: there is one thread, and nothing is awaited.
    let mut first = std::fs::File::options()
        .append(true)
        .open(&path)
        .expect("opens");
    for (second, text) in [(1, "three"), (2, "four"), (3, "five")] {
        rename(&path, second);
        std::fs::write(&path, entry(second, "stdout", "F", text)).expect("writes");
    }
    // What the writer still had in hand when the log was renamed.
    tokio::time::sleep(QUIET / 2).await;
    first
        .write_all(entry(1, "stdout", "F", "two").as_bytes())
        .expect("writes");
    let mut out = Vec::new();
    while !out.ends_with(b"five\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(10), receiver.recv());
        out.extend_from_slice(&chunk.await.expect("in time").expect("a chunk"));
    }
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "two\nthree\nfour\nfive\n"
    );
    ended.send_replace(false);
    reading.await.expect("runs").expect("reads");
}
