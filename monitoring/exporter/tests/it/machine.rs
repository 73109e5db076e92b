//! Fixture machines: one text file each, so that a reader sees a machine at a glance.
//!
//! `PATH = VALUE` is a file with one line, `PATH -> TARGET` a symbolic link, and `PATH:` a file whose lines follow, indented by
//! four spaces; `#` begins a comment.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub const RASPBERRY_PI_4: &str = include_str!("../machines/raspberry-pi-4.txt");
pub const LAPTOP: &str = include_str!("../machines/laptop.txt");
pub const PC: &str = include_str!("../machines/pc.txt");

pub struct Machine {
    root: tempfile::TempDir,
    /// Relative to the root.
    pub files: Vec<PathBuf>,
}

impl Machine {
    pub fn new(text: &str) -> Self {
        let mut machine = Self {
            root: tempfile::tempdir().unwrap(),
            files: Vec::new(),
        };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((path, target)) = line.split_once(" -> ") {
                let path = machine.root().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                symlink(target, path).unwrap();
            } else if let Some((path, value)) = line.split_once(" = ") {
                machine.write(path, &format!("{value}\n"));
            } else if let Some(path) = line.strip_suffix(':') {
                let mut content = String::new();
                while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                    content.push_str(&line[4..]);
                    content.push('\n');
                }
                machine.write(path, &content);
            } else {
                panic!("{line:?} is no file");
            }
        }
        machine
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    fn write(&mut self, path: &str, content: &str) {
        let whole = self.root().join(path);
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        std::fs::write(whole, content).unwrap();
        self.files.push(path.into());
    }
}
