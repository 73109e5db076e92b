//! Dates, times and durations.

pub(super) fn date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

pub(super) fn date_time(text: &str) -> bool {
    let Some((day, time)) = text.split_once(['T', 't']) else {
        return false;
    };
    if !date(day) || !time.is_ascii() || time.len() < 9 {
        return false;
    }
    let two = |part: &str, max: u32| {
        part.len() == 2
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse().is_ok_and(|n: u32| n <= max)
    };
    let clock = two(&time[0..2], 23)
        && &time[2..3] == ":"
        && two(&time[3..5], 59)
        && &time[5..6] == ":"
        && two(&time[6..8], 60);
    let mut zone = &time[8..];
    if let Some(fraction) = zone.strip_prefix('.') {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if zone.len() == fraction.len() {
            return false;
        }
    }
    let offset = zone.len() == 6
        && zone.starts_with(['+', '-'])
        && two(&zone[1..3], 23)
        && &zone[3..4] == ":"
        && two(&zone[4..6], 59);
    clock && (matches!(zone, "Z" | "z") || offset)
}

/// Go's durations (`1h30m`), and words (`2 days`).
pub(super) fn duration(text: &str) -> bool {
    let text = text.trim();
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if body == "0" {
        return true;
    }
    const UNITS: &[&str] = &[
        "ns", "nano", "us", "µs", "μs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr",
        "hour", "d", "day", "w", "wk", "week",
    ];
    let mut rest = body;
    let mut any = false;
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - after.len()];
        let after = after.trim_start();
        let tail = after.trim_start_matches(char::is_alphabetic);
        let unit = &after[..after.len() - tail.len()];
        let known = UNITS
            .iter()
            .any(|known| unit == *known || (known.len() > 2 && unit.starts_with(known)));
        if number.parse::<f64>().is_err() || !known {
            return false;
        }
        any = true;
        rest = tail.trim_start();
    }
    any
}
