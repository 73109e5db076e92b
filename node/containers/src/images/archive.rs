//! OCI image archives: writing a small one in memory, and reading the names in one (OCI or Docker) before it is imported.
//!
//! Know before changing: the same input gives the same bytes (times are zero, order is the caller's), so that an image made
//! twice is one image to containerd.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Under which name containerd imports a manifest of an OCI archive.
const ANNOTATION_NAME: &str = "io.containerd.image.name";
/// OCI's own annotation, which may be a bare tag.
const ANNOTATION_REF: &str = "org.opencontainers.image.ref.name";
/// Indexes of archives are small; what is larger is not one.
const MAX_INDEX_BYTES: u64 = 4 << 20;

/// One entry of the image's only layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, with no leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A folder.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}

/// What a container of the image runs when the pod does not say. OCI's image configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What `command` overrides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// What `args` overrides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// As `SIGQUIT`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

#[derive(Serialize)]
struct Descriptor<'a> {
    #[serde(rename = "mediaType")]
    media_type: &'a str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<serde_json::Value>,
}

impl<'a> Descriptor<'a> {
    fn of(media_type: &'a str, blob: &[u8]) -> Self {
        Descriptor {
            media_type,
            digest: digest(blob),
            size: blob.len(),
            annotations: None,
        }
    }
}

/// An OCI archive of one image with one layer, for this machine's architecture.
pub fn write(name: &str, run: &RunConfig, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let layer = layer(entries)?;
    let config = json(&serde_json::json!({
        "architecture": architecture(),
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    }))?;
    let manifest = json(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", &config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", &layer)],
    }))?;
    let mut of_manifest = Descriptor::of("application/vnd.oci.image.manifest.v1+json", &manifest);
    of_manifest.annotations =
        Some(serde_json::json!({ANNOTATION_NAME: name, ANNOTATION_REF: name}));
    let index = json(&serde_json::json!({"schemaVersion": 2, "manifests": [of_manifest]}))?;

    let mut tar = tar::Builder::new(Vec::new());
    append(
        &mut tar,
        "oci-layout",
        0o644,
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    append(&mut tar, "index.json", 0o644, &index)?;
    for blob in [&manifest, &config, &layer] {
        let path = format!("blobs/{}", digest(blob).replace(':', "/"));
        append(&mut tar, &path, 0o644, blob)?;
    }
    tar.into_inner()
}

fn layer(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        match &entry.content {
            Content::File(bytes) => append(&mut tar, &entry.path, entry.mode, bytes)?,
            Content::Directory => {
                let mut header = header(entry.mode, 0);
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
            }
            Content::Symlink(target) => {
                let mut header = header(entry.mode, 0);
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &entry.path, target)?;
            }
        }
    }
    tar.into_inner()
}

fn header(mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(mode, bytes.len()), path, bytes)
}

fn json(value: &serde_json::Value) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// This machine's architecture as OCI (and Go) calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The names under which containerd imports the images of an archive, in order, each once. Empty when the archive names none.
///
/// Fails when it is no image archive at all. Reads the archive to its end: it may be compressed only inside.
pub fn names(mut archive: impl Read) -> io::Result<Vec<String>> {
    let mut magic = [0; 4];
    archive.read_exact(&mut magic)?;
    if matches!(magic, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]) {
        let text = "the archive is compressed as a whole; unpack it first (gunzip, unzstd)";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let archive = magic.as_slice().chain(archive);
    let mut names: Vec<String> = Vec::new();
    let mut known = false;
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let path = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        if path != "index.json" && path != "manifest.json" {
            continue;
        }
        known = true;
        let mut text = Vec::new();
        entry.take(MAX_INDEX_BYTES).read_to_end(&mut text)?;
        let found = if path == "index.json" {
            oci_names(&text)?
        } else {
            docker_names(&text)?
        };
        for name in found {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if !known {
        let text =
            "not an image archive: it has neither index.json (OCI) nor manifest.json (Docker)";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(names)
}

fn oci_names(text: &[u8]) -> io::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<Manifest>,
    }
    #[derive(Deserialize)]
    struct Manifest {
        #[serde(default)]
        annotations: std::collections::BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(text)?;
    let name_of = |manifest: Manifest| {
        let mut annotations = manifest.annotations;
        annotations
            .remove(ANNOTATION_NAME)
            .or_else(|| annotations.remove(ANNOTATION_REF))
    };
    Ok(index
        .manifests
        .into_iter()
        .filter_map(name_of)
        .filter(|name| !name.is_empty())
        .collect())
}

fn docker_names(text: &[u8]) -> io::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "RepoTags", default)]
        repo_tags: Option<Vec<String>>,
    }
    let images: Vec<Image> = serde_json::from_slice(text)?;
    Ok(images
        .into_iter()
        .flat_map(|image| image.repo_tags.unwrap_or_default())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Entry> {
        vec![
            Entry {
                path: "bin".into(),
                mode: 0o755,
                content: Content::Directory,
            },
            Entry {
                path: "bin/x".into(),
                mode: 0o755,
                content: Content::File(b"hello".to_vec()),
            },
            Entry {
                path: "bin/y".into(),
                mode: 0o777,
                content: Content::Symlink("x".into()),
            },
        ]
    }

    #[test]
    fn is_the_same_every_time_and_names_itself() {
        let run = RunConfig {
            cmd: vec!["/bin/x".into()],
            ..Default::default()
        };
        let archive = write("minicloud.local/x:1", &run, &sample()).unwrap();
        assert_eq!(
            archive,
            write("minicloud.local/x:1", &run, &sample()).unwrap()
        );
        assert_eq!(names(archive.as_slice()).unwrap(), ["minicloud.local/x:1"]);
    }

    #[test]
    fn blobs_bear_their_digests() {
        let archive = write("x:1", &RunConfig::default(), &sample()).unwrap();
        let mut blobs = 0;
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let Some(hex) = path.strip_prefix("blobs/sha256/") else {
                continue;
            };
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            assert_eq!(digest(&bytes), format!("sha256:{hex}"));
            blobs += 1;
        }
        assert_eq!(blobs, 3);
    }

    fn tar_of(path: &str, text: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, path, 0o644, text.as_bytes()).unwrap();
        tar.into_inner().unwrap()
    }

    #[test]
    fn reads_names_of_both_formats() {
        let docker =
            r#"[{"Config":"c","RepoTags":["a:1","b:2"]},{"RepoTags":null},{"RepoTags":["a:1"]}]"#;
        assert_eq!(
            names(tar_of("manifest.json", docker).as_slice()).unwrap(),
            ["a:1", "b:2"]
        );
        let oci = r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"t"}},{}]}"#;
        assert_eq!(names(tar_of("index.json", oci).as_slice()).unwrap(), ["t"]);
        assert_eq!(
            names(tar_of("index.json", "{}").as_slice()).unwrap(),
            Vec::<String>::new()
        );
        assert!(names(tar_of("etc/passwd", "").as_slice()).is_err());
        assert!(names(tar_of("index.json", "no").as_slice()).is_err());
        let error = names([0x1f, 0x8b, 8, 0, 0].as_slice())
            .unwrap_err()
            .to_string();
        assert!(error.contains("gunzip"), "{error}");
        assert!(names(b"no tar at all".repeat(100).as_slice()).is_err());
    }
}
