//! Reading the names in an image archive (OCI or Docker) before it is imported.

use std::io::{self, Read};

use serde::Deserialize;

/// Under which name containerd imports a manifest of an OCI archive.
const ANNOTATION_NAME: &str = "io.containerd.image.name";
/// OCI's own annotation, which may be a bare tag.
const ANNOTATION_REF: &str = "org.opencontainers.image.ref.name";
/// Indexes of archives are small; what is larger is not one.
const MAX_INDEX_BYTES: u64 = 4 << 20;

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

    fn tar_of(path: &str, text: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
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
