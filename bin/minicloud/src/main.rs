//! Minicloud: the machines of one site as one small cloud. This file parses, runs and maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod commands;
mod identities;
mod output;
mod server;
mod settings;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("minicloud: {error:#}");
            ExitCode::FAILURE
        }
    }
}
