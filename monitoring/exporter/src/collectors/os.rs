//! `os`: which operating system is installed, from `/etc/os-release`, or `/usr/lib/os-release` where that is missing.

use std::collections::BTreeMap;

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const INFO: Metric = Metric::gauge(
    "node_os_info",
    "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, pretty_name, variant, \
     variant_id, version, version_codename, version_id.",
);
const VERSION: Metric = Metric::gauge(
    "node_os_version",
    "Metric containing the major.minor part of the OS version.",
);
/// `(the label, the variable)`
const LABELS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

pub(crate) struct Os;

impl Collector for Os {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let variables = match scrape.parse("etc/os-release", parse) {
            Err(CollectError::Absent { .. }) => scrape.parse("usr/lib/os-release", parse)?,
            other => other?,
        };
        let variable = |name| variables.get(name).map_or("", String::as_str);
        out.add(
            &INFO,
            &LABELS.map(|(label, name)| (label, variable(name))),
            1.0,
        );
        if let Some(version) = major_minor(variable("VERSION_ID")) {
            let labels = [
                ("id", variable("ID")),
                ("id_like", variable("ID_LIKE")),
                ("name", variable("NAME")),
            ];
            out.add(&VERSION, &labels, version);
        }
        Ok(())
    }
}

/// The number at the beginning of a version: 22.04 of `22.04.3`.
fn major_minor(version: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let major = digits(version);
    let minor = version[major..]
        .strip_prefix('.')
        .map_or(0, |rest| 1 + digits(rest));
    version[..major + minor].parse().ok()
}

/// Variables as a shell would read them, as far as os-release(5) allows.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    let mut variables = BTreeMap::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| Malformed::new("a variable", line))?;
        variables.insert(name.to_owned(), unquoted(value));
    }
    Ok(variables)
}

fn unquoted(value: &str) -> String {
    let inside = |quote| {
        value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    if let Some(value) = inside('\'') {
        return value.to_owned();
    }
    let mut plain = String::new();
    let mut chars = inside('"').unwrap_or(value).chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn variables() {
        let text = "# comment\nNAME=\"A \\\"b\\\"\"\nID=debian\nVARIANT='x \\ y'\n\nV=\"\n";
        expect![[r#"Ok({"ID": "debian", "NAME": "A \"b\"", "V": "\"", "VARIANT": "x \\ y"})"#]]
            .assert_eq(&format!("{:?}", parse(text)));
        expect![[r#"Err(Malformed { expected: "a variable", found: "nonsense" })"#]]
            .assert_eq(&format!("{:?}", parse("nonsense")));
    }

    #[test]
    fn versions() {
        let check = |text, expect| assert_eq!(major_minor(text), expect, "{text}");
        check("12", Some(12.0));
        check("22.04", Some(22.04));
        check("22.04.3", Some(22.04));
        check("7.", Some(7.0));
        check("", None);
        check("rolling", None);
    }
}
