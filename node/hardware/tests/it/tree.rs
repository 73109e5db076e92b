//! A machine's files, written down in one text: `PATH = VALUE` for a file with one line, `PATH -> TARGET` for a symbolic link,
//! `PATH/` for an empty folder, and `PATH:` for a file whose lines follow, indented by four spaces. `␀` is a zero byte, `#`
//! begins a comment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

/// Those that are written down.
pub const MACHINES: [&str; 7] = [
    "raspberry-pi-4-armv7l",
    "raspberry-pi-4-aarch64",
    "pc-amd-gpu",
    "pc-nvidia-gpu",
    "laptop-intel",
    "kvm-guest",
    "micro-vm",
];

/// The text of `tests/machines/NAME.txt`.
fn text(name: &str) -> String {
    let path = format!("{}/tests/machines/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Makes the files of `tests/machines/NAME.txt` below a new folder.
pub fn plant(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = text(name);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((path, target)) = line.split_once(" -> ") {
            symlink(target, place(dir.path(), path)).unwrap();
        } else if let Some((path, value)) = line.split_once(" = ") {
            write(&place(dir.path(), path), &format!("{value}\n"));
        } else if let Some(path) = line.strip_suffix(':') {
            let mut content = String::new();
            while let Some(line) = lines.next_if(|l| l.starts_with("    ") || l.is_empty()) {
                content.push_str(line.strip_prefix("    ").unwrap_or(""));
                content.push('\n');
            }
            write(&place(dir.path(), path), &content);
        } else if let Some(path) = line.strip_suffix('/') {
            fs::create_dir_all(place(dir.path(), path)).unwrap();
        } else {
            panic!("{name}: {line:?} is no file");
        }
    }
    dir
}

fn place(root: &Path, path: &str) -> std::path::PathBuf {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    place
}

fn write(path: &Path, content: &str) {
    // The files of a device tree have no line ends.
    let content = content.replace("␀\n", "\0").replace('␀', "\0");
    fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
