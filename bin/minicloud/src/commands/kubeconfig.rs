//! `minicloud kubeconfig`: credentials for kubectl and other clients, from this machine's certificate authority.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use jiff::Timestamp;
use minicloud_auth::pki::{CertSpec, Pki, kubeconfig};

use crate::cli::KubeconfigArgs;

/// Prints or writes a kubeconfig.
pub fn run(args: KubeconfigArgs) -> anyhow::Result<()> {
    let settings = args.flags.resolve()?;
    let dir = settings.pki_dir();
    anyhow::ensure!(
        dir.join("ca.key").exists(),
        "there is no certificate authority in {}; run this as root on the machine whose server has started once",
        dir.display()
    );
    let now = Timestamp::now();
    let pki = Pki::open(&dir, now).context("cannot use the certificate authority")?;
    let url = args
        .server
        .unwrap_or_else(|| format!("https://127.0.0.1:{}", settings.api_port));
    let spec = match &args.user {
        None => CertSpec::admin(),
        Some(user) => CertSpec::client(user, &args.groups),
    };
    let identity = pki.issue(&spec, now)?;
    let text = kubeconfig(
        "minicloud",
        &url,
        &pki.ca_pem(),
        &spec.common_name,
        &identity,
    );
    match args.write {
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .context("cannot print"),
        Some(path) => std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display())),
    }
}
