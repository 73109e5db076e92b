//! The keys of service-account tokens: one signs, all verify.
//!
//! `DIR/service-account.key` signs. To change keys, rename it to `service-account-ANYTHING.key` and restart: a new one is
//! made, and the old one goes on verifying until it is deleted.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::claims::Claims;
use crate::pki::{PkiError, files, new_key};

struct Key {
    /// SHA-256 of the public key (SubjectPublicKeyInfo), as Kubernetes derives key ids.
    id: String,
    /// The uncompressed point: 0x04, x, y.
    point: Vec<u8>,
    verify: DecodingKey,
}

pub(crate) struct Keys {
    sign: EncodingKey,
    /// The signing key first.
    all: Vec<Key>,
}

/// A folder with more keys than this is a mistake; each token of an unknown key would be tried in vain.
const MAX_KEYS: usize = 16;

impl Keys {
    pub(crate) fn open(dir: &Path) -> Result<Self, PkiError> {
        files::create_private_dir(dir)?;
        let path = dir.join("service-account.key");
        let signing = match files::read(&path)? {
            Some(pem) => parse(&path, &pem)?,
            None => {
                let key = new_key("service-account tokens")?;
                files::write(&path, key.serialize_pem().as_bytes(), 0o600)?;
                tracing::info!(path = %path.display(), "made a signing key for service-account tokens");
                key
            }
        };
        let mut all = vec![key(&signing)];
        let entries = std::fs::read_dir(dir).map_err(|source| PkiError::File {
            action: "read",
            path: dir.into(),
            source,
        })?;
        let mut others: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|other| *other != path && is_ours(other))
            .collect();
        others.sort();
        for other in others.iter().take(MAX_KEYS - 1) {
            if let Some(pem) = files::read(other)? {
                all.push(key(&parse(other, &pem)?));
            }
        }
        Ok(Self {
            sign: EncodingKey::from_ec_der(&signing.serialize_der()),
            all,
        })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, PkiError> {
        let header = Header {
            kid: Some(self.all[0].id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, claims, &self.sign).map_err(|e| PkiError::Certificate {
            subject: "a service-account token".to_owned(),
            what: e.to_string(),
        })
    }

    /// The keys to try for this key id: the one of that id, or all when the token names none.
    pub(crate) fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        self.all
            .iter()
            .filter(move |key| id.is_none_or(|id| id == key.id))
            .map(|key| &key.verify)
    }

    pub(crate) fn public_jwks(&self) -> Vec<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = self.all.iter().map(|key| {
            json!({
                "use": "sig", "kty": "EC", "kid": key.id, "crv": "P-256", "alg": "ES256",
                "x": encode(&key.point[1..33]), "y": encode(&key.point[33..65]),
            })
        });
        keys.collect()
    }
}

/// The folder may hold other keys, such as the CA's.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("service-account-") && name.ends_with(".key")
}

fn parse(path: &Path, pem: &str) -> Result<KeyPair, PkiError> {
    let wrong = || PkiError::Certificate {
        subject: format!("service-account tokens ({})", path.display()),
        what: "not an ECDSA P-256 private key in PEM (PKCS#8)".to_owned(),
    };
    let key = KeyPair::from_pem(pem).map_err(|_| wrong())?;
    if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 || key.public_key_raw().len() != 65 {
        return Err(wrong());
    }
    Ok(key)
}

fn key(pair: &KeyPair) -> Key {
    let point = pair.public_key_raw().to_vec();
    let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
    // Despite its name the constructor takes the public point itself.
    let verify = DecodingKey::from_ec_der(&point);
    Key { id, point, verify }
}
