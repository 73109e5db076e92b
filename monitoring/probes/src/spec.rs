//! What a Probe asks, read and judged. The definition's schema has seen it before; what a schema cannot say is said here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use http::Uri;
use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::names::dns1123_subdomain;
use serde::Deserialize;
use serde_json::Value;

/// `spec` of a Probe.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Whom it asks.
    pub targets: Vec<String>,
    /// How often, e.g. `30s`.
    #[serde(default = "interval")]
    pub interval: String,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    pub timeout: String,
    /// Further labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// A page.
    pub http: Option<Http>,
    /// A name.
    pub dns: Option<Dns>,
    /// A port.
    pub tcp: Option<Tcp>,
    /// A machine.
    pub icmp: Option<Icmp>,
}

fn interval() -> String {
    "30s".to_owned()
}

fn timeout() -> String {
    "5s".to_owned()
}

/// How a certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Whom to trust, PEM.
    pub ca: Option<String>,
    /// The name that the certificate has.
    pub server_name: Option<String>,
    /// Any will do.
    pub insecure_skip_verify: bool,
}

/// A page answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// `GET` or `HEAD`.
    pub method: Option<String>,
    /// The header `Host`.
    pub host: Option<String>,
    /// Good status codes; none for 200 to 299.
    pub status_codes: Vec<u16>,
    /// All match the body.
    pub body_matches: Vec<String>,
    /// None matches the body.
    pub body_matches_not: Vec<String>,
    /// Redirects are followed.
    pub follow_redirects: bool,
    /// The certificate.
    pub tls: Option<Tls>,
}

/// A server knows a name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// The name.
    pub name: String,
    /// The type of record.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `udp` or `tcp`.
    pub transport: Option<String>,
    /// Good response codes; none for `NOERROR`.
    #[serde(default)]
    pub response_codes: Vec<String>,
    /// Matches one record.
    pub answer_matches: Option<String>,
}

/// A port takes connections.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Tcp {
    /// Matches a line of the greeting.
    pub expect: Option<String>,
    /// The certificate.
    pub tls: Option<Tls>,
}

/// A machine answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Icmp {}

/// Labels of a probe's metrics that are ours.
const OWN_LABELS: &[&str] = &["instance", "job", "le", "namespace", "probe", "target"];

/// From and to, in seconds. Less would be load, more would be gaps: Prometheus forgets a sample after five minutes.
const INTERVAL: (u64, u64) = (5, 120);

