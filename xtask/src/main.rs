//! The project's one command set: `cargo xtask up`, `down`, `test`, `lint`, `console`, `soak`, `bench`. What CI runs is what a person runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod console;
mod host;
mod lint;
mod unikernel;
mod up;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make this machine a minicloud that serves the example application.
    Up,
    /// Stop it and leave nothing behind.
    Down,
    /// Build the web console that the program embeds.
    Console,
    /// Install what tests and `up` need on this machine.
    Setup,
    /// Format, lints and every test, in 25 minutes at most.
    Test {
        /// Only tests whose names contain this.
        filter: Option<String>,
    },
    /// Format, lints, licences and the direction of dependencies.
    Lint,
    /// The tests that take longer: power cuts, long load.
    Soak,
    /// Print our figures beside the anchors.
    Bench,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Up => up::up(),
        Task::Down => up::down(),
        Task::Console => console::build(),
        Task::Setup => host::setup(),
        Task::Test { filter } => check::test(filter.as_deref()),
        Task::Lint => lint::lint(),
        Task::Soak => check::soak(),
        Task::Bench => check::bench(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
