//! The recipe of an image: a small TOML file, `image.toml`.
//!
//! ```toml
//! image = "minicloud.local/hello:1"
//! packages = ["busybox-static"]              # Debian packages; or folder = "root"; or tarball = "root.tar"
//! files = [{ from = "hello.sh", to = "/usr/local/bin/hello", mode = "755" }]
//!
//! [config]
//! cmd = ["/usr/local/bin/hello"]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ImageError;

/// What goes into an image and how it is started. Paths are relative to the recipe's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The image's name with a tag, e.g. `minicloud.local/hello:1`.
    pub image: String,
    /// Debian packages, with all that they depend on and the essential system.
    pub packages: Vec<String>,
    /// The Debian release that packages come from.
    pub suite: Option<String>,
    /// A shell script that runs as root inside the new file system after the packages are installed.
    pub setup: Option<PathBuf>,
    /// A folder that becomes the file system.
    pub folder: Option<PathBuf>,
    /// A tar file that becomes the file system.
    pub tarball: Option<PathBuf>,
    /// Files that are laid on top.
    pub files: Vec<FileRule>,
    /// Environment, command and the like.
    pub config: ImageConfig,
}

/// One file, or one folder with all below it, that is laid on top of the file system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// Where it is.
    pub from: PathBuf,
    /// Where it goes, absolute.
    pub to: PathBuf,
    /// Permission bits in octal for a file, `644` when absent; a folder keeps its own.
    pub mode: Option<String>,
    /// `uid` and `gid`, root when absent.
    #[serde(default)]
    pub owner: (u32, u32),
}

/// The part of OCI's image configuration that a container is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program when there is no entry point.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// `uid`, `uid:gid`, or names of the image's own `/etc/passwd`.
    pub user: String,
    /// Where the program starts.
    pub working_dir: String,
    /// `8080/tcp` and the like.
    pub exposed_ports: Vec<String>,
    /// Folders that hold data.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    pub stop_signal: String,
}

impl Recipe {
    /// Reads `image.toml`, or the file `path` itself.
    ///
    /// # Errors
    /// When the file cannot be read, is not a recipe, or says something that cannot be built.
    pub fn read(path: &Path) -> Result<(Self, PathBuf), ImageError> {
        let file = if path.is_dir() {
            path.join("image.toml")
        } else {
            path.to_owned()
        };
        let text = std::fs::read_to_string(&file).map_err(ImageError::io("read", &file))?;
        let recipe: Self = toml::from_str(&text).map_err(|e| ImageError::Recipe {
            path: file.clone(),
            problem: e.to_string(),
        })?;
        recipe.check().map_err(|problem| ImageError::Recipe {
            path: file.clone(),
            problem,
        })?;
        let folder = file
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        Ok((recipe, folder))
    }

    /// What is wrong with the recipe, if anything.
    ///
    /// # Errors
    /// The first thing that cannot be built, with the name of its key.
    pub fn check(&self) -> Result<(), String> {
        if self.image.is_empty() || self.image.contains(char::is_whitespace) {
            return Err(
                "image: give the image's name with a tag, e.g. \"minicloud.local/hello:1\"".into(),
            );
        }
        let sources = [
            !self.packages.is_empty(),
            self.folder.is_some(),
            self.tarball.is_some(),
        ];
        match sources.iter().filter(|s| **s).count() {
            0 if self.files.is_empty() => {
                return Err("give one of packages, folder, tarball, or some files".into());
            }
            0 | 1 => {}
            _ => return Err("packages, folder and tarball exclude one another: give one".into()),
        }
        if self.setup.is_some() && self.packages.is_empty() {
            return Err("setup: runs only with packages".into());
        }
        // A name that starts with a dash would be an option of the package tool.
        let is_package = |p: &str| {
            p.starts_with(|c: char| c.is_ascii_alphanumeric()) && !p.contains([' ', ',', '/', '\n'])
        };
        if let Some(bad) = self.packages.iter().find(|p| !is_package(p)) {
            return Err(format!(
                "packages: {bad:?} is not the name of a Debian package"
            ));
        }
        for rule in &self.files {
            if !rule.to.is_absolute()
                || rule
                    .to
                    .components()
                    .any(|c| c == std::path::Component::ParentDir)
            {
                return Err(format!(
                    "files: {:?} must be an absolute path without '..'",
                    rule.to
                ));
            }
            rule.mode_bits()?;
        }
        Ok(())
    }
}

impl FileRule {
    /// The permission bits of a file.
    ///
    /// # Errors
    /// When `mode` is not an octal number up to 7777.
    pub fn mode_bits(&self) -> Result<u32, String> {
        let Some(mode) = &self.mode else {
            return Ok(0o644);
        };
        u32::from_str_radix(mode, 8)
            .ok()
            .filter(|m| *m <= 0o7777)
            .ok_or_else(|| {
                format!(
                    "files: mode {mode:?} of {:?} is not an octal number such as \"755\"",
                    self.to
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_and_why() {
        let check = |text: &str, expect: &str| {
            let recipe: Recipe = toml::from_str(text).unwrap();
            assert!(recipe.check().unwrap_err().contains(expect), "{text}");
        };
        check("", "image:");
        check("image = 'a:1'", "give one of");
        check("image = 'a:1'\npackages = ['a']\nfolder = 'b'", "exclude");
        check("image = 'a:1'\npackages = ['--x']", "not the name");
        check("image = 'a:1'\nfolder = 'b'\nsetup = 'c'", "setup");
        check(
            "image = 'a:1'\nfiles = [{from = 'a', to = 'b'}]",
            "absolute",
        );
        check(
            "image = 'a:1'\nfiles = [{from = 'a', to = '/../b'}]",
            "absolute",
        );
        check(
            "image = 'a:1'\nfiles = [{from = 'a', to = '/b', mode = '9'}]",
            "octal",
        );
        assert!(toml::from_str::<Recipe>("imge = 'a'").is_err());
    }
}
