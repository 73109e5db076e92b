//! What the blackbox exporter and Prometheus read of the Probes: a module for each Probe, a target for each of its targets.
//!
//! Sources: <https://github.com/prometheus/blackbox_exporter/blob/v0.23.0/CONFIGURATION.md>,
//! <https://prometheus.io/docs/prometheus/2.42/configuration/configuration/#file_sd_config>.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Key;
use crate::spec::{Dns, Http, Spec, Tcp, Tls};

/// How much of a page is read, for its regular expressions too.
const BODY: &str = "1MB";

/// The name of a Probe's module.
pub fn module_name((namespace, name): &Key) -> String {
    format!("{namespace}/{name}")
}

/// The file of a Probe's CA, in the exporter's folder. Names have no underscore.
pub fn ca_file((namespace, name): &Key) -> String {
    format!("ca/{namespace}_{name}.crt")
}

/// The configuration with these modules. `dir` is the exporter's folder.
pub fn blackbox_yml(probes: &BTreeMap<Key, Spec>, dir: &Path) -> String {
    let modules: Map<String, Value> = probes
        .iter()
        .map(|(key, spec)| (module_name(key), module(key, spec, dir)))
        .collect();
    // JSON is YAML.
    json!({ "modules": modules }).to_string()
}

fn module(key: &Key, spec: &Spec, dir: &Path) -> Value {
    let tls = |tls: &Tls| tls_config(tls, &dir.join(ca_file(key)));
    let (prober, name, mut asked) = if let Some(http) = &spec.http {
        ("http", "http", http_module(http, tls))
    } else if let Some(dns) = &spec.dns {
        ("dns", "dns", dns_module(dns))
    } else if let Some(tcp) = &spec.tcp {
        ("tcp", "tcp", tcp_module(tcp, tls))
    } else {
        ("icmp", "icmp", json!({}))
    };
    // Its default is IPv6, which many sites do not have.
    asked["preferred_ip_protocol"] = json!("ip4");
    asked["ip_protocol_fallback"] = json!(true);
    json!({ "prober": prober, "timeout": spec.timeout, name: asked })
}

fn http_module(http: &Http, tls: impl Fn(&Tls) -> Value) -> Value {
    let mut module = json!({
        "method": http.method.as_deref().unwrap_or("GET"),
        "valid_status_codes": http.status_codes,
        "fail_if_body_not_matches_regexp": http.body_matches,
        "fail_if_body_matches_regexp": http.body_matches_not,
        "follow_redirects": http.follow_redirects,
        "body_size_limit": BODY,
    });
    if let Some(host) = &http.host {
        module["headers"] = json!({ "Host": host });
    }
    if let Some(config) = &http.tls {
        module["tls_config"] = tls(config);
    }
    module
}

fn dns_module(dns: &Dns) -> Value {
    let mut module = json!({
        "query_name": dns.name,
        "query_type": dns.kind.as_deref().unwrap_or("A"),
        "transport_protocol": dns.transport.as_deref().unwrap_or("udp"),
    });
    if !dns.response_codes.is_empty() {
        module["valid_rcodes"] = json!(dns.response_codes);
    }
    if let Some(matches) = &dns.answer_matches {
        module["validate_answer_rrs"] = json!({ "fail_if_none_matches_regexp": [matches] });
    }
    module
}

fn tcp_module(tcp: &Tcp, tls: impl Fn(&Tls) -> Value) -> Value {
    let mut module = json!({});
    if let Some(expect) = &tcp.expect {
        module["query_response"] = json!([{ "expect": expect }]);
    }
    if let Some(config) = &tcp.tls {
        module["tls"] = json!(true);
        module["tls_config"] = tls(config);
    }
    module
}

fn tls_config(tls: &Tls, ca_file: &Path) -> Value {
    let mut config = json!({ "insecure_skip_verify": tls.insecure_skip_verify });
    if tls.ca.is_some() {
        config["ca_file"] = json!(ca_file);
    }
    if let Some(name) = &tls.server_name {
        config["server_name"] = json!(name);
    }
    config
}

/// The entry of Prometheus' `scrape_configs` for all Probes. `file` is where [`targets`] will be, `tls_config` how Prometheus talks to
/// a daemon on loopback.
pub fn scrape_config(file: &str, tls_config: &Value) -> Value {
    json!({
        "job_name": "probes",
        "scheme": "https",
        "metrics_path": "/probe",
        "tls_config": tls_config,
        "sample_limit": 200,
        "body_size_limit": "1MB",
        // What a server says must not name a metric's place.
        "honor_labels": false,
        "file_sd_configs": [{ "files": [file], "refresh_interval": "10m" }],
    })
}

