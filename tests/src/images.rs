//! Images for tests, built from what the machine has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use minicloud_images::recipe::{FileRule, ImageConfig, Recipe};
use minicloud_images::{BuildOptions, build::build_recipe};

/// The name of [`busybox`].
pub const BUSYBOX: &str = "minicloud.local/busybox:1";

/// The files of programs of this machine: themselves and the libraries that they load. Debian's static busybox cannot resolve
/// names, so tests of names use the machine's curl; and it speaks no UDP, so tests of that use socat.
fn program_files(programs: &[&str]) -> anyhow::Result<Vec<FileRule>> {
    let rule = |path: &str| FileRule {
        from: path.into(),
        to: path.into(),
        mode: Some("755".into()),
        owner: (0, 0),
    };
    let told = crate::programs::run(std::process::Command::new("ldd").args(programs))?;
    // Of several programs it says whose libraries follow, with a colon.
    let libraries = told
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let paths: BTreeSet<&str> = libraries.chain(programs.iter().copied()).collect();
    Ok(paths.into_iter().map(rule).collect())
}

/// An archive of an image with busybox (Debian's `busybox-static`), its applets, curl and socat.
///
/// # Panics
/// When busybox is not installed.
pub fn busybox(folder: &Path) -> PathBuf {
    let binary = ["/bin/busybox", "/usr/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|p| p.is_file());
    let binary = binary.unwrap_or_else(|| panic!("install busybox-static"));
    let root = folder.join("busybox");
    let write = || -> anyhow::Result<PathBuf> {
        for dir in ["bin", "tmp", "etc", "root", "dev", "proc", "sys", "www"] {
            std::fs::create_dir_all(root.join(dir))?;
        }
        let applets = crate::programs::run(std::process::Command::new(&binary).arg("--list"))?;
        for applet in applets.lines().filter(|a| *a != "busybox") {
            let link = root.join("bin").join(applet);
            if !link.exists() {
                std::os::unix::fs::symlink("busybox", link)?;
            }
        }
        std::fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
        )?;
        std::fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
        let mut files = program_files(&["/usr/bin/curl", "/usr/bin/socat"])?;
        files.push(FileRule {
            from: binary.clone(),
            to: "/bin/busybox".into(),
            mode: Some("755".into()),
            owner: (0, 0),
        });
        let recipe = Recipe {
            image: BUSYBOX.into(),
            folder: Some(root.clone()),
            files,
            config: ImageConfig {
                cmd: vec!["/bin/sh".into()],
                ..ImageConfig::default()
            },
            ..Recipe::default()
        };
        let options = BuildOptions {
            cache: folder.join("images"),
            fresh: false,
        };
        Ok(build_recipe(&recipe, folder, &options, &|_| ())?.archive)
    };
    write().unwrap_or_else(|e| panic!("cannot build busybox's image: {e:#}"))
}
