//! A process of its own: it goes on without its supervisor, is taken over, told, replaced, and started again.

use minicloud_daemon::State;
use minicloud_prometheus::config::Extra;

use crate::harness::Place;

fn rule(expression: &str) -> Extra {
    Extra {
        rules: vec![(
            "test.yml".into(),
            format!("groups: [{{name: t, rules: [{{record: told, expr: {expression}}}]}}]"),
        )],
        ..Extra::default()
    }
}

#[tokio::test]
async fn it_is_taken_over_by_the_next_server_and_replaced_for_other_settings() {
    let mut place = Place::new();
    let mut first = place.start();
    first.ready().await;
    first.has_scraped(2.0).await;
    let pid = place.pid();
    assert!(pid.is_some());
    first.leave().await;
    assert_eq!(place.pid(), pid, "it goes on");

    // The next has other keys, and gets in all the same; what it is told is heard.
    let mut second = place.start();
    second.ready().await;
    assert_eq!(place.pid(), pid);
    assert!(second.scrapes().await >= 2.0);
    second.extra.send_replace(rule("vector(41)"));
    let client = second.client.clone();
    let told = async || client.query("told").await.unwrap_or_default();
    while told().await.first().map(|s| s.value()) != Some(41.0) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(place.pid(), pid, "it reloads, it is not started anew");
    second.leave().await;

    // Other settings are another process with the same store.
    place.config.retention_time = "2d".into();
    let mut third = place.start();
    third.ready().await;
    assert_ne!(place.pid(), pid);
    assert!(third.scrapes().await >= 2.0);
    third.leave().await;
    place.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate_of_the_servers() {
    let place = Place::new();
    let mut supervised = place.start();
    supervised.ready().await;
    let curl = |more: &[&str]| {
        let url = format!("https://127.0.0.1:{}/-/ready", place.config.port);
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--insecure", "--max-time", "5"])
            .args(more)
            .arg(url);
        curl.output().unwrap()
    };
    let without = curl(&[]);
    assert!(!without.status.success() && without.stdout.is_empty());
    let plain = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "5"])
        .arg(format!("http://127.0.0.1:{}/-/ready", place.config.port))
        .output()
        .unwrap();
    assert!(
        !String::from_utf8_lossy(&plain.stdout).contains("Ready"),
        "{plain:?}"
    );
    // The one that Prometheus itself shows does get in, which shows that this test can fail.
    let pem = place.config.run_dir.join("prometheus/tls/client.pem");
    let with = curl(&["--cert", pem.to_str().unwrap()]);
    assert!(
        String::from_utf8_lossy(&with.stdout).contains("Ready"),
        "{with:?}"
    );
    // Nobody else may read that.
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(&pem).unwrap();
    assert_eq!((file.mode() & 0o777, file.uid()), (0o640, 0));
    // It has none of root's rights.
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.pid().unwrap())).unwrap();
    for part in [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let user = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert!(!user.split_whitespace().any(|id| id == "0"), "{user}");
    supervised.leave().await;
    place.stop().await;
}

#[tokio::test]
async fn one_that_is_not_installed_is_said_to_be() {
    let mut place = Place::new();
    place.config.program = place.path().join("prometheus");
    let mut supervised = place.start();
    supervised.becomes(|state| *state == State::Missing).await;
    let trouble = (supervised.trouble)().unwrap_or_default();
    assert!(trouble.contains("apt-get install prometheus"), "{trouble}");
    let error = supervised.client.query("up").await.unwrap_err();
    assert!(error.to_string().contains("away"), "{error}");
    supervised.leave().await;
}

#[tokio::test]
async fn a_port_that_another_program_has_is_no_reason_to_give_up_samples() {
    let mut place = Place::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    place.config.port = other.local_addr().unwrap().port();
    std::fs::create_dir_all(place.store()).unwrap();
    std::fs::write(place.store().join("mine"), "").unwrap();
    let mut supervised = place.start();
    for _ in 0..3 {
        supervised.becomes(|state| *state == State::Starting).await;
        supervised
            .becomes(|state| matches!(state, State::Failed(why) if why.contains("address already in use")))
            .await;
    }
    drop(other);
    supervised.ready().await;
    assert!(place.store().join("mine").exists());
    supervised.leave().await;
    place.stop().await;
}
