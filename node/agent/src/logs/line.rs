//! One line of CRI's log format: `TIME STREAM TAGS CONTENT`, e.g. `2026-01-02T03:04:05.678901234Z stdout F hello`. Pure.

use jiff::Timestamp;

/// A parsed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written.
    pub at: Timestamp,
    /// The time as it stands there.
    pub time: &'a [u8],
    /// Standard error, else standard output.
    pub stderr: bool,
    /// The container's line goes on in the next entry.
    pub partial: bool,
    /// What the container wrote, without a line end.
    pub content: &'a [u8],
}

/// Parses a line with or without its end; `None` for what is not one.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.splitn(4, |b| *b == b' ');
    let time = parts.next()?;
    let at = std::str::from_utf8(time).ok()?.parse().ok()?;
    let stderr = match parts.next()? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    // Tags are separated by colons; the first says whether the line is whole.
    let partial = parts.next()?.split(|b| *b == b':').next()? == b"P";
    Some(Line {
        at,
        time,
        stderr,
        partial,
        content: parts.next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |line: &str, expect: Option<(bool, bool, &str)>| {
            let found = parse(line.as_bytes());
            let found = found.as_ref().map(|l| {
                (
                    l.stderr,
                    l.partial,
                    std::str::from_utf8(l.content).expect("text"),
                )
            });
            assert_eq!(found, expect, "{line}");
        };
        check(
            "2026-01-02T03:04:05.678901234Z stdout F hello world\n",
            Some((false, false, "hello world")),
        );
        check(
            "2026-01-02T03:04:05.678901234+01:00 stderr P part",
            Some((true, true, "part")),
        );
        check(
            "2026-01-02T03:04:05Z stdout F:x a",
            Some((false, false, "a")),
        );
        check("2026-01-02T03:04:05Z stdout F ", Some((false, false, "")));
        check("2026-01-02T03:04:05Z stdout F", Some((false, false, "")));
        check("2026-01-02T03:04:05Z other F x", None);
        check("yesterday stdout F x", None);
        check("", None);
    }
}
