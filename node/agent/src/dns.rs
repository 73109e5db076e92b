//! A pod's `/etc/resolv.conf`, `/etc/hosts` and host name. Pure.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::Pod;

use crate::pod;
use crate::runtime::DnsConfig;

/// Most name servers that a resolver looks at.
const MAX_SERVERS: usize = 3;
/// Most search domains that Kubernetes allows.
const MAX_SEARCHES: usize = 32;
/// Longest host name of Linux.
const MAX_HOSTNAME: usize = 63;

/// Reads a `resolv.conf`.
pub fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last search line counts.
            Some("search") => {
                config.searches = words.filter(|w| *w != ".").map(str::to_owned).collect()
            }
            Some("options") => config.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    config
}

/// What the pod's resolver is told, by its `dnsPolicy` and `dnsConfig`. `node` is the machine's own configuration.
pub fn resolver(pod: &Pod, node: &DnsConfig, cluster_dns: &[String], domain: &str) -> DnsConfig {
    let spec = pod::spec(pod);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => !pod::host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    } && !cluster_dns.is_empty();
    let mut config = if cluster {
        let namespace = pod::namespace(pod);
        let mut searches = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.to_owned(),
        ];
        searches.extend(node.searches.iter().cloned());
        DnsConfig {
            servers: cluster_dns.to_vec(),
            searches,
            options: vec!["ndots:5".into()],
        }
    } else if policy == "None" {
        DnsConfig::default()
    } else {
        node.clone()
    };
    if let Some(own) = &spec.dns_config {
        config
            .servers
            .extend(own.nameservers.iter().flatten().cloned());
        config
            .searches
            .extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            // The pod's word replaces an option of the same name.
            config.options.retain(|o| o.split(':').next() != Some(name));
            config.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.clone(),
            });
        }
    }
    for list in [&mut config.servers, &mut config.searches] {
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|item| seen.insert(item.clone()));
    }
    config.servers.truncate(MAX_SERVERS);
    config.searches.truncate(MAX_SEARCHES);
    config
}

/// The pod's host name, and its domain if it has one.
pub fn hostname(pod: &Pod, domain: &str) -> (String, Option<String>) {
    let spec = pod::spec(pod);
    if let Some(name) = spec.hostname_override.as_deref().filter(|h| !h.is_empty()) {
        return (name.to_owned(), None);
    }
    let name = spec
        .hostname
        .as_deref()
        .filter(|h| !h.is_empty())
        .unwrap_or(pod::name(pod));
    let mut name = name
        .get(..MAX_HOSTNAME)
        .unwrap_or(name)
        .trim_end_matches(['-', '.'])
        .to_owned();
    let full = spec
        .subdomain
        .as_deref()
        .filter(|s| !s.is_empty())
        .map(|sub| format!("{sub}.{}.svc.{domain}", pod::namespace(pod)));
    if let (true, Some(full)) = (spec.set_hostname_as_fqdn.unwrap_or(false), &full) {
        name = format!("{name}.{full}");
    }
    (name, full)
}

/// The pod's hosts file; `None` leaves the image's. With host network it is the machine's, with the pod's aliases.
pub fn hosts(pod: &Pod, pod_ips: &[String], domain: &str, node_hosts: &str) -> Option<String> {
    let spec = pod::spec(pod);
    let mut text;
    if pod::host_network(pod) {
        text = format!("# Kubernetes-managed hosts file (host network).\n{node_hosts}");
    } else {
        if pod_ips.is_empty() {
            return None;
        }
        text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
                fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
            .to_owned();
        let (name, full) = hostname(pod, domain);
        let short = name.split('.').next().unwrap_or(&name);
        for ip in pod_ips {
            let _ = match &full {
                Some(full) => writeln!(text, "{ip}\t{short}.{full}\t{short}"),
                None => writeln!(text, "{ip}\t{name}"),
            };
        }
    }
    let aliases: Vec<_> = spec.host_aliases.iter().flatten().collect();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let _ = writeln!(
                text,
                "{}\t{}",
                alias.ip,
                alias.hostnames.as_deref().unwrap_or_default().join("\t")
            );
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "web-0", "namespace": "ns"}, "spec": spec}),
        )
        .expect("a pod")
    }

    #[test]
    fn resolver_by_policy() {
        let node =
            parse("# c\nnameserver 9.9.9.9\nsearch old\nsearch example.org .\noptions edns0\n");
        let check = |spec, expect: &str| {
            let c = resolver(&pod(spec), &node, &["10.43.0.10".into()], "cluster.local");
            assert_eq!(
                format!(
                    "{}|{}|{}",
                    c.servers.join(" "),
                    c.searches.join(" "),
                    c.options.join(" ")
                ),
                expect
            );
        };
        let cluster =
            "10.43.0.10|ns.svc.cluster.local svc.cluster.local cluster.local example.org|ndots:5";
        check(json!({}), cluster);
        check(json!({"hostNetwork": true}), "9.9.9.9|example.org|edns0");
        check(
            json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
            cluster,
        );
        check(json!({"dnsPolicy": "Default"}), "9.9.9.9|example.org|edns0");
        check(
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a"], "options": [{"name": "ndots", "value": "2"}]}}),
            "1.1.1.1|a|ndots:2",
        );
        check(
            json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}]}}),
            "10.43.0.10|ns.svc.cluster.local svc.cluster.local cluster.local example.org|ndots:1 rotate",
        );
    }

    #[test]
    fn host_names() {
        let check = |spec, expect: (&str, Option<&str>)| {
            let (name, full) = hostname(&pod(spec), "cluster.local");
            assert_eq!((name.as_str(), full.as_deref()), expect);
        };
        check(json!({}), ("web-0", None));
        check(json!({"hostname": "h"}), ("h", None));
        check(
            json!({"subdomain": "web"}),
            ("web-0", Some("web.ns.svc.cluster.local")),
        );
        check(
            json!({"subdomain": "web", "setHostnameAsFQDN": true}),
            (
                "web-0.web.ns.svc.cluster.local",
                Some("web.ns.svc.cluster.local"),
            ),
        );
        let long = "a".repeat(62) + "-b";
        check(json!({"hostname": long}), ("a".repeat(62).as_str(), None));
    }

    #[test]
    fn hosts_files() {
        let spec = json!({"subdomain": "web", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts(&pod(spec), &["10.42.0.5".into()], "cluster.local", "").expect("a file");
        assert!(
            text.contains("\n10.42.0.5\tweb-0.web.ns.svc.cluster.local\tweb-0\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"),
            "{text}"
        );
        assert_eq!(
            hosts(&pod(json!({})), &[], "cluster.local", ""),
            None,
            "no address yet"
        );
        let host = hosts(
            &pod(json!({"hostNetwork": true})),
            &[],
            "cluster.local",
            "127.0.0.1 me\n",
        )
        .expect("a file");
        assert!(host.ends_with("127.0.0.1 me\n"));
    }
}
