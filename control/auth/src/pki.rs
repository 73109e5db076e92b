//! The cluster's own CA and what it issued, on disk.
//!
//! ```text
//! DIR/ca.crt     the CA's certificate, for everyone
//! DIR/ca.key     the CA's key, 0600
//! DIR/NAME.pem   certificate and key of one identity, 0600, one file so that both change in one rename
//! ```
//!
//! The one thing to know: machines without a clock of their own start in 1970. So certificates are valid from 1970 on (no
//! clock is ever before them), and the CA's key outlives its certificate: a new CA certificate has the same key and
//! subject, so everything issued before stays valid and join tokens, which pin the key, too.

pub(crate) mod files;
mod issue;
mod kubeconfig;
mod spec;
mod subject;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

pub use files::write_private;
pub use issue::Identity;
pub(crate) use issue::new_key;
pub use kubeconfig::kubeconfig;
pub use spec::{CertSpec, ServerNames, Usage};
pub use tls::{ServingCert, client_config, server_config};
pub(crate) use tls::{provider, roots, tls};

/// What went wrong with keys and certificates. None of it goes away by retrying: report and stop.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("cannot {action} {path:?}; check the folder's owner and free space")]
    File {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA's files do not fit together or cannot be read.
    #[error(
        "{path:?}: {what}; restore it from a backup, or remove both ca.crt and ca.key to found a new CA"
    )]
    BrokenCa {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate could not be made or read.
    #[error("certificate of {subject:?}: {what}")]
    Certificate {
        /// Whose.
        subject: String,
        /// Why.
        what: String,
    },
    /// TLS refused a key or certificate.
    #[error("TLS configuration: {0}")]
    Tls(String),
}

/// The CA. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
    key: KeyPair,
    ca_pem: RwLock<String>,
    /// When the certificates that this process works with end, by name.
    ends: Mutex<BTreeMap<String, Timestamp>>,
}

impl Pki {
    /// Opens the CA in `dir`, founding it at the first start and renewing its certificate when two thirds of its life are
    /// over. Idempotent.
    pub fn open(dir: impl Into<PathBuf>, now: Timestamp) -> Result<Self, PkiError> {
        let dir = dir.into();
        files::create_private_dir(&dir)?;
        let key = Self::load_or_make_key(&dir)?;
        let path = dir.join("ca.crt");
        let ca_pem = match files::read(&path)? {
            Some(pem) if issue::ca_is_current(&path, &pem, &key, now)? => pem,
            old => {
                let pem = issue::make_ca(&key, old.as_deref(), now)?;
                files::write(&path, pem.as_bytes(), 0o644)?;
                tracing::info!(path = %path.display(), renewed = old.is_some(), "issued the cluster's CA certificate");
                pem
            }
        };
        let ends = Mutex::new([("ca".to_owned(), issue::end_of(&ca_pem)?)].into());
        Ok(Self {
            dir,
            key,
            ca_pem: RwLock::new(ca_pem),
            ends,
        })
    }

    fn load_or_make_key(dir: &Path) -> Result<KeyPair, PkiError> {
        let path = dir.join("ca.key");
        let broken = |what: String| PkiError::BrokenCa {
            path: path.clone(),
            what,
        };
        if let Some(pem) = files::read(&path)? {
            return KeyPair::from_pem(&pem)
                .map_err(|_| broken("not a private key in PEM".to_owned()));
        }
        if dir.join("ca.crt").exists() {
            return Err(broken("missing, while ca.crt is there".to_owned()));
        }
        let key = issue::new_key("the CA")?;
        files::write(&path, key.serialize_pem().as_bytes(), 0o600)?;
        Ok(key)
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> String {
        self.ca_pem
            .read()
            .map_or_else(|e| e.into_inner().clone(), |pem| pem.clone())
    }

    /// The CA's certificate, DER.
    pub fn ca_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(self.ca_pem().as_bytes()).map_err(|e| PkiError::BrokenCa {
            path: self.dir.join("ca.crt"),
            what: e.to_string(),
        })
    }

    /// SHA-256 of the CA's public key (SubjectPublicKeyInfo, DER): what a join token pins. It survives the CA's renewal.
    pub fn ca_pin(&self) -> [u8; 32] {
        use rcgen::PublicKeyData;
        Sha256::digest(self.key.subject_public_key_info()).into()
    }

    /// Where the files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The identity `name` (`NAME.pem`): the one on disk while it fits `spec`, belongs to this CA and is younger than two
    /// thirds of its life, else a new one. Call it at every start and again, say, every hour: it is cheap.
    pub fn ensure(
        &self,
        name: &str,
        spec: &CertSpec,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        let identity = self.ensure_on_disk(name, spec, now)?;
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), identity.not_after);
        Ok(identity)
    }

    /// When the CA's certificate (`ca`) and those that [`Pki::ensure`] gave last end, by name.
    pub fn ends(&self) -> BTreeMap<String, Timestamp> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.clone()
    }

    fn ensure_on_disk(
        &self,
        name: &str,
        spec: &CertSpec,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        let path = self.dir.join(format!("{name}.pem"));
        let why = match files::read(&path)? {
            None => "there is none yet".to_owned(),
            Some(pem) => match issue::reuse(&pem, spec, &self.key, now) {
                Ok(identity) => return Ok(identity),
                Err(why) => why,
            },
        };
        let identity = self.issue(spec, now)?;
        files::write(&path, identity.to_pem().as_bytes(), 0o600)?;
        tracing::info!(path = %path.display(), subject = %spec.common_name, %why, "issued a certificate");
        Ok(identity)
    }

    /// A new identity that is kept in memory only.
    pub fn issue(&self, spec: &CertSpec, now: Timestamp) -> Result<Identity, PkiError> {
        issue::issue(&self.ca_pem(), &self.key, spec, now)
    }

    /// Signs the public key of a certificate request (PEM). Everything else in the request is ignored: subject, names and
    /// usage are those of `spec`, so a caller cannot ask for more than it was granted. Returns the certificate, PEM.
    pub fn sign_request(
        &self,
        request_pem: &str,
        spec: &CertSpec,
        now: Timestamp,
    ) -> Result<String, PkiError> {
        issue::sign_request(&self.ca_pem(), &self.key, request_pem, spec, now)
    }
}
