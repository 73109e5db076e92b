//! Whether machines run by KVM here, asked of a process of its own: a KVM that does not work may hang.

use std::process::Stdio;
use std::time::Duration;

use minicloud_hardware::can_run::KvmVerdict;
use tokio::process::Command;

/// A guest of some instructions; a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts `minicloud probe-kvm`. `None` when that cannot be done.
pub async fn verdict() -> Option<KvmVerdict> {
    let mut probe = Command::new(std::env::current_exe().ok()?);
    probe
        .arg("probe-kvm")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, probe.output()).await {
        Ok(output) => output.ok()?,
        Err(_) => {
            return Some(KvmVerdict {
                works: false,
                detail: format!("a small guest does not end within {PATIENCE:?}"),
            });
        }
    };
    Some(KvmVerdict {
        works: output.status.success(),
        detail: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    })
}
