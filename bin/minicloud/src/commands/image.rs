//! `minicloud image`: build, import and list images.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use minicloud_containers::images::import::{self, Importer};
use minicloud_cri::Client;
use minicloud_images::{BuildOptions, build};
use serde::Serialize;

use super::block_on;
use crate::cli::{ImageCommand, Output};
use crate::output;
use crate::settings::Settings;

/// Does what the subcommand says.
pub fn run(command: ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::Build {
            path,
            no_import,
            fresh,
            cache,
            flags,
            output,
        } => {
            let settings = flags.resolve()?;
            let built = with_progress(|say| build(&path, &BuildOptions { cache, fresh }, say))?;
            if no_import {
                println!("{} built: {}", built.image, built.archive.display());
                return Ok(());
            }
            import_archive(&settings, &built.archive, output)
        }
        ImageCommand::Import {
            archive,
            flags,
            output,
        } => import_archive(&flags.resolve()?, &archive, output),
        ImageCommand::Ls { flags, output } => list(&flags.resolve()?, output),
    }
}

/// Runs `work` with a spinner that shows what it says.
fn with_progress<T, E: std::error::Error + Send + Sync + 'static>(
    work: impl FnOnce(&dyn Fn(&str)) -> Result<T, E>,
) -> anyhow::Result<T> {
    let bar = spinner();
    let result = work(&|step| bar.set_message(step.to_owned()));
    bar.finish_and_clear();
    Ok(result?)
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Must be called inside the asynchronous runtime: the client starts a task.
fn importer(settings: &Settings) -> anyhow::Result<Importer> {
    let socket = crate::server::engine(settings).socket();
    anyhow::ensure!(
        socket.exists(),
        "no container runtime answers at {}; start `minicloud server` first, as root",
        socket.display()
    );
    Ok(Importer {
        ctr: "ctr".into(),
        client: Client::new(&socket),
        socket,
    })
}

fn import_archive(settings: &Settings, archive: &Path, output: Output) -> anyhow::Result<()> {
    let bar = spinner();
    bar.set_message(format!("importing {}", archive.display()));
    let names = block_on(async { Ok(import::import(&importer(settings)?, archive).await?) });
    bar.finish_and_clear();
    let names = names?;
    let rows: Vec<Vec<String>> = names.iter().map(|n| vec![n.clone()]).collect();
    output::print(output, &["IMPORTED"], &rows, &names)
}

/// One image, as `image ls` shows it.
#[derive(Serialize)]
struct Listed {
    names: Vec<String>,
    id: String,
    size_bytes: u64,
}

fn list(settings: &Settings, output: Output) -> anyhow::Result<()> {
    let images = block_on(async {
        importer(settings)?
            .client
            .list_images()
            .await
            .context("cannot list images")
    })?;
    let mut listed: Vec<Listed> = images
        .into_iter()
        .map(|i| Listed {
            names: i.repo_tags,
            id: i.id,
            size_bytes: i.size,
        })
        .collect();
    listed.sort_by(|a, b| (&a.names, &a.id).cmp(&(&b.names, &b.id)));
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|i| {
            let name = i.names.first().cloned().unwrap_or_else(|| "<none>".into());
            vec![
                name,
                i.id.trim_start_matches("sha256:")
                    .chars()
                    .take(12)
                    .collect(),
                output::bytes(i.size_bytes),
            ]
        })
        .collect();
    output::print(output, &["IMAGE", "ID", "SIZE"], &rows, &listed)
}