/// Prometheus' targets: each is asked of the exporter on `port` by the Probe's own interval, and known by the Probe's labels.
pub fn targets(probes: &BTreeMap<Key, Spec>, port: u16) -> String {
    let groups = probes.iter().flat_map(|(key, spec)| {
        spec.targets
            .iter()
            .map(move |target| group(key, spec, target, port))
    });
    Value::from(groups.collect::<Vec<_>>()).to_string()
}

fn group(key: &Key, spec: &Spec, target: &str, port: u16) -> Value {
    let (namespace, name) = key;
    let mut labels = json!({
        "job": format!("probe/{}", spec.kind()),
        "instance": target,
        "namespace": namespace,
        "probe": name,
        "target": target,
        "__param_module": module_name(key),
        "__param_target": target,
        "__scrape_interval__": spec.interval,
        // The exporter answers half a second before it is over, whatever the target does.
        "__scrape_timeout__": spec.interval,
    });
    for (label, value) in &spec.labels {
        labels[label] = json!(value);
    }
    json!({ "targets": [format!("127.0.0.1:{port}")], "labels": labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn probes() -> BTreeMap<Key, Spec> {
        let spec = |spec: Value| Spec::read(&spec).unwrap_or_else(|e| panic!("{e}"));
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        BTreeMap::from([
            (
                key("web"),
                spec(json!({
                    "targets": ["https://web.example"], "interval": "1m", "labels": { "team": "a" },
                    "http": {
                        "statusCodes": [200, 401], "bodyMatches": ["shop"], "host": "web",
                        "tls": { "ca": "-----BEGIN CERTIFICATE-----", "serverName": "web" },
                    },
                })),
            ),
            (
                key("name"),
                spec(
                    json!({ "targets": ["10.43.0.10"], "dns": { "name": "a.b", "answerMatches": "10" } }),
                ),
            ),
            (
                key("mail"),
                spec(
                    json!({ "targets": ["mail:465"], "timeout": "2s", "tcp": { "expect": "^220", "tls": {} } }),
                ),
            ),
            (
                key("box"),
                spec(json!({ "targets": ["10.0.0.1"], "icmp": {} })),
            ),
        ])
    }

    #[test]
    fn a_module_for_each_probe() {
        let text = blackbox_yml(&probes(), Path::new("/run/x"));
        let value: Value = serde_json::from_str(&text).unwrap();
        let pretty = serde_json::to_string_pretty(&value["modules"]).unwrap();
        expect![[r#"
            {
              "shop/box": {
                "icmp": {
                  "ip_protocol_fallback": true,
                  "preferred_ip_protocol": "ip4"
                },
                "prober": "icmp",
                "timeout": "5s"
              },
              "shop/mail": {
                "prober": "tcp",
                "tcp": {
                  "ip_protocol_fallback": true,
                  "preferred_ip_protocol": "ip4",
                  "query_response": [
                    {
                      "expect": "^220"
                    }
                  ],
                  "tls": true,
                  "tls_config": {
                    "insecure_skip_verify": false
                  }
                },
                "timeout": "2s"
              },
              "shop/name": {
                "dns": {
                  "ip_protocol_fallback": true,
                  "preferred_ip_protocol": "ip4",
                  "query_name": "a.b",
                  "query_type": "A",
                  "transport_protocol": "udp",
                  "validate_answer_rrs": {
                    "fail_if_none_matches_regexp": [
                      "10"
                    ]
                  }
                },
                "prober": "dns",
                "timeout": "5s"
              },
              "shop/web": {
                "http": {
                  "body_size_limit": "1MB",
                  "fail_if_body_matches_regexp": [],
                  "fail_if_body_not_matches_regexp": [
                    "shop"
                  ],
                  "follow_redirects": false,
                  "headers": {
                    "Host": "web"
                  },
                  "ip_protocol_fallback": true,
                  "method": "GET",
                  "preferred_ip_protocol": "ip4",
                  "tls_config": {
                    "ca_file": "/run/x/ca/shop_web.crt",
                    "insecure_skip_verify": false,
                    "server_name": "web"
                  },
                  "valid_status_codes": [
                    200,
                    401
                  ]
                },
                "prober": "http",
                "timeout": "5s"
              }
            }"#]]
        .assert_eq(&pretty);
    }

    #[test]
    fn a_target_for_each_target() {
        let value: Value = serde_json::from_str(&targets(&probes(), 9115)).unwrap();
        let pretty = serde_json::to_string_pretty(&value[3]).unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(4));
        expect![[r#"
            {
              "labels": {
                "__param_module": "shop/web",
                "__param_target": "https://web.example",
                "__scrape_interval__": "1m",
                "__scrape_timeout__": "1m",
                "instance": "https://web.example",
                "job": "probe/http",
                "namespace": "shop",
                "probe": "web",
                "target": "https://web.example",
                "team": "a"
              },
              "targets": [
                "127.0.0.1:9115"
              ]
            }"#]]
        .assert_eq(&pretty);
    }
}
