//! The disk fills up while pods run, and is freed again.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::images::busybox;
use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

use crate::machine::{clean, tasks};

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: writes}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "i=0; while true; do i=$((i+1)); echo line $i; echo $i > /data/number; sleep 0.2; done"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
"#;

/// A disk that small.
fn mount(c: &Cluster) {
    let dir = c.data_dir();
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{e}"));
    let mut command = std::process::Command::new("mount");
    command.args(["-t", "tmpfs", "-o", "size=200m", "mct-disk"]);
    run(command.arg(dir)).unwrap_or_else(|e| panic!("{e:#}"));
}

fn free(c: &Cluster) -> u64 {
    let stat = rustix::fs::statvfs(c.data_dir()).unwrap_or_else(|e| panic!("{e}"));
    stat.f_bavail * stat.f_frsize
}

/// Fills the disk until so many bytes are left.
fn fill(c: &Cluster, file: &str, left: u64) {
    let mut file = File::create(c.data_dir().join(file)).unwrap_or_else(|e| panic!("{e}"));
    let block = vec![0; 64 << 10];
    while free(c) > left {
        // The last block does not fit whole.
        if file.write_all(&block).is_err() {
            break;
        }
    }
}

fn pressure(c: &Cluster, wanted: &str) {
    eventually("DiskPressure", Duration::from_secs(30), || {
        let path = "{.status.conditions[?(@.type==\"DiskPressure\")].status}";
        let status = c.try_k(&format!("get node edge-1 -o jsonpath='{path}'"))?;
        ensure!(status == wanted, "{status}");
        Ok(())
    });
}

fn last_line(c: &Cluster) -> anyhow::Result<u64> {
    let line = c.try_k("logs writes --tail=1")?;
    let number = line.trim().trim_start_matches("line ").parse();
    number.map_err(|e| anyhow::anyhow!("{e}: {line:?}"))
}

pub fn is_full_and_then_not() {
    let mut c = Cluster::prepare(&[]).unwrap_or_else(|e| panic!("{e:#}"));
    mount(&c);
    c.start_server();
    c.wait_ready();
    c.import(&busybox(c.scratch()));
    c.apply(PODS);
    c.k("wait --for=condition=Ready pod/writes --timeout=60s");
    let before = tasks(&c).unwrap_or_default();

    // Nearly full: told before anything fails, and no new pod comes.
    fill(&c, "filler-1", 10 << 20);
    pressure(&c, "True");
    c.says(
        "describe node edge-1",
        &["disk-pressure:NoSchedule", "KubeletHasDiskPressure"],
    );
    fill(&c, "filler-2", 0);

    // Full: what is asked for is answered, what is to be written is refused, and why is said.
    let mut count = 0;
    eventually("writes are refused", Duration::from_secs(20), || {
        count += 1;
        let large = "x".repeat(100_000);
        let said = c.try_k(&format!(
            "create configmap large-{count} --from-literal=a={large}"
        ));
        let Err(error) = said else {
            anyhow::bail!("it was taken")
        };
        let error = format!("{error:#}");
        ensure!(
            error.contains("no space left"),
            "{}",
            &error[error.len() - 300..]
        );
        Ok(())
    });
    c.says("get pods", &["writes", "1/1", "Running"]);
    assert!(last_line(&c).is_ok());
    assert_eq!(c.sh("writes", "echo here").unwrap_or_default(), "here\n");
    // The server can be started on a full disk.
    c.kill_server();
    c.start_server();
    eventually("the API answers", Duration::from_secs(40), || {
        c.try_k("get pods")
    });
    eventually("exec", Duration::from_secs(40), || {
        c.sh("writes", "echo here")
    });
    assert_eq!(tasks(&c).unwrap_or_default(), before);

    // There is space again: all goes on by itself.
    for file in ["filler-1", "filler-2"] {
        std::fs::remove_file(c.data_dir().join(file)).unwrap_or_else(|e| panic!("{e}"));
    }
    pressure(&c, "False");
    c.wait_ready();
    let line = eventually("the log", Duration::from_secs(10), || last_line(&c));
    eventually("the log goes on", Duration::from_secs(10), || {
        ensure!(last_line(&c)? > line, "still {line}");
        Ok(())
    });
    assert_eq!(tasks(&c).unwrap_or_default(), before);
    c.apply(&PODS.replace("writes", "later"));
    c.k("wait --for=condition=Ready pod/later --timeout=60s");
    clean(&c);
}
