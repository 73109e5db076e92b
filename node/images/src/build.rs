//! Builds the image of a recipe, with every layer kept by the hash of what made it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::archive::{self, Layer, sha256_hex};
use crate::recipe::Recipe;
use crate::{ImageError, layer};

/// When every image was made: a fixed time keeps an image's digest a function of its content.
pub const CREATED: &str = "1970-01-01T00:00:00Z";

/// The Debian release that packages come from when a recipe names none.
pub const DEFAULT_SUITE: &str = "bookworm";

/// What nobody reads in a container and what would be a third of its size.
const LEFT_OUT: [&str; 5] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
];

/// How to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Where layers and archives are kept from one build to the next.
    pub cache: PathBuf,
    /// Fetch packages anew even if a layer of the same recipe is kept.
    pub fresh: bool,
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its name with tag.
    pub image: String,
    /// The OCI archive.
    pub archive: PathBuf,
    /// True when nothing had to be done.
    pub unchanged: bool,
}

/// Builds the recipe at `path` (a folder with `image.toml`, or the file). `say` is told each step as it begins.
///
/// # Errors
/// When the recipe is wrong, a source is missing, or a package cannot be installed.
pub fn build(path: &Path, options: &BuildOptions, say: &dyn Fn(&str)) -> Result<Built, ImageError> {
    let (recipe, base) = Recipe::read(path)?;
    build_recipe(&recipe, &base, options, say)
}

/// Builds a recipe whose paths are relative to `base`.
///
/// # Errors
/// As [`build`].
pub fn build_recipe(
    recipe: &Recipe,
    base: &Path,
    options: &BuildOptions,
    say: &dyn Fn(&str),
) -> Result<Built, ImageError> {
    recipe.check().map_err(|problem| ImageError::Recipe {
        path: base.to_owned(),
        problem,
    })?;
    std::fs::create_dir_all(&options.cache).map_err(ImageError::io("create", &options.cache))?;
    let mut layers = Vec::new();
    if !recipe.packages.is_empty() {
        layers.push(packages_layer(recipe, base, options, say)?);
    } else if let Some(folder) = &recipe.folder {
        say(&format!("packing {}", base.join(folder).display()));
        layers.push(kept_layer(&options.cache, |out| {
            layer::folder(out, &base.join(folder))
        })?);
    } else if let Some(tarball) = &recipe.tarball {
        layers.push(Layer::from_file(&base.join(tarball))?);
    }
    if !recipe.files.is_empty() {
        layers.push(Layer::from_memory(layer::files(base, &recipe.files)?));
    }
    let identity = identity(recipe, &layers);
    let target = options.cache.join(format!(
        "{}-{}.oci.tar",
        safe_file_name(&recipe.image),
        &identity[..16]
    ));
    if target.exists() && !options.fresh {
        return Ok(Built {
            image: recipe.image.clone(),
            archive: target,
            unchanged: true,
        });
    }
    say(&format!("writing {}", target.display()));
    write_atomically(&target, |out| {
        archive::write(out, &recipe.image, &recipe.config, &layers, CREATED).map(drop)
    })?;
    Ok(Built {
        image: recipe.image.clone(),
        archive: target,
        unchanged: false,
    })
}

/// The hash of all that the archive depends on.
fn identity(recipe: &Recipe, layers: &[Layer]) -> String {
    let digests: Vec<&str> = layers.iter().map(|l| l.digest.as_str()).collect();
    sha256_hex(format!("{} {:?} {digests:?}", recipe.image, recipe.config).as_bytes())
}

fn safe_file_name(image: &str) -> String {
    image
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Writes `path` so that it is either whole or not there.
fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<std::fs::File>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(folder)
        .map_err(ImageError::io("create a file in", folder))?;
    let (file, temporary) = temporary.into_parts();
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    write(&mut out)?;
    let file = out
        .into_inner()
        .map_err(|e| ImageError::io("write", path)(e.into_error()))?;
    file.sync_all().map_err(ImageError::io("write", path))?;
    temporary
        .persist(path)
        .map_err(|e| ImageError::io("create", path)(e.error))
}

