//! The site's own rules: files of a folder that join the product's. One that is not good is left out and told of; it stops neither
//! Prometheus nor the others.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use minicloud_daemon::{CHECKED_FILE, CheckError, User, check};

/// What Debian's package `prometheus` checks rules by.
pub const PROMTOOL: &str = "/usr/bin/promtool";

/// Files of the folder at most, and bytes of one.
const MAX_FILES: usize = 64;
const MAX_BYTES: u64 = 1 << 20;

/// Nobody's number: promtool needs no rights.
const USER: User = User {
    uid: 65_532,
    gid: 65_532,
};

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Good rule files: a name that is none of the product's, and the text.
    pub rules: Vec<(String, String)>,
    /// What is wrong with the others, one line each.
    pub problems: Vec<String>,
}

/// Reads all `*.yml` of `dir` in the order of their names; `promtool` judges each.
pub async fn read(dir: &Path, promtool: &Path) -> Own {
    let mut own = Own::default();
    let files = match files(dir) {
        Ok(files) => files,
        Err(error) => {
            let problem = format!("the folder {} cannot be read: {error}", dir.display());
            own.problems.push(problem);
            return own;
        }
    };
    for (n, path) in files.iter().enumerate() {
        if n == MAX_FILES {
            own.problems.push(format!(
                "{} has more than {MAX_FILES} files: put several rules into one",
                dir.display()
            ));
            break;
        }
        match good(path, promtool).await {
            Ok(rule) => own.rules.push(rule),
            Err(why) => own.problems.push(format!("{}: {why}", path.display())),
        }
    }
    own
}

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

async fn good(path: &Path, promtool: &Path) -> Result<(String, String), String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or("its name is not UTF-8")?;
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| {
        let length = file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        Ok(length as u64)
    });
    match read {
        Ok(length) if length > MAX_BYTES => {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        Ok(_) => {}
        Err(error) => return Err(format!("it cannot be read: {error}")),
    }
    match check(promtool, &["check", "rules", CHECKED_FILE], &text, USER).await {
        Ok(()) => Ok((format!("own-{name}"), text)),
        Err(CheckError::Refused(said)) => Err(reason(&said)),
        Err(error) => Err(error.to_string()),
    }
}

/// promtool's words in one line, without the name of the file that it thinks it read.
fn reason(said: &str) -> String {
    let lines = said
        .lines()
        .map(|line| line.trim().trim_start_matches(&format!("{CHECKED_FILE}: ")))
        .filter(|line| !line.is_empty() && !line.starts_with("Checking ") && *line != "FAILED:");
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn good_files_join_and_bad_ones_are_told_of() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let rule = |expr: &str| {
            format!("groups: [{{name: own, rules: [{{alert: Own, expr: '{expr}'}}]}}]\n")
        };
        write("b.yml", &rule("up == 0"));
        write("a.yml", &rule("up{ == 0"));
        write("c.yml", "groups: 5\n");
        write("notes.txt", "no rule");
        let own = read(dir.path(), Path::new(PROMTOOL)).await;
        assert_eq!(own.rules, [("own-b.yml".to_owned(), rule("up == 0"))]);
        let [a, c] = &own.problems[..] else {
            panic!("{:?}", own.problems);
        };
        assert!(a.contains("a.yml: ") && a.contains("parse error"), "{a}");
        assert!(c.contains("c.yml: ") && !c.contains('\n'), "{c}");
        let gone = read(Path::new("/nonexistent"), Path::new(PROMTOOL)).await;
        assert!(gone.problems[0].contains("/nonexistent"), "{gone:?}");
    }
}
