//! One Kubernetes client per identity: each part talks to the API as itself, with no more rights than its role gives it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use kube::Client;
use kube::config::{AuthInfo, Config};
use minicloud_auth::pki::{CertSpec, Identity, Pki, client_config, kubeconfig};

use crate::settings::Settings;

/// Makes clients for identities of this cluster's own CA.
#[derive(Clone)]
pub struct Identities {
    pki: Arc<Pki>,
    url: String,
}

impl Identities {
    /// Identities that `pki` issues, for the API server on `port` of this machine.
    pub fn new(pki: Arc<Pki>, port: u16) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            pki,
            url: format!("https://{address}"),
        }
    }

    /// A client that acts as `spec` says. The key is kept in memory only.
    ///
    /// # Errors
    /// When the certificate cannot be issued.
    pub fn client(&self, spec: &CertSpec) -> anyhow::Result<Client> {
        self.client_that(spec, true)
    }

    /// The same, for who wants to be told at once that something is away: it tries nothing twice.
    ///
    /// # Errors
    /// When the certificate cannot be issued.
    pub fn impatient_client(&self, spec: &CertSpec) -> anyhow::Result<Client> {
        self.client_that(spec, false)
    }

    fn client_that(&self, spec: &CertSpec, retries: bool) -> anyhow::Result<Client> {
        let identity = self
            .pki
            .issue(&spec.clone().in_memory(), Timestamp::now())?;
        client(&self.url, &self.pki.ca_pem(), &identity, retries)
            .with_context(|| format!("cannot make a client for {}", spec.common_name))
    }

    /// A client of nobody: it sends the credentials that a request brings, and tries nothing twice.
    ///
    /// # Errors
    /// When the CA cannot be used.
    pub fn nobody(&self) -> anyhow::Result<Client> {
        let mut config = config(&self.url, &self.pki.ca_pem())?;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// What a connection over TLS needs that shows itself as `spec` says, to a server of this cluster's CA. The key is kept in
    /// memory only.
    ///
    /// # Errors
    /// When the certificate cannot be issued.
    pub fn tls(&self, spec: &CertSpec) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        let identity = self
            .pki
            .issue(&spec.clone().in_memory(), Timestamp::now())?;
        client_config(&self.pki.ca_pem(), Some(&identity), &["http/1.1"])
            .with_context(|| format!("cannot make a connection of {}", spec.common_name))
    }
}

/// A client of the API at `url`; it may try again what is refused because something is busy or away.
fn client(url: &str, ca_pem: &str, identity: &Identity, retries: bool) -> anyhow::Result<Client> {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut config = config(url, ca_pem)?;
    config.auth_info = AuthInfo {
        client_certificate_data: Some(encode(&identity.cert_pem)),
        client_key_data: Some(encode(&identity.key_pem).into()),
        ..AuthInfo::default()
    };
    config.default_retry = retries;
    Ok(Client::try_from(config)?)
}

fn config(url: &str, ca_pem: &str) -> anyhow::Result<Config> {
    let mut config = Config::new(url.parse().context("the API server's URL")?);
    config.root_cert = Some(vec![pem_to_der(ca_pem)?]);
    // Watches are held open by bookmarks and events; a read timeout would break a quiet one.
    config.read_timeout = None;
    Ok(config)
}

fn pem_to_der(pem: &str) -> anyhow::Result<Vec<u8>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| anyhow::anyhow!("the CA certificate: {e}"))?;
    Ok(der.as_ref().to_vec())
}

/// Writes the administrator's kubeconfig; a renewed certificate replaces the old one.
///
/// # Errors
/// When the file cannot be written.
pub fn write_admin_kubeconfig(settings: &Settings, pki: &Pki) -> anyhow::Result<()> {
    let identity = pki.ensure("admin", &CertSpec::admin(), Timestamp::now())?;
    let url = format!("https://127.0.0.1:{}", settings.api_port);
    let text = kubeconfig(
        "minicloud",
        &url,
        &pki.ca_pem(),
        "kubernetes-admin",
        &identity,
    );
    let path = settings.admin_kubeconfig();
    if std::fs::read_to_string(&path).is_ok_and(|now| now == text) {
        return Ok(());
    }
    crate::server::files::write_private(&path, &text)
}
