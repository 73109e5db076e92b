//! The seed's example, as a new user gets it from `cargo xtask up`: WordPress and MariaDB from Debian's packages. Its first page
//! comes up through the Service, and a post that is written survives the restart of every pod.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use minicloud_images::{BuildOptions, build};
use minicloud_tests::programs::{self, run};
use minicloud_tests::{Cluster, eventually};

const SITE: &str = "http://127.0.0.1:30080";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/application")
}

/// Builds the image outside the cluster's namespace, which has no way to the Debian archive; kept below the target folder.
fn import(cluster: &Cluster, name: &str) {
    let cache = programs::minicloud().with_file_name("images");
    let options = BuildOptions {
        cache,
        fresh: false,
    };
    let built = build(&example().join("images").join(name), &options, &|_| ());
    cluster.import(
        &built
            .unwrap_or_else(|e| panic!("the image of {name}: {e}"))
            .archive,
    );
}

fn page(cluster: &Cluster) -> anyhow::Result<String> {
    let url = format!("{SITE}/");
    run(cluster
        .command("curl")
        .args(["--silent", "--fail", "--max-time", "20", &url]))
}

/// Publishes a post by WordPress's XML-RPC interface.
fn write_post(cluster: &Cluster, title: &str) -> anyhow::Result<()> {
    let string = |text: &str| format!("<param><value><string>{text}</string></value></param>");
    let member = |name: &str, text: &str| {
        format!("<member><name>{name}</name><value><string>{text}</string></value></member>")
    };
    let call = format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>wp.newPost</methodName><params>\
         <param><value><int>1</int></value></param>{}{}<param><value><struct>{}{}{}</struct></value></param>\
         </params></methodCall>",
        string("admin"),
        string("change-me-admin"),
        member("post_title", title),
        member("post_content", "written by a test"),
        member("post_status", "publish"),
    );
    let url = format!("{SITE}/xmlrpc.php");
    let answer = run(cluster.command("curl").args([
        "--silent",
        "--fail",
        "--max-time",
        "20",
        "--data",
        &call,
        &url,
    ]))?;
    ensure!(!answer.contains("fault"), "{answer}");
    Ok(())
}

fn rolled_out(cluster: &Cluster) {
    for deployment in ["mariadb", "wordpress"] {
        cluster.k(&format!(
            "-n application rollout status deployment/{deployment} --timeout=180s"
        ));
    }
}

#[test]
fn a_post_survives_the_restart_of_every_pod_and_of_the_server() {
    let mut cluster = Cluster::start();
    import(&cluster, "mariadb");
    import(&cluster, "wordpress");
    cluster.k(&format!("apply -f {}", example().display()));
    rolled_out(&cluster);
    let first = eventually("the first page", Duration::from_secs(30), || page(&cluster));
    assert!(first.contains("<title>Minicloud</title>"), "{first:.500}");

    write_post(&cluster, "Kept across restarts")
        .unwrap_or_else(|e| panic!("no post could be written: {e:#}"));
    assert!(page(&cluster).is_ok_and(|p| p.contains("Kept across restarts")));

    cluster.k("-n application delete pods --all --wait=true --timeout=90s");
    rolled_out(&cluster);
    let again = eventually(
        "the page after the restart",
        Duration::from_secs(60),
        || page(&cluster),
    );
    assert!(again.contains("Kept across restarts"), "{again:.500}");

    // The server's death is nothing to the application.
    cluster.kill_server();
    let without = eventually("the page without a server", Duration::from_secs(20), || {
        page(&cluster)
    });
    assert!(without.contains("Kept across restarts"), "{without:.500}");
    cluster.start_server();
    cluster.wait_ready();
    rolled_out(&cluster);
}
