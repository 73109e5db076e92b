//! Subjects with several groups.
//!
//! Kubernetes reads each O of a certificate as a group, but rcgen's distinguished name holds one value per type. So a
//! certificate for a user in more than one group gets its subject here: the DER that rcgen made is cut open at the subject
//! (x509-parser says where), closed again around the right one, and signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CertSpec;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const BIT_STRING: u8 = 0x03;
/// 2.5.4.3 and 2.5.4.10, as DER object identifiers.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];

/// Tag, length, content (X.690, 8.1).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

fn name(spec: &CertSpec) -> Vec<u8> {
    let organizations = spec.organizations.iter().map(|o| (ORGANIZATION, o));
    let all = organizations.chain([(COMMON_NAME, &spec.common_name)]);
    let parts: Vec<u8> = all
        .flat_map(|(kind, value)| {
            let pair = [&kind[..], &element(UTF8_STRING, value.as_bytes())].concat();
            element(SET, &element(SEQUENCE, &pair))
        })
        .collect();
    element(SEQUENCE, &parts)
}

/// The certificate with the subject of `spec`, signed by `ca_key` (ECDSA P-256, as rcgen signed it), PEM.
pub(super) fn with_subject(
    der: &[u8],
    spec: &CertSpec,
    ca_key: &KeyPair,
) -> Result<String, String> {
    let unreadable = |_| "rcgen's certificate cannot be read back".to_owned();
    let (_, certificate) = X509Certificate::from_der(der).map_err(unreadable)?;
    let signed = certificate.tbs_certificate.as_ref();
    let subject = certificate.subject().as_raw();
    let (_, content) = asn1_content(signed).ok_or("rcgen's certificate has no content")?;
    // Slices of one buffer: where the subject is follows from the addresses.
    let start = subject.as_ptr().addr() - content.as_ptr().addr();
    let (before, after) = (&content[..start], &content[start + subject.len()..]);
    let signed_anew = element(SEQUENCE, &[before, &name(spec), after].concat());
    // What follows the signed part starts with the algorithm, which stays.
    let (_, all) = asn1_content(der).ok_or("rcgen's certificate has no content")?;
    let (algorithm_header, algorithm) =
        asn1_content(&all[signed.len()..]).ok_or("rcgen's certificate has no algorithm")?;
    let algorithm = &all[signed.len()..][..algorithm_header + algorithm.len()];
    let signature = ca_key.sign(&signed_anew).map_err(|e| e.to_string())?;
    let signature = element(BIT_STRING, &[&[0], signature.as_slice()].concat());
    Ok(pem(&element(
        SEQUENCE,
        &[signed_anew.as_slice(), algorithm, &signature].concat(),
    )))
}

/// The header's length and the content of the DER element at the start of `der`.
fn asn1_content(der: &[u8]) -> Option<(usize, &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (header, length) = if first < 0x80 {
        (2, first)
    } else {
        let count = first & 0x7f;
        let bytes = der.get(2..2 + count)?;
        (
            2 + count,
            bytes.iter().try_fold(0usize, |all, byte| {
                all.checked_mul(256)?.checked_add(usize::from(*byte))
            })?,
        )
    };
    Some((header, der.get(header..header.checked_add(length)?)?))
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for start in (0..text.len()).step_by(64) {
        out.push_str(&text[start..text.len().min(start + 64)]);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (length, header) in [
            (0, "04 00"),
            (127, "04 7f"),
            (128, "04 81 80"),
            (256, "04 82 01 00"),
            (70_000, "04 83 01 11 70"),
        ] {
            let der = element(4, &vec![7; length]);
            let shown: Vec<String> = der[..der.len() - length]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(shown.join(" "), header);
            assert_eq!(
                asn1_content(&der).map(|(_, content)| content.len()),
                Some(length)
            );
            assert_eq!(asn1_content(&der[..der.len() - 1]), None);
        }
    }
}
