//! Streams: logs, exec, attach, run, cp, port-forward.

use std::time::Duration;

use minicloud_tests::programs::{kubectl, run};
use minicloud_tests::{Background, Cluster, eventually};

/// `logs`, whole and in part, of one and of many, followed, and of the container before.
pub fn logs_are_read(c: &Cluster) {
    let lines = c.k("logs shell -c shell");
    assert!(lines.starts_with("tick 0\ntick 1\n"), "{lines}");
    assert_eq!(c.k("logs shell -c shell --tail=2").lines().count(), 2);
    assert_eq!(c.k("logs shell -c second"), "second\n");
    let recent = c.k("logs shell -c shell --since=2s").lines().count();
    assert!((1..=6).contains(&recent), "{recent} lines in two seconds");
    let stamped = c.k("logs shell -c second --timestamps");
    assert!(
        stamped.starts_with("20") && stamped.ends_with("Z second\n"),
        "{stamped}"
    );
    assert_eq!(c.k("logs shell -c shell --limit-bytes=4"), "tick");
    // kubectl asks for the containers in an order that changes from run to run.
    for line in ["[pod/shell/shell] tick", "[pod/shell/second] second"] {
        c.says("logs shell --all-containers --prefix --tail=1", &[line]);
    }
    assert_eq!(c.k("logs -l app=web --tail=-1"), "serving\nserving\n");
    c.says("logs deployment/web", &["serving"]);
    c.refuses(
        "logs shell -c nobody",
        1,
        &["container nobody is not valid for pod shell"],
    );
    c.refuses("logs nobody", 1, &["pods \"nobody\" not found"]);
    c.refuses(
        "logs shell -c shell --previous",
        1,
        &["previous terminated container \"shell\" in pod \"shell\" not found"],
    );

    let follow = Background::start(c.kubectl_line("logs -f shell -c shell --tail=1"));
    let number = |text: &str| {
        let line = text.lines().next()?;
        line.strip_prefix("tick ")?.parse::<u32>().ok()
    };
    let first = eventually("a first line", Duration::from_secs(10), || {
        number(&follow.said()).ok_or_else(|| anyhow::anyhow!("{}", follow.said()))
    });
    follow.wait_for(&format!("tick {}\n", first + 4));

    c.apply(RESTARTING);
    eventually("the container before", Duration::from_secs(30), || {
        let present = c.try_k("logs restarting")?;
        anyhow::ensure!(present == "life 2\n", "{present:?}");
        let previous = c.try_k("logs restarting --previous")?;
        anyhow::ensure!(previous == "life 1\n", "{previous:?}");
        Ok(())
    });
    // A log that is followed ends with its container.
    let mut last = Background::start(c.kubectl_line("logs -f restarting"));
    last.wait_for("life 2");
    c.k("exec restarting -- touch /state/end");
    assert_eq!(last.code(), Some(0));
    assert_eq!(last.said(), "life 2\n");
    c.k("delete pod restarting");
}

const RESTARTING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: restarting}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: OnFailure
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo x >> /state/lives; n=$(wc -l < /state/lives); echo life $n; [ $n = 1 ] && exit 1; until [ -e /state/end ]; do sleep 0.2; done"]
    volumeMounts: [{name: state, mountPath: /state}]
  volumes: [{name: state, emptyDir: {}}]
"#;

/// A session of kubectl on a terminal of its own.
fn terminal(c: &Cluster, words: &str) -> Background {
    let mut command = c.command("script");
    let line = format!(
        "stty cols 101 rows 33; exec {} {words}",
        kubectl().display()
    );
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    Background::start(command)
}

/// `exec`, with and without a terminal, its input and its exit code.
pub fn commands_run_in_containers(c: &Cluster) {
    assert_eq!(c.k("exec shell -c second -- echo hi"), "hi\n");
    c.refuses("exec shell -c shell -- sh -c 'exit 7'", 7, &["exit code 7"]);
    c.refuses(
        "exec shell -c shell -- sh -c 'echo to errors >&2; exit 1'",
        1,
        &["to errors"],
    );
    c.refuses(
        "exec shell -c shell -- nothing-there",
        1,
        &["executable file not found"],
    );
    c.refuses("exec nobody -- true", 1, &["pods \"nobody\" not found"]);
    c.says("exec deployment/web -- hostname", &["web-"]);

    // Input ends, output is whole, also when there is more of it than pipes and windows hold.
    let mut cat =
        Background::start(c.kubectl_line("exec -i shell -c shell -- sh -c 'cat; exit 3'"));
    cat.types("typed");
    cat.wait_for("typed\n");
    cat.ends_input();
    assert_eq!(cat.code(), Some(3));
    assert_eq!(
        c.k("exec shell -c shell -- sh -c 'head -c 3000000 /dev/zero | tr \"\\0\" a'")
            .len(),
        3_000_000
    );

    let mut session = terminal(c, "exec -it shell -c shell -- sh");
    session.types("tty");
    session.wait_for("/dev/pts/0");
    session.types("stty size");
    session.wait_for("33 101");
    // A signal from the keyboard ends the program in the container, not kubectl and not the shell.
    session.types("echo run''ning; sleep 1000");
    session.wait_for("running");
    session.types("\u{3}");
    session.types("exit 5");
    assert_eq!(session.code(), Some(5), "{}", session.said());
}

