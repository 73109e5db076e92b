//! `cargo xtask lint`: format, lints, licences, the direction of dependencies, and paths named in the documentation.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::host::{self, cargo, run, show, step};

/// Which part may depend on which: `(folder, folders it may use)`. Parts never depend on one another.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("engine", &["api", "engine"]),
    ("control", &["api", "engine", "control"]),
    ("node", &["api", "engine", "node"]),
    // It stands on the facts that `node/hardware` finds.
    ("monitoring", &["api", "engine", "node", "monitoring"]),
    ("console", &["api", "console"]),
    (
        "bin",
        &[
            "api",
            "engine",
            "control",
            "console",
            "node",
            "monitoring",
            "bin",
        ],
    ),
    ("xtask", &[]),
];

/// Licences that may be linked in; `deny.toml` says the same to `cargo deny`.
pub const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Runs all of it.
pub fn lint() -> anyhow::Result<()> {
    step("format", || {
        run(&mut cargo(&["fmt", "--all", "--check"])).map(drop)
    })?;
    let metadata = metadata(cargo)?;
    step("direction of dependencies", || arrows(&metadata))?;
    step("licences", || licences(&metadata))?;
    step("paths in the documentation", documented_paths)?;
    show(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    crate::unikernel::lint()
}

/// What cargo knows of a workspace, in whose folder `cargo` runs.
pub fn metadata(cargo: impl Fn(&[&str]) -> Command) -> anyhow::Result<Value> {
    let text = run(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
    ]))?;
    serde_json::from_str(&text).context("cargo metadata")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The top-level folder of each of our own packages, by name.
fn folders(metadata: &Value) -> BTreeMap<&str, &str> {
    let root = text(metadata, "workspace_root");
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p["source"].is_null())
        .filter_map(|p| {
            let below = text(p, "manifest_path")
                .strip_prefix(root)?
                .trim_start_matches('/');
            Some((text(p, "name"), below.split('/').next()?))
        })
        .collect()
}

fn arrows(metadata: &Value) -> anyhow::Result<()> {
    let folders = folders(metadata);
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(from) = folders.get(text(package, "name")) else {
            continue;
        };
        let Some((_, allowed)) = ARROWS.iter().find(|(folder, _)| folder == from) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // A test may start what it tests against.
            if text(dependency, "kind") == "dev" {
                continue;
            }
            if let Some(to) = folders
                .get(text(dependency, "name"))
                .filter(|to| !allowed.contains(to))
            {
                wrong.push(format!(
                    "{} ({from}) uses {} ({to})",
                    text(package, "name"),
                    text(dependency, "name")
                ));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "dependencies against the direction of ARCHITECTURE.md: {}",
        wrong.join("; ")
    );
    Ok(())
}

pub fn licences(metadata: &Value) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let licence = text(package, "license").replace('/', " OR ");
        // Any alternative will do; all of a conjunction must.
        let fits = licence.split(" OR ").any(|alternative| {
            alternative
                .split(" AND ")
                .all(|one| LICENCES.contains(&one.trim().trim_matches(['(', ')'])))
        });
        if !fits {
            wrong.push(format!(
                "{} {} ({licence})",
                text(package, "name"),
                text(package, "version")
            ));
        }
    }
    wrong.extend(crate::console::licences(LICENCES)?);
    ensure!(
        wrong.is_empty(),
        "licences that may not be linked in: {}",
        wrong.join(", ")
    );
    if run(&mut cargo(&["deny", "--version"])).is_ok() {
        run(&mut cargo(&[
            "deny", "check", "licenses", "bans", "sources",
        ]))?;
    }
    Ok(())
}

/// Every path in backticks or links of the documents that looks like one of ours must be there.
fn documented_paths() -> anyhow::Result<()> {
    let root = host::root();
    let mut missing = Vec::new();
    let mut documents: Vec<_> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .map(|f| root.join(f))
        .to_vec();
    for entry in std::fs::read_dir(root.join("docs")).context("docs")? {
        documents.push(entry?.path());
    }
    for document in documents
        .iter()
        .filter(|d| d.extension().is_some_and(|e| e == "md"))
    {
        let content =
            std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
        for path in paths(&content) {
            let base = document.parent().unwrap_or(&root);
            if !root.join(&path).exists() && !base.join(&path).exists() {
                missing.push(format!(
                    "{}: {path}",
                    document
                        .strip_prefix(&root)
                        .unwrap_or(Path::new(""))
                        .display()
                ));
            }
        }
    }
    if !missing.is_empty() {
        bail!(
            "documents name paths that are not there: {}",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Links to files, and words in backticks that begin with a folder of ours.
fn paths(content: &str) -> Vec<String> {
    let mut found = Vec::new();
    for link in content
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let path = link.split('#').next().unwrap_or_default();
        if !path.is_empty() && !path.contains("://") {
            found.push(path.to_owned());
        }
    }
    let ours = [
        "api/",
        "bin/",
        "console/",
        "control/",
        "engine/",
        "monitoring/",
        "node/",
        "examples/",
        "docs/",
        "tests/",
        "xtask/",
        "deploy/",
    ];
    for word in content.split('`').skip(1).step_by(2) {
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
        if plain && ours.iter().any(|folder| word.starts_with(folder)) {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_document() {
        let found = paths(
            "see [x](docs/a.md#b) and [y](https://e.x/z), `control/store`, `kubectl get`, `api/v1/x y`",
        );
        assert_eq!(found, ["docs/a.md", "control/store"]);
    }
}
