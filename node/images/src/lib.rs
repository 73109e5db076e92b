//! Builds OCI images from a folder, Debian packages or a tarball, without Docker and without a registry.
//!
//! A [`recipe::Recipe`] says what goes in; [`build::build`] makes an OCI image archive (image-spec 1.1, a tar of an image
//! layout), which any containerd imports. Layers are kept by the hash of what made them, so an unchanged recipe costs
//! nothing. The one thing to know before changing it: a layer's tar must come out the same, byte for byte, from the same
//! input, or every build makes a new image.

pub mod archive;
pub mod build;
pub mod layer;
pub mod recipe;

pub use build::{BuildOptions, Built, build};
pub use recipe::Recipe;

use std::path::PathBuf;

use thiserror::Error;

/// Why an image could not be built. Nothing is left half-written; mend what the message names and build again.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The recipe cannot be used.
    #[error("{}: {problem}", path.display())]
    Recipe {
        /// The recipe's file.
        path: PathBuf,
        /// What is wrong in it, and where.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program that builds the file system failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A program that is needed is not installed.
    #[error("{program} is not installed: install the Debian package {package}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
}

impl ImageError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
