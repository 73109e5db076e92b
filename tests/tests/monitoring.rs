//! Monitoring and characterization: what the machine is, told by kubectl and on port 3000.

use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::programs::{python, run};
use minicloud_tests::walk::timed;
use minicloud_tests::{Cluster, Reader, eventually};
use serde_json::Value;

#[test]
fn the_machine_is_known_and_shown() {
    let mut c = Cluster::start();
    timed("devices", || devices(&c));
    timed("port 3000", || on_port_3000(&c));
    timed("node metrics", || node_metrics(&c));
    timed("metrics of objects", || state_metrics(&c));
    timed("rest", || nothing_is_written_at_rest(&mut c));
}

fn device(c: &Cluster) -> anyhow::Result<Value> {
    let text = c.try_k("get device edge-1 -o json")?;
    let device: Value = serde_json::from_str(&text)?;
    ensure!(device["status"]["cpu"].is_object(), "{device}");
    Ok(device)
}

/// The node says what it is, and `kubectl get devices` reads well.
fn devices(c: &Cluster) {
    let device = eventually("the device", Duration::from_secs(10), || device(c));
    let status = &device["status"];
    let expected = run(&mut c.command("nproc")).unwrap_or_default();
    assert_eq!(
        status["cpu"]["threads"].to_string(),
        expected.trim(),
        "{status}"
    );
    let machine = run(c.command("uname").arg("-m")).unwrap_or_default();
    assert_eq!(status["cpu"]["architecture"], machine.trim(), "{status}");
    let kernel = run(c.command("uname").arg("-r")).unwrap_or_default();
    assert_eq!(status["kernel"]["release"], kernel.trim(), "{status}");
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default();
    assert_eq!(status["memoryBytes"], total * 1024, "{status}");
    let kvm = &status["canRun"]["kvm"];
    let expected: &[&str] = match std::path::Path::new("/dev/kvm").exists() {
        true => &["works", "fails"],
        false => &["absent"],
    };
    assert!(
        kvm.as_str().is_some_and(|kvm| expected.contains(&kvm)),
        "a guest was started, or there is no KVM: {}",
        status["canRun"]
    );
    let runtimes = status["canRun"]["containerRuntimes"].to_string();
    assert!(runtimes.contains("containerd"), "{status}");
    assert_eq!(device["metadata"]["ownerReferences"][0]["kind"], "Node");

    let table = c.k("get devices");
    for word in [
        "NAME",
        "ARCH",
        "CPU",
        "MEMORY",
        "GPU",
        "RUNS",
        "AGE",
        "edge-1",
        "GiB",
        "containers",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(c.k("get dev -o wide").contains(kernel.trim()));
    assert!(
        c.k("explain device.status.memoryBytes")
            .contains("Memory that the kernel has to give.")
    );
}

/// The node's metrics, for whoever may read metrics.
fn node_metrics(c: &Cluster) {
    const URL: &str = "https://127.0.0.1:9100/metrics";
    let mut reader = Reader::new(c);
    let token = std::mem::take(&mut reader.token);
    assert_eq!(reader.fetch(URL).0, "401");
    reader.token = token;
    assert_eq!(reader.fetch(URL).0, "403");
    c.k("create clusterrolebinding scraper --clusterrole=system:monitoring --serviceaccount=default:reader");
    let text = eventually("the right is given", Duration::from_secs(15), || {
        let (code, text) = reader.fetch(URL);
        ensure!(code == "200", "{code}: {text}");
        Ok(text)
    });
    for name in [
        "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"}",
        "node_memory_MemTotal_bytes ",
        "node_filesystem_avail_bytes{",
        "node_network_receive_bytes_total{device=\"minicloud0\"}",
        "node_load1 ",
        "node_scrape_collector_success{collector=\"meminfo\"} 1",
        "minicloud_exporter_build_info{",
    ] {
        assert!(text.contains(&format!("\n{name}")), "{name}: {text:.2000}");
    }
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
}