/// `run` and `attach`: what is typed comes to the container's first process.
pub fn pods_are_run_and_attached_to(c: &Cluster) {
    let mut one = Background::start(c.kubectl_line("run once --image=minicloud.local/busybox:1 --restart=Never --rm -i --command -- sh -c 'read x; echo got $x; exit 4'"));
    eventually("it runs", Duration::from_secs(20), || {
        let phase = c.try_k("get pod once -o jsonpath='{.status.phase}'")?;
        anyhow::ensure!(phase == "Running", "{phase}");
        Ok(())
    });
    one.types("word");
    assert_eq!(one.code(), Some(4), "{}", one.said());
    assert!(one.said().contains("got word"), "{}", one.said());
    c.refuses("get pod once", 1, &["NotFound"]);

    c.k("run lasting -i --leave-stdin-open --attach=false --image=minicloud.local/busybox:1 --command -- sh -c 'while read x; do echo got $x; done; sleep 1000'");
    c.k("wait --for=condition=Ready pod/lasting --timeout=20s");
    let mut first = Background::start(c.kubectl_line("attach -i lasting"));
    first.types("one");
    first.wait_for("got one");
    drop(first);
    let mut again = Background::start(c.kubectl_line("attach -i lasting"));
    again.types("two");
    again.wait_for("got two");
    drop(again);
    assert_eq!(c.k("logs lasting"), "got one\ngot two\n");
    c.k("delete pod lasting --now");
}

/// `cp`, of a large file and of a folder.
pub fn files_are_copied_both_ways(c: &Cluster) {
    let here = |name: &str| c.scratch().join(name);
    let large: Vec<u8> = (0..2_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let work = || -> anyhow::Result<()> {
        std::fs::write(here("large"), &large)?;
        std::fs::create_dir_all(here("folder/inner"))?;
        std::fs::write(here("folder/inner/file"), "deep\n")?;
        c.try_k(&format!(
            "cp {} shell:/data/large -c shell",
            here("large").display()
        ))?;
        c.try_k(&format!(
            "cp shell:/data/large {} -c shell",
            here("back").display()
        ))?;
        anyhow::ensure!(
            std::fs::read(here("back"))? == large,
            "the file changed on its way"
        );
        c.try_k(&format!(
            "cp {} default/shell:/tmp/folder -c shell",
            here("folder").display()
        ))?;
        anyhow::ensure!(c.try_k("exec shell -c shell -- cat /tmp/folder/inner/file")? == "deep\n");
        c.try_k(&format!(
            "cp shell:/tmp/folder {} -c shell",
            here("folder2").display()
        ))?;
        anyhow::ensure!(std::fs::read_to_string(here("folder2/inner/file"))? == "deep\n");
        Ok(())
    };
    work().unwrap_or_else(|e| panic!("{e:#}"));
}

/// `port-forward` to a pod, a Service and a Deployment; many connections through one.
pub fn ports_are_forwarded(c: &Cluster) {
    let pod = c.k("get pods -l app=web -o jsonpath='{.items[0].metadata.name}'");
    for (target, port) in [
        (format!("pod/{pod}"), "18080:8080"),
        ("service/web".into(), "18081:http"),
        ("deployment/web".into(), "18082:8080"),
    ] {
        let forward = Background::start(c.kubectl_line(&format!("port-forward {target} {port}")));
        let local = &port[..5];
        forward.wait_for(&format!("Forwarding from 127.0.0.1:{local} -> 8080"));
        for _ in 0..5 {
            let page = run(c.command("curl").args([
                "--silent",
                "--fail",
                "--max-time",
                "5",
                &format!("http://127.0.0.1:{local}/"),
            ]));
            assert_eq!(
                page.unwrap_or_else(|e| panic!("{target}: {e:#}\n{}", forward.said())),
                "hello from a config map\n"
            );
        }
    }
    // Nobody listens there: the connection is refused, the forwarder says why and goes on or ends, as the client's version does.
    let forward = Background::start(c.kubectl_line(&format!("port-forward pod/{pod} 18083:9999")));
    forward.wait_for("Forwarding from");
    assert!(
        run(c
            .command("curl")
            .args(["--silent", "--max-time", "5", "http://127.0.0.1:18083/"]))
        .is_err()
    );
    forward.wait_for("onnection refused");
}