fn kept_layer(
    cache: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<std::fs::File>) -> Result<(), ImageError>,
) -> Result<Layer, ImageError> {
    let draft = cache.join("draft.layer.tar");
    write_atomically(&draft, write)?;
    let layer = Layer::from_file(&draft)?;
    let kept = cache.join(format!("{}.layer.tar", layer.digest));
    std::fs::rename(&draft, &kept).map_err(ImageError::io("rename", &draft))?;
    Ok(Layer {
        data: archive::LayerData::File(kept),
        ..layer
    })
}

/// The file system of Debian packages, by mmdebstrap.
fn packages_layer(
    recipe: &Recipe,
    base: &Path,
    options: &BuildOptions,
    say: &dyn Fn(&str),
) -> Result<Layer, ImageError> {
    let suite = recipe.suite.as_deref().unwrap_or(DEFAULT_SUITE);
    let setup = match &recipe.setup {
        None => None,
        Some(path) => {
            let path = base.join(path);
            let text = std::fs::read(&path).map_err(ImageError::io("read", &path))?;
            Some((path, text))
        }
    };
    let mut key = Sha256::new();
    key.update(format!("{suite} {:?} {LEFT_OUT:?}\n", recipe.packages));
    key.update(
        setup
            .as_ref()
            .map(|(_, text)| text.as_slice())
            .unwrap_or_default(),
    );
    let key: String = key
        .finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    let kept = options.cache.join(format!("debian-{key}.layer.tar"));
    if options.fresh || !kept.exists() {
        say(&format!(
            "installing {} from Debian {suite}",
            recipe.packages.join(", ")
        ));
        let draft = options.cache.join(format!("debian-{key}.draft.tar"));
        let mut command = Command::new("mmdebstrap");
        command.args(["--mode=root", "--variant=essential", "--quiet"]);
        command.arg(format!("--include={}", recipe.packages.join(",")));
        for rule in LEFT_OUT {
            command.arg(format!("--dpkgopt={rule}"));
        }
        if let Some((path, _)) = &setup {
            let quoted = path.display().to_string().replace('\'', r"'\''");
            command.arg(format!(
                "--customize-hook=chroot \"$1\" sh -eu < '{quoted}'"
            ));
        }
        command.arg("--customize-hook=rm -rf \"$1\"/var/cache/apt \"$1\"/var/lib/apt/lists \"$1\"/var/log/*.log");
        command.arg(suite).arg(&draft);
        let result = run(&mut command, "mmdebstrap", "mmdebstrap");
        if let Err(error) = result {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
        std::fs::rename(&draft, &kept).map_err(ImageError::io("rename", &draft))?;
    }
    Layer::from_file(&kept)
}

/// Runs a program and keeps the end of what it says for the error.
fn run(
    command: &mut Command,
    program: &'static str,
    package: &'static str,
) -> Result<(), ImageError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                ImageError::Missing { program, package }
            } else {
                ImageError::io("start", program)(e)
            }
        })?;
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    if let Some(mut stderr) = child.stderr.take() {
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            tail.extend_from_slice(&buffer[..read]);
            if tail.len() > 64 * 1024 {
                tail.drain(..tail.len() - 4096);
            }
        }
    }
    let status = child.wait().map_err(ImageError::io("wait for", program))?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    let output = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
    Err(ImageError::Program {
        program,
        status: status.to_string(),
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_makes_the_same_image_and_a_second_build_does_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("image");
        std::fs::create_dir_all(base.join("root/bin")).unwrap();
        std::fs::write(base.join("root/bin/x"), "#!/bin/x").unwrap();
        std::fs::write(
            base.join("image.toml"),
            "image = 'minicloud.local/x:1'\nfolder = 'root'",
        )
        .unwrap();
        let options = BuildOptions {
            cache: dir.path().join("cache"),
            fresh: false,
        };
        let first = build(&base, &options, &|_| ()).unwrap();
        assert!(!first.unchanged && first.archive.exists());
        let second = build(&base, &options, &|_| ()).unwrap();
        assert!(second.unchanged);
        assert_eq!(first.archive, second.archive);
        std::fs::write(base.join("root/bin/x"), "#!/bin/y").unwrap();
        assert_ne!(
            build(&base, &options, &|_| ()).unwrap().archive,
            first.archive
        );
    }

    #[test]
    fn a_missing_source_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("image.toml"),
            "image = 'x:1'\nfolder = 'none'",
        )
        .unwrap();
        let options = BuildOptions {
            cache: dir.path().join("cache"),
            fresh: false,
        };
        assert!(
            build(dir.path(), &options, &|_| ())
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }
}
