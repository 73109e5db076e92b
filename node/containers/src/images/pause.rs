//! The sandbox image: one static program of about a kilobyte, carried in the binary, so that no registry is needed.

use minicloud_images::ImageError;
use minicloud_images::archive::in_memory;
use minicloud_images::layer::{Content, Entry};
use minicloud_images::recipe::ImageConfig;

/// Its name. The tag changes whenever `pause/pause.rs` does, since an image that is present is not imported again.
pub const IMAGE: &str = "minicloud.io/pause:1";

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// The image as an OCI archive.
pub fn archive() -> Result<Vec<u8>, ImageError> {
    let run = ImageConfig {
        entrypoint: vec!["/pause".into()],
        user: "65535:65535".into(),
        ..Default::default()
    };
    let program = Entry {
        path: "pause".into(),
        mode: 0o555,
        content: Content::File(PROGRAM.to_vec()),
    };
    in_memory(IMAGE, &run, &[program])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::archive;

    #[test]
    fn is_small_and_names_itself() {
        let archive = archive().unwrap();
        assert!(PROGRAM.len() < 8192, "{} bytes", PROGRAM.len());
        assert_eq!(archive::names(archive.as_slice()).unwrap(), [IMAGE]);
    }

    #[test]
    fn exits_on_terminate() {
        use std::os::unix::{fs::PermissionsExt, process::ExitStatusExt};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pause");
        std::fs::write(&path, PROGRAM).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = std::process::Command::new(&path).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        // It may be asked before it has blocked the signal, and then dies of it: both end the sandbox.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(15), "{status}");
    }
}
