//! The micro-library operating system: a workspace of its own, built for no operating system below it.

use std::process::Command;

use crate::host::{self, cargo, show, step};
use crate::lint;

/// Where its flags for compiler and linker are.
const FOLDER: &str = "unikernel/os";

/// Cargo in its folder, so that its flags hold.
fn own(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command
        .current_dir(host::root().join(FOLDER))
        .env("CARGO_TARGET_DIR", host::target_dir().join("unikernel"));
    command
}

/// Builds the images of its applications.
pub fn build() -> anyhow::Result<()> {
    step("building the unikernels", || {
        host::run(&mut own(&["build", "--release", "--locked"])).map(drop)
    })
}

/// Formatting, licences and lints.
pub fn lint() -> anyhow::Result<()> {
    let metadata = lint::metadata(own)?;
    step("licences of the unikernels", || lint::licences(&metadata))?;
    step("format of the unikernels", || {
        host::run(&mut own(&["fmt", "--all", "--check"])).map(drop)
    })?;
    show(&mut own(&[
        "clippy",
        "--release",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// The tests of what is pure, on this machine: without the flags, from the project's root.
pub fn test() -> anyhow::Result<()> {
    let mut command = cargo(&[
        "test",
        "--locked",
        "--manifest-path",
        "unikernel/os/Cargo.toml",
        "--package",
        "uk-alloc",
        "--package",
        "uk-boot",
        "--package",
        "uk-virtio",
        "--all-features",
    ]);
    command.env("CARGO_TARGET_DIR", host::target_dir().join("unikernel"));
    show(&mut command)
}