impl Spec {
    /// Reads `spec` of a Probe and says all that is wrong with it.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn read(spec: &Value) -> Result<Self, ErrorList> {
        let path = Path::new("spec");
        let read = Self::deserialize(spec).map_err(|error| {
            ErrorList::from(vec![FieldError::invalid(
                path.clone(),
                spec.clone(),
                error.to_string(),
            )])
        })?;
        let errors = read.errors(&path);
        errors.into_result().map(|()| read)
    }

    /// `http`, `dns`, `tcp` or `icmp`.
    pub fn kind(&self) -> &'static str {
        self.kinds().first().copied().unwrap_or_default()
    }

    /// The certificate's part, where there is one.
    pub fn tls(&self) -> Option<&Tls> {
        let http = self.http.as_ref().and_then(|http| http.tls.as_ref());
        http.or(self.tcp.as_ref().and_then(|tcp| tcp.tls.as_ref()))
    }

    fn kinds(&self) -> Vec<&'static str> {
        let kinds = [
            ("http", self.http.is_some()),
            ("dns", self.dns.is_some()),
            ("tcp", self.tcp.is_some()),
            ("icmp", self.icmp.is_some()),
        ];
        let there = kinds.into_iter().filter(|(_, there)| *there);
        there.map(|(kind, _)| kind).collect()
    }

    fn errors(&self, path: &Path) -> ErrorList {
        let mut errors = ErrorList::new();
        let kinds = self.kinds();
        match kinds[..] {
            [] => errors.push(FieldError::required(
                path.clone(),
                "say what is asked: one of http, dns, tcp and icmp",
            )),
            [kind] => {
                for (n, target) in self.targets.iter().enumerate() {
                    if let Err(why) = check_target(kind, target) {
                        let path = path.child("targets").index(n);
                        errors.push(FieldError::invalid(path, target.as_str(), why));
                    }
                }
            }
            [_, second, ..] => errors.push(FieldError::forbidden(
                path.child(second),
                format!(
                    "a Probe asks in one way; {} is there already: make another Probe",
                    kinds[0]
                ),
            )),
        }
        self.times(path, &mut errors);
        for (label, _) in self.labels.iter().filter(|(label, _)| !may_be_label(label)) {
            errors.push(FieldError::invalid(
                path.child("labels"),
                label.as_str(),
                format!(
                    "a label has letters, digits and _, and is none of {}",
                    OWN_LABELS.join(", ")
                ),
            ));
        }
        let ca = self.tls().and_then(|tls| tls.ca.as_ref());
        if ca.is_some_and(|ca| !ca.contains("-----BEGIN CERTIFICATE-----")) {
            let path = path.child(self.kind()).child("tls").child("ca");
            errors.push(FieldError::invalid(
                path,
                "",
                "it holds no certificate in PEM",
            ));
        }
        errors
    }

    fn times(&self, path: &Path, errors: &mut ErrorList) {
        let (least, most) = INTERVAL;
        let interval = seconds(&self.interval).filter(|s| (least..=most).contains(s));
        if interval.is_none() {
            errors.push(FieldError::invalid(
                path.child("interval"),
                self.interval.as_str(),
                format!("from {least}s to {most}s"),
            ));
        }
        let most = interval.unwrap_or(most);
        if !seconds(&self.timeout).is_some_and(|s| (1..=most).contains(&s)) {
            errors.push(FieldError::invalid(
                path.child("timeout"),
                self.timeout.as_str(),
                format!("from 1s to the interval, {most}s"),
            ));
        }
    }
}

/// `30s` or `2m`, in seconds.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        _ => None,
    }
}

fn may_be_label(label: &str) -> bool {
    let mut letters = label.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !label.starts_with("__")
        && !OWN_LABELS.contains(&label)
}

fn check_target(kind: &str, target: &str) -> Result<(), String> {
    match kind {
        "http" => url(target),
        "tcp" => {
            let (host, port) = host_port(target).ok_or("give HOST:PORT")?;
            port.ok_or("the port is missing: give HOST:PORT")?;
            check_host(host)
        }
        "dns" => check_host(host_port(target).ok_or("give SERVER or SERVER:PORT")?.0),
        _ => check_host(target),
    }
}

fn url(target: &str) -> Result<(), String> {
    let uri: Uri = target
        .parse()
        .map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("give a URL that begins with http:// or https://".into());
    }
    let authority = uri.authority().ok_or("the host is missing")?;
    if authority.as_str().contains('@') {
        return Err("credentials do not belong into a target: everybody who sees the metrics would see them".into());
    }
    let host = authority.host();
    check_host(host.trim_matches(['[', ']']))
}

/// Host and port; `[ADDRESS]:PORT` for IPv6.
fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.parse::<IpAddr>().is_ok() {
        return Some((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        text.parse::<SocketAddr>().ok()?;
        let (host, port) = rest.split_once("]:")?;
        return Some((host, port.parse().ok()));
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
    }
}

/// Not this machine's own ports, nor the metadata service of a cloud: what listens there trusts whoever gets that far. A name may
/// lead there all the same, which is one reason why the right to make Probes is not everybody's.
fn check_host(host: &str) -> Result<(), String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return if allowed(&address) {
            Ok(())
        } else {
            Err("addresses of this machine alone (loopback, link-local) and of many are not asked: give the address by which others reach it".into())
        };
    }
    let name = host
        .strip_suffix('.')
        .unwrap_or(host)
        .to_ascii_lowercase()
        .replace('_', "-");
    let last = name.rsplit('.').next().unwrap_or_default();
    if !dns1123_subdomain(&name).is_empty()
        || last.starts_with(|c: char| c.is_ascii_digit())
        || name.len() > 253
    {
        return Err(format!("{host:?} is neither a name nor an address"));
    }
    if last == "localhost" {
        return Err("localhost is not asked: give the name by which others reach it".into());
    }
    Ok(())
}

