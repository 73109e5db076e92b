//! Logs are rotated by size while somebody follows them.

use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::{Background, Cluster, eventually};

use crate::machine::clean;

/// Writes numbered lines of 1000 bytes, 25 MB in all, in bursts: more than two files' worth.
const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command:
    - awk
    - 'BEGIN { pad = sprintf("%990s", ""); for (i = 0; i < 25000; i++) { printf "%08d %s\n", i, pad; fflush(); if (i % 1000 == 999) system("sleep 1") } print "end" }'
---
apiVersion: v1
kind: Pod
metadata: {name: again}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "n=$(cat /data/n 2>/dev/null || echo 0); echo $((n+1)) > /data/n; for i in 1 2 3 4 5; do echo run $n line $i; done; [ $n = 1 ] && sleep 100000; exit 3"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
"#;

pub fn rotate(c: &Cluster) {
    c.apply(PODS);
    c.k("wait --for=condition=Ready pod/writer --timeout=30s");
    let mut follower = Background::start(c.kubectl(&["logs", "--follow", "writer"]));
    eventually("the end", Duration::from_secs(90), || {
        ensure!(follower.said().ends_with("end\n"), "not yet");
        Ok(())
    });
    assert_eq!(follower.code(), Some(0));
    let said = follower.said();
    let numbers = said.lines().filter(|line| *line != "end");
    let mut expected = 0;
    for line in numbers {
        let number: u32 = line[..8]
            .parse()
            .unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert_eq!(number, expected, "a line is lost, or came twice");
        expected += 1;
    }
    assert_eq!(expected, 25_000);

    let dir = c.data_dir().join("logs/pods");
    let files: Vec<(String, u64)> = walk_files(&dir)
        .into_iter()
        .filter(|(name, _)| name.contains("writer"))
        .collect();
    assert!(files.len() >= 2, "it was not rotated: {files:?}");
    assert!(files.iter().all(|(_, size)| *size < 25 << 20), "{files:?}");
    // The last lines are those of the present file.
    let tail = c.k("logs writer --tail=3");
    let tail: Vec<&str> = tail
        .lines()
        .map(|line| line.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(tail, ["00024998", "00024999", "end"]);
    assert_eq!(c.k("logs writer --since=1h --tail=1"), "end\n");
    let limited = c.k("logs writer --limit-bytes=20");
    assert_eq!(limited.len(), 20, "{limited:?}");
}

fn walk_files(dir: &std::path::Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk_files(&path));
        } else {
            let size = entry.metadata().map(|m| m.len()).unwrap_or(0);
            found.push((path.display().to_string(), size));
        }
    }
    found
}

pub fn of_earlier_runs(c: &Cluster) {
    eventually("the second run", Duration::from_secs(60), || {
        let said = c.try_k("logs again")?;
        ensure!(said.starts_with("run 1"), "{said}");
        Ok(())
    });
    c.says(
        "logs again --previous",
        &["run 0 line 1\n", "run 0 line 5\n"],
    );
    assert_eq!(c.k("logs again --previous --tail=1"), "run 0 line 5\n");
    assert_eq!(c.k("logs again --tail=2"), "run 1 line 4\nrun 1 line 5\n");
    c.says("logs again --timestamps --tail=1", &["T", "Z run 1 line 5"]);
    eventually("its lines are older", Duration::from_secs(10), || {
        let said = c.try_k("logs again --since=1s")?;
        ensure!(said.is_empty(), "{said}");
        Ok(())
    });
    c.refuses(
        "logs writer --previous",
        1,
        &["previous terminated container"],
    );
    clean(c);
}
