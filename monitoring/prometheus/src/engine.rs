//! Which Prometheus: the setting `--prometheus`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use minicloud_prometheus_client::{Endpoint, Prometheus};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The certificates that Debian trusts.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Which Prometheus there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Debian's, run by us.
    Managed,
    /// None.
    Off,
    /// Any server that speaks Prometheus' HTTP API.
    Url {
        /// `http` or `https`; its path is put before the API's.
        url: Uri,
        /// A file with a bearer token.
        token_file: Option<PathBuf>,
        /// Whom to trust; else whom Debian trusts.
        ca_file: Option<PathBuf>,
    },
}

/// A setting that cannot be used; says what to give instead.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Neither a word nor a URL.
    #[error(
        "prometheus {0:?} is neither managed, off nor a URL such as https://prometheus.example.net"
    )]
    Unknown(String),
    /// A URL with a name or a password, which would be in arguments, logs and errors.
    #[error(
        "the URL of prometheus has credentials in it: put a token in a file and name it by --prometheus-token-file"
    )]
    Credentials,
    /// A file of certificates cannot be used.
    #[error("the CA file {}: {what}", path.display())]
    Ca {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

impl Choice {
    /// Reads the settings `--prometheus`, `--prometheus-token-file` and `--prometheus-ca-file`.
    ///
    /// # Errors
    /// When the text is neither a known word nor a URL.
    pub fn parse(
        text: &str,
        token_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, ChoiceError> {
        match text {
            "managed" => return Ok(Self::Managed),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let url: Option<Uri> = text.parse().ok();
        if url
            .as_ref()
            .and_then(Uri::authority)
            .is_some_and(|a| a.as_str().contains('@'))
        {
            return Err(ChoiceError::Credentials);
        }
        let usable = url.filter(|url| {
            let scheme = matches!(url.scheme_str(), Some("http" | "https"));
            scheme && url.host().is_some_and(|host| !host.is_empty()) && url.query().is_none()
        });
        match usable {
            Some(url) => Ok(Self::Url {
                url,
                token_file,
                ca_file,
            }),
            None => Err(ChoiceError::Unknown(text.to_owned())),
        }
    }
}

/// A client of the Prometheus at a URL.
///
/// # Errors
/// When the CA file cannot be used.
pub fn at_url(
    url: &Uri,
    token_file: Option<PathBuf>,
    ca_file: Option<&Path>,
) -> Result<Prometheus, ChoiceError> {
    let path = ca_file.unwrap_or(Path::new(SYSTEM_CA_FILE));
    let broken = |what: String| ChoiceError::Ca {
        path: path.to_owned(),
        what,
    };
    let mut roots = RootCertStore::empty();
    match CertificateDer::pem_file_iter(path) {
        Ok(certificates) => {
            // A bundle may hold one that webpki does not take.
            roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        }
        // A machine without Debian's bundle can talk to plain HTTP all the same.
        Err(_) if ca_file.is_none() => {}
        Err(error) => return Err(broken(error.to_string())),
    }
    if ca_file.is_some() && roots.is_empty() {
        return Err(broken("it holds no certificate in PEM".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Prometheus::new(Endpoint {
        url: url.clone(),
        tls: Arc::new(tls),
        token_file,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_urls() {
        let parse = |text: &str| Choice::parse(text, None, None);
        assert_eq!(parse("managed").unwrap(), Choice::Managed);
        assert_eq!(parse("off").unwrap(), Choice::Off);
        for url in [
            "http://127.0.0.1:9090",
            "https://metrics.example.net/prometheus",
        ] {
            assert!(matches!(parse(url).unwrap(), Choice::Url { .. }), "{url}");
        }
        let told = parse("https://somebody:secret@metrics.example.net").unwrap_err();
        assert!(!told.to_string().contains("secret"), "{told}");
        for bad in [
            "",
            "on",
            "ftp://a",
            "/a",
            "https://",
            "http://a/?b=c",
            "a b",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("managed, off"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_ca_file_has_to_hold_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let url = "https://a".parse().unwrap();
        let error = at_url(&url, None, Some(file.path())).unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
        let gone = Path::new("/nonexistent.pem");
        assert!(at_url(&url, None, Some(gone)).is_err());
    }
}
