//! `format` of strings: those that Kubernetes checks (its `strfmt` registry). Other formats are notes for the reader and
//! are not checked.

mod checksum;
mod time;

use std::net::{Ipv4Addr, Ipv6Addr};

use checksum::{credit_card, isbn10, isbn13};
use time::{date, date_time, duration};

/// The formats that are checked, in alphabetical order.
const KNOWN: &[&str] = &[
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "date-time",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Whether values of this format are checked.
pub(crate) fn known(format: &str) -> bool {
    KNOWN.contains(&format)
}

/// Whether `text` is of the format.
pub(super) fn valid(format: &str, text: &str) -> bool {
    match format {
        "bsonobjectid" => text.len() == 24 && hex(text),
        "byte" => base64(text),
        "cidr" => text
            .split_once('/')
            .is_some_and(|(address, bits)| cidr(address, bits)),
        "creditcard" => credit_card(text),
        "date" => date(text),
        "date-time" | "datetime" => date_time(text),
        "duration" => duration(text),
        "email" => email(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && hex(digits)
        }
        "hostname" => hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "mac" => mac(text),
        "rgbcolor" => rgb(text),
        "ssn" => {
            let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
            digits.len() == 9
                && digits.bytes().all(|b| b.is_ascii_digit())
                && matches!(text.len(), 9..=11)
        }
        "uri" => uri(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some(b'3')),
        "uuid4" => uuid(text, Some(b'4')),
        "uuid5" => uuid(text, Some(b'5')),
        _ => true,
    }
}

/// A float as Go's `%v` prints it: `0.5`, `1e+06`.
pub(super) fn float(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn cidr(address: &str, bits: &str) -> bool {
    let plain = !bits.is_empty()
        && bits.bytes().all(|b| b.is_ascii_digit())
        && (bits == "0" || !bits.starts_with('0'));
    let Some(bits) = plain.then(|| bits.parse::<u32>().ok()).flatten() else {
        return false;
    };
    (address.parse::<Ipv4Addr>().is_ok() && bits <= 32)
        || (address.parse::<Ipv6Addr>().is_ok() && bits <= 128)
}

fn email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let dotted = |part: &str| !part.is_empty() && part.split('.').all(|atom| !atom.is_empty());
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    (quoted || (dotted(local) && local.chars().all(atom)))
        && dotted(domain)
        && domain.chars().all(atom)
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    !text.is_empty() && text.len() <= 255 && text.split('.').all(label)
}

fn mac(text: &str) -> bool {
    let of = |separator: char, width: usize, counts: &[usize]| {
        let groups: Vec<&str> = text.split(separator).collect();
        counts.contains(&groups.len())
            && groups
                .iter()
                .all(|group| group.len() == width && hex(group))
    };
    of(':', 2, &[6, 8, 20]) || of('-', 2, &[6, 8, 20]) || of('.', 4, &[3, 4, 10])
}

fn rgb(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix("rgb(")
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return false;
    };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

/// A URI as a request line may carry it: absolute, or a path from the root.
fn uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && rest.starts_with('/')
    })
}

fn uuid(text: &str, version: Option<u8>) -> bool {
    let bare: String = if text.len() == 36 {
        if [8, 13, 18, 23]
            .iter()
            .any(|&at| text.as_bytes()[at] != b'-')
        {
            return false;
        }
        text.chars().filter(|&c| c != '-').collect()
    } else {
        text.to_owned()
    };
    if bare.len() != 32 || !hex(&bare) {
        return false;
    }
    let variant = matches!(
        bare.as_bytes()[16].to_ascii_lowercase(),
        b'8' | b'9' | b'a' | b'b'
    );
    match version {
        None => true,
        Some(b'3') => bare.as_bytes()[12] == b'3',
        Some(version) => bare.as_bytes()[12] == version && variant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_and_refuse() {
        let check = |format: &str, good: &[&str], bad: &[&str]| {
            assert!(known(format), "{format}");
            for text in good {
                assert!(valid(format, text), "{text:?} is a {format}");
            }
            for text in bad {
                assert!(!valid(format, text), "{text:?} is no {format}");
            }
        };
        check(
            "date-time",
            &["2026-11-24T03:17:00Z", "2026-11-24t03:17:60.123+01:00"],
            &[
                "2026-11-24",
                "2026-11-24T24:00:00Z",
                "2026-11-24T03:17:00",
                "2026-02-30T03:17:00Z",
                "2026-11-24T03:17:00.Z",
                "é",
            ],
        );
        check("date", &["2024-02-29"], &["2023-02-29", "20240229", "x"]);
        check(
            "duration",
            &["1h30m", "300ms", "-1.5h", "0", "2 days", "1 hour 3min"],
            &["", "1", "h", "1 parsec"],
        );
        check(
            "email",
            &["a.b@c.de", "A B <a@b>"],
            &["a", "a@", "@b", "a@b@c d", "a..b@c"],
        );
        check("uri", &["http://a/b", "/a"], &["a", "", "http//a", "a b"]);
        check(
            "hostname",
            &["a", "a.b-c.de", "a.b."],
            &["", "-a", "a_b", "a..b"],
        );
        check("ipv4", &["10.0.0.1"], &["10.0.0", "10.0.0.256", "::1"]);
        check("ipv6", &["::1", "fe80::1"], &["10.0.0.1", "x"]);
        check(
            "cidr",
            &["10.0.0.0/8", "::/0"],
            &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "::/129"],
        );
        check(
            "mac",
            &["01:23:45:67:89:ab", "0123.4567.89ab"],
            &["01:23:45", "0g:23:45:67:89:ab"],
        );
        check(
            "uuid",
            &[
                "123e4567-e89b-12d3-a456-426614174000",
                "123e4567e89b12d3a456426614174000",
            ],
            &["123e4567", "123e4567-e89b-12d3-a456-42661417400g"],
        );
        check(
            "uuid4",
            &["123e4567-e89b-42d3-a456-426614174000"],
            &["123e4567-e89b-12d3-a456-426614174000"],
        );
        check(
            "uuid3",
            &["123e4567-e89b-32d3-a456-426614174000"],
            &["123e4567-e89b-42d3-a456-426614174000"],
        );
        check(
            "uuid5",
            &["123e4567-e89b-52d3-a456-426614174000"],
            &["123e4567-e89b-52d3-c456-426614174000"],
        );
        check(
            "isbn",
            &["978-3-16-148410-0", "0-306-40615-2"],
            &["978-3-16-148410-1", "x"],
        );
        check("isbn10", &["0-8044-2957-X"], &["0-8044-2957-1"]);
        check("isbn13", &["978-3-16-148410-0"], &["0-306-40615-2"]);
        check(
            "creditcard",
            &["4111 1111 1111 1111"],
            &["4111 1111 1111 1112", "1"],
        );
        check("ssn", &["111-11-1111", "111111111"], &["111-11-111", "a"]);
        check("hexcolor", &["#fff", "FF00aa"], &["#ff", "#gggggg"]);
        check("rgbcolor", &["rgb(1, 2,255)"], &["rgb(1,2,256)", "1,2,3"]);
        check("byte", &["aGk=", ""], &["a", "a=b=", "a$bc"]);
        check(
            "bsonobjectid",
            &["507f1f77bcf86cd799439011"],
            &["507f1f77bcf86cd79943901"],
        );
        check("password", &["anything"], &[]);
        assert!(!known("int32") && !known("made-up"));
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for (value, text) in [
            (0.5, "0.5"),
            (10.0, "10"),
            (-1.25, "-1.25"),
            (123_456.0, "123456"),
            (1e6, "1e+06"),
            (1e-5, "1e-05"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
