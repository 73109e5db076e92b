//! Making certificates, and deciding whether one on disk is still good.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CertSpec, PkiError, Usage, subject};

const DAY_SECONDS: i64 = 24 * 3600;
const CA_LIFETIME_SECONDS: i64 = 3650 * DAY_SECONDS;
/// No clock that is right shows less: 2026-01-01. A lifetime is counted from here when the clock shows less.
const EARLIEST_SANE: i64 = 1_767_225_600;
/// 9000-01-01: keeps dates within what X.509 can write, whatever the clock says.
const LATEST: i64 = 221_845_392_000;

/// A certificate and its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// The private key, PEM (PKCS#8). A secret.
    pub key_pem: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// When [`super::Pki::ensure`] will replace it.
    pub renew_at: Timestamp,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Certificate and key in one PEM text: what is on disk.
    pub fn to_pem(&self) -> String {
        format!("{}{}", self.cert_pem, self.key_pem)
    }

    /// The certificate, DER.
    pub fn cert_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes())
            .map_err(|e| PkiError::Tls(e.to_string()))
    }

    /// The key, DER.
    pub fn key_der(&self) -> Result<PrivateKeyDer<'static>, PkiError> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|e| PkiError::Tls(e.to_string()))
    }
}

fn failed(subject: &str) -> impl Fn(rcgen::Error) -> PkiError {
    let subject = subject.to_owned();
    move |e| PkiError::Certificate {
        subject: subject.clone(),
        what: e.to_string(),
    }
}

pub(crate) fn new_key(subject: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed(subject))
}

fn stamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// When something that starts to live now ends.
fn end(now: Timestamp, lifetime_seconds: i64) -> i64 {
    now.as_second()
        .max(EARLIEST_SANE)
        .saturating_add(lifetime_seconds)
        .min(LATEST)
}

fn params(not_after: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch;
    params.not_after = epoch + Duration::from_secs(not_after.max(0).unsigned_abs());
    params.distinguished_name = DistinguishedName::new();
    // Random, so that a renewed certificate never shares its number with the one before.
    let mut serial = *uuid::Uuid::new_v4().as_bytes();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// Founds or renews the CA's certificate; a renewed one keeps the subject.
pub(crate) fn make_ca(
    key: &KeyPair,
    old: Option<&str>,
    now: Timestamp,
) -> Result<String, PkiError> {
    let kept = old.and_then(|pem| with_certificate(pem, subject_name).ok().flatten());
    // A name of its own, so that a client that holds certificates of several clusters can tell which CA is asked for.
    let name = kept.unwrap_or_else(|| {
        format!(
            "minicloud-ca-{}",
            &uuid::Uuid::new_v4().simple().to_string()[..12]
        )
    });
    let mut params = params(end(now, CA_LIFETIME_SECONDS));
    params
        .distinguished_name
        .push(DnType::CommonName, name.clone());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(params.self_signed(key).map_err(failed(&name))?.pem())
}

/// False when the CA's certificate should be renewed (same key); an error when it is not this key's.
pub(crate) fn ca_is_current(
    path: &Path,
    pem: &str,
    key: &KeyPair,
    now: Timestamp,
) -> Result<bool, PkiError> {
    let broken = |what: String| PkiError::BrokenCa {
        path: path.to_owned(),
        what,
    };
    let (own, not_before, not_after) = with_certificate(pem, |c| {
        let validity = c.validity();
        (
            c.public_key().raw == key.subject_public_key_info().as_slice(),
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        )
    })
    .map_err(broken)?;
    if !own {
        return Err(broken(
            "the certificate does not belong to ca.key".to_owned(),
        ));
    }
    let at = now.as_second();
    Ok(not_before <= at && at < not_after - CA_LIFETIME_SECONDS / 3)
}

fn leaf_params(
    spec: &CertSpec,
    ca_not_after: i64,
    now: Timestamp,
) -> Result<(CertificateParams, i64), PkiError> {
    let not_after = end(now, i64::from(spec.lifetime_days) * DAY_SECONDS).min(ca_not_after);
    let mut params = params(not_after);
    // Of several groups only the last one stays: `finished` puts that right.
    for organization in &spec.organizations {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization.as_str());
    }
    params
        .distinguished_name
        .push(DnType::CommonName, spec.common_name.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match spec.usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ],
    };
    params.use_authority_key_identifier_extension = true;
    for name in &spec.dns_names {
        let name = name
            .as_str()
            .try_into()
            .map_err(failed(&spec.common_name))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params
        .subject_alt_names
        .extend(spec.addresses.iter().map(|ip| SanType::IpAddress(*ip)));
    Ok((params, not_after))
}

/// When the CA's certificate ends.
pub(crate) fn end_of(ca_pem: &str) -> Result<Timestamp, PkiError> {
    let end = with_certificate(ca_pem, |c| c.validity().not_after.timestamp());
    end.map(stamp).map_err(|what| PkiError::Certificate {
        subject: "the CA".to_owned(),
        what,
    })
}

fn issuer<'a>(
    ca_pem: &str,
    key: &'a KeyPair,
    spec: &CertSpec,
) -> Result<(Issuer<'static, &'a KeyPair>, i64), PkiError> {
    let not_after = end_of(ca_pem)?.as_second();
    let issuer = Issuer::from_ca_cert_pem(ca_pem, key).map_err(failed(&spec.common_name))?;
    Ok((issuer, not_after))
}

