//! Import of image archives by containerd's own client `ctr`: CRI has no call for it.
//!
//! Know before changing: containerd keeps the name an archive gives, while CRI looks an image up by its complete name, so
//! an image that came in as `x:1` is tagged `docker.io/library/x:1` here. CRI learns of a new image by an event, a moment
//! later; [`import`] waits for that. Unpacked layers are not on the disk until somebody asks for it: a power cut would leave
//! an image that looks whole and has empty files in it, so an import ends with a sync.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use minicloud_cri::Client;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{archive, reference};

/// Unpacking gigabytes to a memory card takes this long at worst.
const DEADLINE: Duration = Duration::from_secs(1800);
/// How long CRI may take to notice an image.
const NOTICE: Duration = Duration::from_secs(20);

/// What an import needs to know.
#[derive(Debug, Clone)]
pub struct Importer {
    /// The program `ctr`.
    pub ctr: PathBuf,
    /// containerd's socket.
    pub socket: PathBuf,
    /// CRI at the same socket.
    pub client: Client,
}

/// Why an archive was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or is no image archive.
    #[error("cannot read the image archive {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive has images but no name for one.
    #[error(
        "{} names its image {found:?}, which is no complete name; write it with one, as \
         `skopeo copy … oci-archive:FILE:minicloud.local/NAME:TAG`", path.display()
    )]
    Unnamed {
        /// The file.
        path: PathBuf,
        /// What stands where a name should.
        found: String,
    },
    /// `ctr` is not installed or failed.
    #[error("`ctr {command}` failed: {reason}")]
    Ctr {
        /// Its arguments.
        command: String,
        /// What it said.
        reason: String,
    },
    /// containerd has the image, yet CRI does not show it.
    #[error("{name} was imported, but containerd's CRI did not notice it within {} s", NOTICE.as_secs())]
    Unnoticed {
        /// The image's complete name.
        name: String,
    },
}

/// Imports every image of an archive (OCI or Docker format). Returns their complete names.
pub async fn import(importer: &Importer, path: &Path) -> Result<Vec<String>, ImportError> {
    let file = path.to_owned();
    let read = move || {
        let file = std::fs::File::open(file)?;
        archive::names(std::io::BufReader::new(file))
    };
    let names = tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(|source| ImportError::Archive {
            path: path.to_owned(),
            source,
        })?;
    let complete = complete_names(path, &names)?;
    importer
        .run(&["images", "import", &path.to_string_lossy()], None)
        .await?;
    importer.settle(&names, &complete).await?;
    Ok(complete)
}

/// Imports one archive that is in memory and whose names are complete.
pub(crate) async fn import_bytes(
    importer: &Importer,
    bytes: &[u8],
    name: &str,
) -> Result<(), ImportError> {
    importer
        .run(&["images", "import", "-"], Some(bytes))
        .await?;
    importer
        .settle(&[name.to_owned()], &[name.to_owned()])
        .await
}

/// A bare tag, which OCI allows, names nothing a pod could ask for.
fn complete_names(path: &Path, names: &[String]) -> Result<Vec<String>, ImportError> {
    let unnamed = |found: &str| ImportError::Unnamed {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    if names.is_empty() {
        return Err(unnamed(""));
    }
    names
        .iter()
        .map(|name| match name.contains(['/', ':', '@']) {
            true => reference::normalize(name).map_err(|_| unnamed(name)),
            false => Err(unnamed(name)),
        })
        .collect()
}

/// Brings everything to the disk. Whole, because a containerd that somebody else runs does not say where its data is.
pub(crate) async fn sync() {
    // It fails only when this process is about to end.
    let _ = tokio::task::spawn_blocking(rustix::fs::sync).await;
}

impl Importer {
    async fn settle(&self, names: &[String], complete: &[String]) -> Result<(), ImportError> {
        for (name, complete) in names.iter().zip(complete) {
            if name != complete {
                self.run(&["images", "tag", "--force", name, complete], None)
                    .await?;
                self.run(&["images", "rm", name], None).await?;
            }
        }
        let deadline = Instant::now() + NOTICE;
        for name in complete {
            while !matches!(self.client.image_status(name).await, Ok(Some(_))) {
                if Instant::now() > deadline {
                    return Err(ImportError::Unnoticed { name: name.clone() });
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        sync().await;
        Ok(())
    }

    async fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<(), ImportError> {
        let fail = |reason: String| ImportError::Ctr {
            command: arguments.join(" "),
            reason,
        };
        let mut child = Command::new(&self.ctr)
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", "k8s.io"])
            .args(arguments)
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                fail(format!(
                    "{}: {error}; install the package containerd",
                    self.ctr.display()
                ))
            })?;
        if let (Some(mut stdin), Some(bytes)) = (child.stdin.take(), input) {
            // A program that fails early closes its input; its own message below says more.
            let _ = stdin.write_all(bytes).await;
        }
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
            .await
            .map_err(|_| fail(format!("no end within {} s", DEADLINE.as_secs())))?
            .map_err(|error| fail(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(fail(format!(
            "{}: {}",
            output.status,
            words.trim().trim_start_matches("ctr: ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_or_refused() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            complete_names(Path::new("/x.tar"), &names)
        };
        assert_eq!(
            check(&["x:1", "a.b/c:2"]).unwrap(),
            ["docker.io/library/x:1", "a.b/c:2"]
        );
        for names in [&[][..], &["latest"], &["X Y:1"]] {
            let error = check(names).unwrap_err().to_string();
            assert!(error.contains("/x.tar"), "{error}");
        }
    }
}