fn allowed(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().map(IpAddr::V4);
            mapped.is_none_or(|ip| allowed(&ip))
                && !(ip.is_loopback()
                    || ip.is_unicast_link_local()
                    || ip.is_unspecified()
                    || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(spec: Value) -> String {
        Spec::read(&spec).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn targets_are_what_their_kind_asks() {
        let good = |kind: &str, targets: &[&str]| {
            for target in targets {
                assert_eq!(check_target(kind, target), Ok(()), "{kind} {target}");
            }
        };
        good(
            "http",
            &[
                "https://web.example/a?b=c",
                "http://10.0.0.1:8080",
                "http://[fd00::1]:80/",
            ],
        );
        good("tcp", &["db.shop:5432", "10.0.0.1:22", "[fd00::1]:22"]);
        good("dns", &["10.43.0.10", "10.43.0.10:5353", "dns.example"]);
        good("icmp", &["gateway", "10.0.0.1", "fd00::1", "a_b.example."]);
        let bad = |kind: &str, target: &str, expect: &str| {
            let said = check_target(kind, target).unwrap_err();
            assert!(said.contains(expect), "{kind} {target}: {said}");
        };
        bad("http", "ftp://a", "http://");
        bad("http", "web.example", "http://");
        bad("http", "https://", "no URL");
        bad("http", "https://me:secret@web.example", "credentials");
        bad("http", "http://127.0.0.1:9090/-/quit", "loopback");
        bad("http", "http://[::1]/", "loopback");
        bad("http", "http://[::ffff:127.0.0.1]/", "loopback");
        bad("http", "http://169.254.169.254/latest", "link-local");
        bad("http", "http://127.1/", "neither");
        bad("http", "http://2130706433/", "neither");
        bad("http", "http://LocalHost:3000", "localhost");
        bad("tcp", "db.shop", "port is missing");
        bad("tcp", "db.shop:0", "HOST:PORT");
        bad("tcp", "db.shop:a", "HOST:PORT");
        bad("dns", "127.0.0.53", "loopback");
        bad("icmp", "10.0.0.1:22", "neither");
        bad("icmp", "a b", "neither");
    }

    #[test]
    fn what_is_wrong_is_said_by_field() {
        let check = |spec: Value, expect: &[&str]| {
            let said = said(spec);
            for part in expect {
                assert!(said.contains(part), "no {part:?} in {said:?}");
            }
            assert_eq!(said.is_empty(), expect.is_empty(), "{said}");
        };
        check(json!({ "targets": ["http://a"], "http": {} }), &[]);
        check(
            json!({ "targets": ["a"], "icmp": {}, "interval": "2m", "timeout": "2m", "labels": { "team": "x" } }),
            &[],
        );
        check(
            json!({ "targets": ["a"] }),
            &["spec: Required value", "one of http, dns"],
        );
        check(
            json!({ "targets": ["a"], "icmp": {}, "tcp": {} }),
            &["spec.icmp: Forbidden", "tcp is there already"],
        );
        check(
            json!({ "targets": ["a"], "icmp": {}, "interval": "3s", "timeout": "0s" }),
            &["spec.interval: Invalid value: \"3s\"", "spec.timeout"],
        );
        check(
            json!({ "targets": ["a"], "icmp": {}, "interval": "10s", "timeout": "11s" }),
            &["spec.timeout", "10s"],
        );
        check(
            json!({ "targets": ["a"], "icmp": {}, "labels": { "job": "x", "a-b": "y" } }),
            &["\"job\"", "\"a-b\""],
        );
        check(
            json!({ "targets": ["https://a"], "http": { "tls": { "ca": "x" } } }),
            &["spec.http.tls.ca"],
        );
        check(
            json!({ "targets": ["a", "127.0.0.1"], "icmp": {} }),
            &["spec.targets[1]"],
        );
        check(json!({ "targets": 5 }), &["spec: Invalid value"]);
    }
}
