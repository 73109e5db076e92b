//! Pulling, from a registry that is a folder behind busybox's web server in the test's own network.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use minicloud_agent::runtime::{PodRuntime, RegistryAuth};
use minicloud_containers::config::ImageCollection;
use minicloud_images::archive::in_memory;
use minicloud_images::recipe::ImageConfig;

use crate::site::{IMAGE, Site, eventually};

/// The tag ends as the server needs it to tell a manifest's type.
const REMOTE: &str = "localhost:5000/team/app:1.oci";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Spreads an archive as the registry API would serve it.
fn publish(root: &Path) {
    let archive = in_memory("app:1", &ImageConfig::default(), &[]).unwrap();
    let app = root.join("v2/team/app");
    std::fs::create_dir_all(app.join("manifests")).unwrap();
    std::fs::create_dir_all(app.join("blobs")).unwrap();
    let mut index = String::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        if path == "index.json" {
            entry.read_to_string(&mut index).unwrap();
        } else if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            std::fs::write(app.join(format!("blobs/sha256:{hex}")), &bytes).unwrap();
        }
    }
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    for name in [digest, "1.oci"] {
        std::fs::copy(
            app.join("blobs").join(digest),
            app.join("manifests").join(name),
        )
        .unwrap();
    }
}

fn serve(site: &Site) -> Server {
    let root = site.dir.path().join("registry");
    publish(&root);
    let conf = site.dir.path().join("httpd.conf");
    std::fs::write(&conf, format!(".oci:{MANIFEST}\n/v2:somebody:secret\n")).unwrap();
    let child = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", site.name))
        .args([
            "/usr/bin/busybox",
            "httpd",
            "-f",
            "-p",
            "127.0.0.1:5000",
            "-r",
            "registry",
            "-c",
        ])
        .arg(&conf)
        .arg("-h")
        .arg(&root)
        .spawn()
        .unwrap();
    Server(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_with_credentials_and_collected() {
    let mut site = Site::new();
    let server = serve(&site);
    // The disk counts as full all the time.
    site.config.image_collection = ImageCollection {
        high_percent: 0,
        low_percent: 0,
        min_age: Duration::from_secs(1),
        interval: Duration::from_millis(200),
    };
    let runtime = site.start_with_image().await;

    let auth = |password: &str| RegistryAuth {
        username: "somebody".into(),
        password: password.into(),
        server: "localhost:5000".into(),
        ..Default::default()
    };
    let error = runtime
        .pull_image(REMOTE, &[auth("wrong")])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(REMOTE) && !error.contains("wrong"),
        "{error}"
    );
    assert!(runtime.pull_image(REMOTE, &[]).await.is_err());
    let image = runtime
        .pull_image(REMOTE, &[auth("wrong"), auth("secret")])
        .await
        .unwrap();
    assert_eq!(image.tags, [REMOTE]);
    assert!(
        image.digests[0].starts_with("localhost:5000/team/app@sha256:"),
        "{image:?}"
    );

    // Nobody uses it, so it goes; what came from archives stays.
    eventually("the pulled image is removed", || async {
        runtime.image(REMOTE).await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(runtime.image(IMAGE).await.unwrap().is_some());
    assert!(
        runtime
            .image("minicloud.io/pause:1")
            .await
            .unwrap()
            .is_some()
    );

    drop(server);
    site.finish(runtime).await;
}