/// Metrics about objects, listed when asked, for whoever may read metrics below `/metrics`.
fn state_metrics(c: &Cluster) {
    const URL: &str = "https://127.0.0.1:3000/metrics/state";
    let reader = Reader::new(c);
    assert_eq!(reader.fetch(URL).0, "403");
    c.k("create clusterrolebinding state --clusterrole=system:minicloud-metrics --serviceaccount=default:reader");
    let text = eventually("the right is given", Duration::from_secs(15), || {
        let (code, text) = reader.fetch(URL);
        ensure!(code == "200", "{code}: {text}");
        Ok(text)
    });
    for name in [
        "kube_node_status_condition{node=\"edge-1\",condition=\"Ready\",status=\"true\"} 1",
        "kube_namespace_status_phase{namespace=\"kube-system\",phase=\"Active\"} 1",
        "kube_configmap_info{namespace=\"default\",configmap=\"kube-root-ca.crt\"} 1",
    ] {
        assert!(text.contains(&format!("\n{name}")), "{name}: {text:.2000}");
    }
}

/// The same for programs that speak no Kubernetes, to whom it may concern.
fn on_port_3000(c: &Cluster) {
    let reader = Reader::new(c);
    let fetch = |path: &str| reader.fetch(&format!("https://127.0.0.1:3000{path}"));
    let ask = |path: &str| -> (String, Value) {
        let (code, body) = fetch(path);
        let body = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
        (code, body)
    };
    let (code, refused) = ask("/v1/devices");
    assert_eq!(code, "403", "{refused}");
    c.k("create clusterrole devices --verb=list --resource=devices.minicloud.io");
    c.k("create clusterrolebinding reader --clusterrole=devices --serviceaccount=default:reader");
    let told = eventually("the right is given", Duration::from_secs(15), || {
        let (code, told) = ask("/v1/devices");
        ensure!(code == "200", "{told}");
        Ok(told)
    });
    let told = &told["devices"][0];
    let device = device(c).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(told["name"], "edge-1");
    assert_eq!(told["uid"], device["metadata"]["uid"]);
    assert_eq!(told["memory_bytes"], device["status"]["memoryBytes"]);
    assert_eq!(
        told["can_run"]["container_runtimes"],
        device["status"]["canRun"]["containerRuntimes"]
    );

    // The seed's shapes of the same.
    let (code, figure) = ask("/characterization");
    assert_eq!(code, "200", "{figure}");
    let seeds = &figure[0]["device"];
    assert_eq!(seeds["device_name"], "edge-1", "{figure}");
    assert_eq!(seeds["RAM(bytes)"], device["status"]["memoryBytes"]);
    assert_eq!(seeds["CPU"]["cores"], device["status"]["cpu"]["cores"]);
    assert_eq!(ask("/characterization?format=json").1, figure);
    let (code, template) = fetch("/characterization?format=tosca");
    assert_eq!(code, "200", "{template}");
    let file = c.scratch().join("characterization.yaml");
    std::fs::write(&file, &template).unwrap_or_else(|e| panic!("{e}"));
    let script = "import sys; from toscaparser.tosca_template import ToscaTemplate; \
                  print(*(n.name for n in ToscaTemplate(sys.argv[1]).nodetemplates))";
    let mut parser = std::process::Command::new(python());
    let parsed =
        run(parser.args(["-c", script]).arg(&file)).unwrap_or_else(|e| panic!("{e:#}\n{template}"));
    assert_eq!(parsed.trim(), "edge-1");
    let (code, refused) = ask("/characterization?format=xml");
    assert_eq!(code, "400");
    assert_eq!(
        refused["hint"], "give format=json or format=tosca",
        "{refused}"
    );
}

/// A new look at a machine that did not change writes nothing, and a restart looks anew.
fn nothing_is_written_at_rest(c: &mut Cluster) {
    let before = device(c).unwrap_or_else(|e| panic!("{e:#}"));
    c.stop_server();
    c.start_server();
    c.wait_ready();
    std::thread::sleep(Duration::from_secs(2));
    let after = device(c).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
    // What somebody else wrote there is put right by the next look, and what people know is taken over.
    c.k("annotate node edge-1 minicloud.io/city=Athens minicloud.io/country=Greece");
    c.k("patch device edge-1 --subresource=status --type=merge -p '{\"status\":{\"memoryBytes\":1}}'");
    c.stop_server();
    c.start_server();
    c.wait_ready();
    eventually("the truth", Duration::from_secs(10), || {
        let now = device(c)?;
        ensure!(
            now["status"]["memoryBytes"] == before["status"]["memoryBytes"],
            "{now}"
        );
        ensure!(now["status"]["region"]["city"] == "Athens", "{now}");
        Ok(())
    });
}
