//! Writes an OCI image layout (image-spec 1.1) as a tar archive.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ImageError;
use crate::layer::{self, Entry};
use crate::recipe::ImageConfig;

/// Where a layer's uncompressed tar is.
#[derive(Debug, Clone)]
pub enum LayerData {
    /// In memory, for small ones.
    Memory(Vec<u8>),
    /// In a file.
    File(PathBuf),
}

/// A layer: an uncompressed tar, so its digest is also its diff id.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The tar.
    pub data: LayerData,
    /// SHA-256 of the tar, in hexadecimal.
    pub digest: String,
    /// Length of the tar in bytes.
    pub size_bytes: u64,
}

impl Layer {
    /// A layer of a tar in memory.
    pub fn from_memory(tar: Vec<u8>) -> Self {
        Self {
            digest: sha256_hex(&tar),
            size_bytes: tar.len() as u64,
            data: LayerData::Memory(tar),
        }
    }

    /// A layer of the tar file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, ImageError> {
        let mut file = std::fs::File::open(path).map_err(ImageError::io("open", path))?;
        let mut hasher = Sha256::new();
        let size_bytes =
            std::io::copy(&mut file, &mut hasher).map_err(ImageError::io("read", path))?;
        Ok(Self {
            data: LayerData::File(path.to_owned()),
            digest: hex(&hasher.finalize()),
            size_bytes,
        })
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The machine's architecture in Go's (and so OCI's) terms.
pub fn oci_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The image configuration document.
pub fn image_config(config: &ImageConfig, layers: &[Layer], created: &str) -> Value {
    let set = |items: &[String]| -> Value {
        items
            .iter()
            .map(|item| (item.clone(), json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut run = serde_json::Map::new();
    let mut put = |key: &str, value: Value, empty: bool| {
        if !empty {
            run.insert(key.to_owned(), value);
        }
    };
    let env: Vec<String> = config.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    put(
        "Entrypoint",
        json!(config.entrypoint),
        config.entrypoint.is_empty(),
    );
    put("Cmd", json!(config.cmd), config.cmd.is_empty());
    put("Env", json!(env), env.is_empty());
    put("User", json!(config.user), config.user.is_empty());
    put(
        "WorkingDir",
        json!(config.working_dir),
        config.working_dir.is_empty(),
    );
    put(
        "ExposedPorts",
        set(&config.exposed_ports),
        config.exposed_ports.is_empty(),
    );
    put("Volumes", set(&config.volumes), config.volumes.is_empty());
    put("Labels", json!(config.labels), config.labels.is_empty());
    put(
        "StopSignal",
        json!(config.stop_signal),
        config.stop_signal.is_empty(),
    );
    let mut document = json!({
        "created": created,
        "architecture": oci_architecture(),
        "os": "linux",
        "config": run,
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|l| format!("sha256:{}", l.digest)).collect::<Vec<_>>(),
        },
    });
    if std::env::consts::ARCH == "aarch64" {
        document["variant"] = json!("v8");
    }
    document
}

/// Writes the archive of one image to `out` and returns the manifest's digest (`sha256:…`).
///
/// # Errors
/// When `out` cannot be written or a layer's file cannot be read or is no longer what it was.
pub fn write(
    out: impl Write,
    image: &str,
    config: &ImageConfig,
    layers: &[Layer],
    created: &str,
) -> Result<String, ImageError> {
    let config = image_config(config, layers, created)
        .to_string()
        .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &sha256_hex(&config), config.len() as u64),
        "layers": layers.iter()
            .map(|l| descriptor("application/vnd.oci.image.layer.v1.tar", &l.digest, l.size_bytes))
            .collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes();
    let manifest_digest = sha256_hex(&manifest);
    let mut entry = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        &manifest_digest,
        manifest.len() as u64,
    );
    // containerd names the image by the first, other tools by the second.
    entry["annotations"] = json!({
        "io.containerd.image.name": image,
        "org.opencontainers.image.ref.name": image,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    })
    .to_string();

    let mut tar = tar::Builder::new(out);
    let io = |e| ImageError::io("write", "the image archive")(e);
    add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(io)?;
    add(&mut tar, "index.json", index.as_bytes()).map_err(io)?;
    add(&mut tar, &blob(&manifest_digest), &manifest).map_err(io)?;
    add(&mut tar, &blob(&sha256_hex(&config)), &config).map_err(io)?;
    let mut written = std::collections::BTreeSet::new();
    for layer in layers {
        if !written.insert(&layer.digest) {
            continue;
        }
        match &layer.data {
            LayerData::Memory(bytes) => add(&mut tar, &blob(&layer.digest), bytes).map_err(io)?,
            LayerData::File(path) => {
                let file = std::fs::File::open(path).map_err(ImageError::io("open", path))?;
                tar.append_data(
                    &mut header(layer.size_bytes),
                    blob(&layer.digest),
                    file.take(layer.size_bytes),
                )
                .map_err(ImageError::io("copy", path))?;
            }
        }
    }
    tar.into_inner()
        .and_then(|mut out| out.flush())
        .map_err(io)?;
    Ok(format!("sha256:{manifest_digest}"))
}

/// The archive of an image with one layer of a few files, in memory.
///
/// # Errors
/// When an entry's path cannot stand in a tar.
pub fn in_memory(
    image: &str,
    config: &ImageConfig,
    entries: &[Entry],
) -> Result<Vec<u8>, ImageError> {
    let layers = [Layer::from_memory(layer::entries(entries)?)];
    let mut archive = Vec::new();
    write(&mut archive, image, config, &layers, crate::build::CREATED)?;
    Ok(archive)
}

fn descriptor(media_type: &str, digest: &str, size_bytes: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size_bytes})
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

fn header(size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size_bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

fn add(tar: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_same_every_time_and_its_digests_hold() {
        let layers = [Layer::from_memory(vec![0; 1024])];
        let config = ImageConfig {
            cmd: vec!["/x".into()],
            ..ImageConfig::default()
        };
        let make = || {
            let mut out = Vec::new();
            let digest = write(
                &mut out,
                "minicloud.local/x:1",
                &config,
                &layers,
                "1970-01-01T00:00:00Z",
            )
            .unwrap();
            (out, digest)
        };
        let (bytes, digest) = make();
        assert_eq!((&bytes, &digest), (&make().0, &make().1));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut blobs = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(expected) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(sha256_hex(&content), expected);
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }
}
