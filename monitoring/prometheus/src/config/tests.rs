use std::process::Command;

use expect_test::expect_file;

use super::*;

fn scraping() -> Scraping {
    Scraping {
        interval: "15s".into(),
        api_server: "127.0.0.1:6443".parse().unwrap(),
        listener: "127.0.0.1:3000".parse().unwrap(),
        own: "127.0.0.1:9090".parse().unwrap(),
        node_name: "edge-1".into(),
    }
}

/// What Debian's own checker says, with the files that the configuration names.
fn checked(yaml: &str, rules: &[(String, String)]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["tls", RULES_DIR, "targets"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    // It reads pairs of certificate and key.
    let loopback = minicloud_daemon::Loopback::new().unwrap();
    let files = loopback.calling(Default::default(), "test").unwrap();
    let client = files.get(CLIENT_FILE).unwrap();
    for (name, text) in [
        (CA_FILE, files.get(CA_FILE).unwrap()),
        (CLUSTER_CA_FILE, files.get(CA_FILE).unwrap()),
        (CLIENT_FILE, client),
        (SCRAPER_FILE, client),
        (NODES_FILE, "[]"),
        (PODS_FILE, "[]"),
        (SERVICES_FILE, "[]"),
        (CONFIG_FILE, yaml),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    for (name, text) in rules {
        std::fs::write(dir.path().join(RULES_DIR).join(name), text).unwrap();
    }
    let output = Command::new("promtool")
        .args(["check", "config"])
        .arg(dir.path().join(CONFIG_FILE))
        .output()
        .expect("promtool (Debian's package prometheus)");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn the_configuration_is_as_written_down_and_prometheus_takes_it() {
    let yaml = prometheus_yml(&scraping(), &Extra::default());
    expect_file!["golden.yml"].assert_eq(&yaml);
    let (ok, said) = checked(&yaml, &[]);
    assert!(ok, "{said}");
}

#[test]
fn what_other_parts_add_is_there_too() {
    let extra = Extra {
        rules: vec![(
            "a.yml".into(),
            "groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]".into(),
        )],
        alerting: json!({ "alertmanagers": [{
            "scheme": "https", "tls_config": loopback_tls(),
            "static_configs": [{ "targets": ["127.0.0.1:9093"] }],
        }] }),
        scrape_configs: vec![json!({
            "job_name": "probe", "file_sd_configs": [{ "files": ["targets/probes.json"] }],
        })],
        targets: Vec::new(),
    };
    let yaml = prometheus_yml(&scraping(), &extra);
    let (ok, said) = checked(&yaml, &extra.rules);
    assert!(ok && said.contains("1 rules found"), "{said}");
    assert!(yaml.contains("job_name: probe") && yaml.contains("127.0.0.1:9093"));
    // That the checker checks at all.
    let (ok, said) = checked(&yaml.replace("job_name", "jub_name"), &[]);
    assert!(!ok && said.contains("jub_name"), "{said}");
}

#[test]
fn no_scrape_takes_longer_than_the_interval() {
    for (interval, expected) in [("15s", "10s"), ("1m", "10s"), ("5s", "5s"), ("9s", "9s")] {
        assert_eq!(timeout(interval), expected);
    }
}

#[test]
fn durations() {
    for (text, expected) in [
        ("15s", Some(15)),
        ("2h", Some(7200)),
        ("15d", Some(1_296_000)),
        ("1y", Some(31_536_000)),
        ("0s", Some(0)),
        ("", None),
        ("s", None),
        ("15", None),
        ("1h30m", None),
        ("1.5h", None),
        ("-1s", None),
        ("99999999999999999999s", None),
        ("999999999999999999y", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}
