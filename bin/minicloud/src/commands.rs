//! One file per subcommand; this one picks.

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{Cli, Command};

mod dns;
mod doctor;
mod image;
mod kubeconfig;
mod reset;
mod status;

/// Runs what was asked for.
pub fn run(arguments: Cli) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Server(args) => {
            crate::server::run(args.flags.resolve()?).map(|()| ExitCode::SUCCESS)
        }
        Command::Status(args) => status::run(args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(args),
        Command::Kubeconfig(args) => kubeconfig::run(args).map(|()| ExitCode::SUCCESS),
        Command::Dns { file } => dns::run(&file).map(|()| ExitCode::SUCCESS),
        Command::ProbeKvm => {
            let (text, code) = match minicloud_kvm::probe() {
                Ok(text) => (text, ExitCode::SUCCESS),
                Err(text) => (text, ExitCode::FAILURE),
            };
            println!("{text}");
            Ok(code)
        }
        Command::Image(command) => image::run(command).map(|()| ExitCode::SUCCESS),
        Command::Reset(args) => reset::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// Runs a short command's future; one thread is enough for it.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(future)
}
