//! Join tokens, in K3s' form: `K10<CA pin>::<user>:<secret>`.
//!
//! The pin is the SHA-256 of the CA's public key (SubjectPublicKeyInfo) in hexadecimal, so a machine that joins knows whom to
//! trust before it sends the secret, and goes on knowing after the CA's certificate was renewed. K3s hashes the PEM bundle
//! instead: its tokens have this form but another pin.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The user of a token that lets a node join.
const NODE_USER: &str = "node";

/// A parsed join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    pin: [u8; 32],
    user: String,
    secret: String,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why a join token cannot be used. Get a fresh one on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// Not of the form.
    #[error(
        "not a join token (K10<64 hexadecimal digits>::<user>:<secret>); copy the whole line that `minicloud token` prints on the server"
    )]
    Malformed,
    /// The server's CA is not the pinned one.
    #[error(
        "the server's CA is not the one that the token pins: another cluster answers at this address, or the CA was replaced; get a new token on the server"
    )]
    OtherCa,
    /// The CA bundle that the server sent is no certificate.
    #[error("the server sent no readable CA certificate")]
    BadCa,
}

impl JoinToken {
    /// A new token with a random secret (122 random bits).
    pub fn generate(pin: [u8; 32]) -> Self {
        Self {
            pin,
            user: NODE_USER.to_owned(),
            secret: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Reads a token; surrounding white space is ignored.
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        let parse = || {
            let (pin, rest) = text.trim().strip_prefix("K10")?.split_once("::")?;
            let (user, secret) = rest.split_once(':')?;
            let printable = |s: &str| {
                !s.is_empty() && s.len() <= 256 && s.bytes().all(|b| b.is_ascii_graphic())
            };
            (printable(user) && printable(secret)).then_some(Self {
                pin: from_hex(pin)?,
                user: user.to_owned(),
                secret: secret.to_owned(),
            })
        };
        parse().ok_or(JoinTokenError::Malformed)
    }

    /// The token's text. A secret.
    pub fn reveal(&self) -> String {
        let pin: String = self.pin.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("K10{pin}::{}:{}", self.user, self.secret)
    }

    /// The user part.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Client side: is this CA (PEM, as the server sent it over a connection that is not trusted yet) the pinned one?
    pub fn check_ca(&self, ca_pem: &str) -> Result<(), JoinTokenError> {
        let der =
            CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_| JoinTokenError::BadCa)?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|_| JoinTokenError::BadCa)?;
        let pin: [u8; 32] = Sha256::digest(certificate.public_key().raw).into();
        if pin == self.pin {
            Ok(())
        } else {
            Err(JoinTokenError::OtherCa)
        }
    }

    /// Server side: is `presented` this token? Takes the same time wherever they differ.
    pub fn matches(&self, presented: &str) -> bool {
        // Digests of equal length are compared, so neither length nor place of a difference can be timed.
        let (own, other) = (
            Sha256::digest(self.reveal()),
            Sha256::digest(presented.trim()),
        );
        let difference = own
            .iter()
            .zip(other.iter())
            .fold(0u8, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
