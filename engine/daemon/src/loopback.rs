//! Who may talk to the daemons: a certificate authority of their own, which lives as long as this process.
//!
//! Not the cluster's: with that, every user's certificate would open every daemon. The authority's key never leaves memory. Daemons
//! read their certificates anew for each connection, so those that a new server takes over come to trust that one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::files::Files;

/// The authority's certificate, in a daemon's folder.
pub const CA_FILE: &str = "tls/ca.crt";
/// Certificate and key by which one daemon talks to another, where it needs them.
pub const CLIENT_FILE: &str = "tls/client.pem";
const SERVER_FILE: &str = "tls/server.pem";
pub(crate) const WEB_FILE: &str = "web.yml";

/// Longer than any machine is up: the authority is new after each start.
const LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Keys or certificates could not be made. Report and stop.
#[derive(Debug, thiserror::Error)]
#[error("a certificate for the daemons on loopback cannot be made: {0}")]
pub struct LoopbackError(String);

fn failed(error: impl std::fmt::Display) -> LoopbackError {
    LoopbackError(error.to_string())
}

/// The authority.
#[derive(Debug)]
pub struct Loopback {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    client: Arc<ClientConfig>,
}

struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn pem(&self) -> String {
        format!("{}{}", self.certificate.pem(), self.key.serialize_pem())
    }
}

impl Loopback {
    /// A new authority.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn new() -> Result<Self, LoopbackError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params("minicloud-loopback");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&key).map_err(failed)?;
        let (ca_pem, ca_der) = (ca.pem(), ca.der().clone());
        let issuer = Issuer::new(params, key);
        let own = issue(&issuer, "minicloud", ExtendedKeyUsagePurpose::ClientAuth)?;
        let client = Arc::new(client_config(ca_der, &own)?);
        Ok(Self {
            issuer,
            ca_pem,
            client,
        })
    }

    /// How this process talks to the daemons.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// What a daemon needs to serve: its certificate, and the settings that let in who has one of this authority.
    ///
    /// Settings: <https://github.com/prometheus/exporter-toolkit/blob/v0.8.2/docs/web-configuration.md>.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn serving(&self, files: Files) -> Result<Files, LoopbackError> {
        let server = issue(
            &self.issuer,
            "localhost",
            ExtendedKeyUsagePurpose::ServerAuth,
        )?;
        // Names are relative to the file.
        let web = format!(
            "tls_server_config:\n  cert_file: {SERVER_FILE}\n  key_file: {SERVER_FILE}\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {CA_FILE}\n  min_version: TLS12\n"
        );
        Ok(files
            .watched(WEB_FILE, web)
            .watched(SERVER_FILE, server.pem())
            .watched(CA_FILE, self.ca_pem.clone()))
    }

    /// What a daemon needs to talk to another.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn calling(&self, files: Files, name: &str) -> Result<Files, LoopbackError> {
        let client = issue(&self.issuer, name, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(files
            .watched(CLIENT_FILE, client.pem())
            .watched(CA_FILE, self.ca_pem.clone()))
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // A machine without a clock of its own starts in 1970.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch;
    params.not_after = epoch + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<Identity, LoopbackError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = params(name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if usage == ExtendedKeyUsagePurpose::ServerAuth {
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    }
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    Ok(Identity { certificate, key })
}

fn client_config(
    ca: CertificateDer<'static>,
    own: &Identity,
) -> Result<ClientConfig, LoopbackError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(own.key.serialize_pem().as_bytes()).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own.certificate.der().clone()], key)
        .map_err(failed)
}