pub(crate) fn issue(
    ca_pem: &str,
    ca_key: &KeyPair,
    spec: &CertSpec,
    now: Timestamp,
) -> Result<Identity, PkiError> {
    let (issuer, ca_not_after) = issuer(ca_pem, ca_key, spec)?;
    let (params, not_after) = leaf_params(spec, ca_not_after, now)?;
    let key = new_key(&spec.common_name)?;
    let cert = params
        .signed_by(&key, &issuer)
        .map_err(failed(&spec.common_name))?;
    Ok(Identity {
        cert_pem: finished(&cert, spec, ca_key)?,
        key_pem: key.serialize_pem(),
        not_after: stamp(not_after),
        renew_at: stamp(renew_at(not_after, spec)),
    })
}

pub(crate) fn sign_request(
    ca_pem: &str,
    ca_key: &KeyPair,
    request_pem: &str,
    spec: &CertSpec,
    now: Timestamp,
) -> Result<String, PkiError> {
    let (issuer, ca_not_after) = issuer(ca_pem, ca_key, spec)?;
    let mut request = CertificateSigningRequestParams::from_pem(request_pem)
        .map_err(failed(&spec.common_name))?;
    request.params = leaf_params(spec, ca_not_after, now)?.0;
    let cert = request
        .signed_by(&issuer)
        .map_err(failed(&spec.common_name))?;
    finished(&cert, spec, ca_key)
}

fn finished(
    cert: &rcgen::Certificate,
    spec: &CertSpec,
    ca_key: &KeyPair,
) -> Result<String, PkiError> {
    if spec.organizations.len() < 2 {
        return Ok(cert.pem());
    }
    subject::with_subject(cert.der(), spec, ca_key).map_err(|what| PkiError::Certificate {
        subject: spec.common_name.clone(),
        what,
    })
}

fn renew_at(not_after: i64, spec: &CertSpec) -> i64 {
    not_after - i64::from(spec.lifetime_days) * DAY_SECONDS / 3
}

/// The identity in `pem` if it can go on being used, else why not.
pub(crate) fn reuse(
    pem: &str,
    spec: &CertSpec,
    ca_key: &KeyPair,
    now: Timestamp,
) -> Result<Identity, String> {
    let key = KeyPair::from_pem(section(pem, "PRIVATE KEY")?)
        .map_err(|_| "its key cannot be read".to_owned())?;
    let ca_public = ca_key.subject_public_key_info();
    let lifetime = i64::from(spec.lifetime_days) * DAY_SECONDS;
    let cert_pem = section(pem, "CERTIFICATE")?;
    let not_after = with_certificate(cert_pem, |cert| {
        let (_, ca_public) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&ca_public)
            .map_err(|_| "the CA's key cannot be read".to_owned())?;
        if cert.public_key().raw != key.subject_public_key_info().as_slice() {
            return Err("certificate and key do not belong together".to_owned());
        }
        if cert.verify_signature(Some(&ca_public)).is_err() {
            return Err("another CA issued it".to_owned());
        }
        if !fits(cert, spec) {
            return Err("it is for other names, groups or uses".to_owned());
        }
        let (from, until) = (
            cert.validity().not_before.timestamp(),
            cert.validity().not_after.timestamp(),
        );
        let at = now.as_second();
        // A day of slack: two machines' clocks differ. A clock before EARLIEST_SANE proves nothing about the certificate.
        let from_future = at >= EARLIEST_SANE && until > at.saturating_add(lifetime + DAY_SECONDS);
        if from > at || from_future {
            return Err("it was issued by a clock that was ahead of now".to_owned());
        }
        if at >= until {
            return Err("it has expired".to_owned());
        }
        if at >= renew_at(until, spec) {
            return Err("two thirds of its life are over".to_owned());
        }
        Ok(until)
    })??;
    Ok(Identity {
        cert_pem: cert_pem.to_owned(),
        key_pem: section(pem, "PRIVATE KEY")?.to_owned(),
        not_after: stamp(not_after),
        renew_at: stamp(renew_at(not_after, spec)),
    })
}

/// The first PEM section with this label, its lines included.
fn section<'a>(pem: &'a str, label: &str) -> Result<&'a str, String> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----\n"),
    );
    let start = pem
        .find(&begin)
        .ok_or_else(|| format!("its file has no {label}"))?;
    let length = pem[start..]
        .find(&end)
        .ok_or_else(|| format!("the {label} in its file is cut short"))?;
    Ok(&pem[start..start + length + end.len()])
}

fn with_certificate<T>(
    pem: &str,
    read: impl FnOnce(&X509Certificate<'_>) -> T,
) -> Result<T, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "not a certificate in PEM".to_owned())?;
    let (_, certificate) =
        X509Certificate::from_der(&der).map_err(|_| "its certificate cannot be read".to_owned())?;
    Ok(read(&certificate))
}

fn subject_name(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()
        .map(str::to_owned)
}

/// Whether the certificate says exactly what `spec` says, the order of names aside.
fn fits(certificate: &X509Certificate<'_>, spec: &CertSpec) -> bool {
    let organizations: Vec<&str> = certificate
        .subject()
        .iter_organization()
        .filter_map(|o| o.as_str().ok())
        .collect();
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        for name in &alternative.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => return false,
            }
        }
    }
    let usage = certificate
        .extended_key_usage()
        .ok()
        .flatten()
        .map(|u| (u.value.server_auth, u.value.client_auth));
    let wanted = match spec.usage {
        Usage::Server => (true, false),
        Usage::Client => (false, true),
        Usage::Both => (true, true),
    };
    subject_name(certificate).as_deref() == Some(&spec.common_name)
        && organizations == spec.organizations
        && same(&names, &spec.dns_names)
        && same(&addresses, &spec.addresses)
        && usage == Some(wanted)
}

fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}

/// The address in an iPAddress name: four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
