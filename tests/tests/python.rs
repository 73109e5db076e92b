//! The official Python client, unmodified, against the program. What it is asked to do is in `tests/python`.

use minicloud_tests::Cluster;
use minicloud_tests::images::busybox;
use minicloud_tests::programs::{output, python};

#[test]
fn the_python_client_works_unmodified() {
    let cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    let mut command = cluster.command(python());
    command
        .args(["-W", "error::SyntaxWarning", "-m", "unittest", "discover"])
        .args(["--verbose", "--start-directory"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = output(&mut command).unwrap_or_else(|e| panic!("{e:#}"));
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}");
    // A discovery that finds nothing also succeeds.
    assert!(
        said.contains("test_a_watch_is_resumed_without_loss"),
        "{said}"
    );
}
