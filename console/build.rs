//! Embeds the built console: writes a table of the files below `ui/dist` that `src/files.rs` includes. Empty when the console
//! has not been built, so that a plain `cargo build` needs no Node.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dist = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("ui/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut found = BTreeMap::new();
    collect(&dist, "", &mut found)?;
    let mut table = String::from("&[\n");
    for (name, path) in found.iter().filter(|(name, _)| !compressed(name)) {
        let content = std::fs::read(path)?;
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let include = |path: &Path| format!("include_bytes!({:?})", path.display().to_string());
        let other = |extension: &str| {
            found
                .get(&format!("{name}.{extension}"))
                .map_or("None".to_owned(), |path| format!("Some({})", include(path)))
        };
        writeln!(
            table,
            "File {{ path: {name:?}, hash: \"{:016x}\", plain: {}, gzip: {}, brotli: {} }},",
            hasher.finish(),
            include(path),
            other("gz"),
            other("br"),
        )?;
    }
    table.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("files.rs");
    std::fs::write(out, table)?;
    Ok(())
}

/// The same content in another coding.
fn compressed(name: &str) -> bool {
    name.ends_with(".gz") || name.ends_with(".br")
}

/// Files by their path below `dir`.
fn collect(dir: &Path, prefix: &str, found: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            collect(&entry.path(), &format!("{prefix}{name}/"), found)?;
        } else {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            found.insert(format!("{prefix}{name}"), entry.path());
        }
    }
    Ok(())
}
