use super::*;

fn services() -> Services {
    Services::new("10.43.0.0/28".parse().unwrap(), 30000..=30002)
}

fn service(name: &str, kind: &str, ports: usize) -> Value {
    let ports: Vec<Value> = (0..ports)
        .map(|p| json!({"name": format!("p{p}"), "port": 80 + p, "protocol": "TCP"}))
        .collect();
    json!({"metadata": {"name": name, "namespace": "a"}, "spec": {"type": kind, "ports": ports}})
}

fn put(services: &Services, name: &str, mut value: Value) -> Result<Value, String> {
    services
        .allocate("a", &mut value, None)
        .map_err(|e| e.message)?;
    services.observe("a", name, Some(&value));
    Ok(value)
}

#[test]
fn addresses_are_unique_and_come_back() {
    let services = services();
    let mut seen = std::collections::HashSet::new();
    for i in 0..13 {
        let made = put(
            &services,
            &format!("s{i}"),
            service(&format!("s{i}"), "ClusterIP", 1),
        )
        .unwrap();
        assert!(seen.insert(made["spec"]["clusterIP"].as_str().unwrap().to_owned()));
    }
    // The first is kept for those that ask for it by name.
    assert!(!seen.contains("10.43.0.1"));
    assert!(
        put(&services, "full", service("full", "ClusterIP", 1))
            .unwrap_err()
            .contains("range is full")
    );
    services.observe("a", "s3", None);
    assert!(put(&services, "again", service("again", "ClusterIP", 1)).is_ok());
}

#[test]
fn wishes_are_checked() {
    let services = services();
    let check = |ip: &str, expect: &str| {
        let mut wish = service("w", "ClusterIP", 1);
        wish["spec"]["clusterIP"] = ip.into();
        let got = services
            .allocate("a", &mut wish, None)
            .map_err(|e| e.message)
            .err()
            .unwrap_or_default();
        assert!(
            got.contains(expect) && (expect.is_empty() == got.is_empty()),
            "{ip}: {got}"
        );
    };
    put(&services, "x", {
        let mut x = service("x", "ClusterIP", 1);
        x["spec"]["clusterIP"] = "10.43.0.1".into();
        x
    })
    .unwrap();
    check("None", "");
    check("10.43.0.2", "");
    check("10.43.0.1", "provided IP is already allocated");
    check("10.44.0.1", "not in the valid range");
    check("zzz", "must be a valid IP address");
}

#[test]
fn node_ports_are_unique_and_kept() {
    let services = services();
    let made = put(&services, "n", service("n", "NodePort", 2)).unwrap();
    let ports = |v: &Value| -> Vec<u64> {
        v["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["nodePort"].as_u64())
            .collect()
    };
    assert_eq!(ports(&made).len(), 2);
    let mut bare = service("n", "NodePort", 2);
    services.allocate("a", &mut bare, Some(&made)).unwrap();
    assert_eq!(ports(&bare), ports(&made));
    assert_eq!(bare["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    assert!(
        put(&services, "m", service("m", "NodePort", 2))
            .unwrap_err()
            .contains("range is full")
    );
    let mut plain = made.clone();
    plain["spec"]["type"] = "ClusterIP".into();
    services.allocate("a", &mut plain, Some(&made)).unwrap();
    assert!(ports(&plain).is_empty());
    let mut far = service("f", "NodePort", 1);
    far["spec"]["ports"][0]["nodePort"] = 80.into();
    assert!(
        services
            .allocate("a", &mut far, None)
            .unwrap_err()
            .message
            .contains("30000-30002")
    );
}
