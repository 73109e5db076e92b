//! `cargo xtask test`, `soak` and `bench`.

use std::process::Command;
use std::time::Instant;

use crate::console;
use crate::host::{self, cargo, show};
use crate::unikernel;

/// Everything that decides whether a change may land.
pub fn test(filter: Option<&str>) -> anyhow::Result<()> {
    let started = Instant::now();
    host::setup()?;
    console::build()?;
    if filter.is_none() {
        crate::lint::lint()?;
        console::test()?;
        unikernel::test()?;
    }
    unikernel::build()?;
    // The end-to-end tests run the program itself, which no test's build makes. Built together with the tests: alone it would have
    // other features of what it stands on, and all of that would be compiled twice.
    show(&mut cargo(&["build", "--workspace", "--bins", "--tests"]))?;
    let mut command = with_tools(runner())?;
    command.args(filter);
    show(&mut command)?;
    println!("all of it took {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The long tests: those that are marked as ignored in the end-to-end crate, one at a time. The program is built as users
/// run it: an emulated machine is slow enough.
pub fn soak() -> anyhow::Result<()> {
    host::setup()?;
    host::install_to_soak()?;
    console::build()?;
    show(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "minicloud",
    ]))?;
    let mut command = with_tools(cargo(&[
        "test",
        "--package",
        "minicloud-tests",
        "--test",
        "soak",
    ]))?;
    command.env(
        "MINICLOUD_BIN",
        host::target_dir().join("release/minicloud"),
    );
    show(command.args(["--", "--ignored", "--nocapture", "--test-threads=1"]))
}

/// The figures.
pub fn bench() -> anyhow::Result<()> {
    host::setup()?;
    console::build()?;
    show(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "minicloud",
    ]))?;
    let mut command = with_tools(cargo(&[
        "run",
        "--release",
        "--package",
        "minicloud-tests",
        "--bin",
        "bench",
    ]))?;
    show(&mut command)
}

/// nextest where it is installed; cargo's own runner else.
fn runner() -> Command {
    let has_nextest = host::run(&mut cargo(&["nextest", "--version"])).is_ok();
    if has_nextest {
        cargo(&["nextest", "run", "--workspace"])
    } else {
        cargo(&["test", "--workspace"])
    }
}

/// Tells tests and benchmarks where the tools are.
fn with_tools(mut command: Command) -> anyhow::Result<Command> {
    command
        .env("MINICLOUD_KUBECTL", host::kubectl()?)
        .env("MINICLOUD_PYTHON", host::python()?)
        .env("MINICLOUD_NODE", console::node()?);
    Ok(command)
}
