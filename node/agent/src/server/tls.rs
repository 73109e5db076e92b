//! TLS of the agent's server: a client may show a certificate of the cluster's CA, and who shows none is nobody.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::ServerTls;

pub(super) fn acceptor(tls: &ServerTls) -> Result<TlsAcceptor, String> {
    let chain = |pem: &str, what: &str| {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        found.map_err(|e| format!("{what}: {e}")).and_then(|c| {
            if c.is_empty() {
                Err(format!("{what}: no certificate in it"))
            } else {
                Ok(c)
            }
        })
    };
    let mut roots = RootCertStore::empty();
    for root in chain(&tls.client_ca, "the CA of clients")? {
        roots
            .add(root)
            .map_err(|e| format!("the CA of clients: {e}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| format!("the CA of clients: {e}"))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(tls.serving.clone());
    // Upgrades (exec, attach, port-forward) are HTTP/1.1's.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Who a client proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// Common name.
    pub(super) name: String,
    /// Organisations.
    pub(super) groups: Vec<String>,
}

impl Peer {
    /// From the chain that the handshake has verified.
    pub(super) fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(chain?.first()?).ok()?;
        let text =
            |a: &x509_parser::x509::AttributeTypeAndValue<'_>| a.as_str().ok().map(str::to_owned);
        let name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(text)?;
        let groups = certificate
            .subject()
            .iter_organization()
            .filter_map(text)
            .collect();
        Some(Self { name, groups })
    }

    pub(super) fn may_enter(&self, names: &[String], groups: &[String]) -> bool {
        names.contains(&self.name) || self.groups.iter().any(|g| groups.contains(g))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_enter() {
        let peer = Peer {
            name: "kube-apiserver".into(),
            groups: vec!["system:masters".into()],
        };
        let list = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert!(peer.may_enter(&list(&["kube-apiserver"]), &[]));
        assert!(peer.may_enter(&[], &list(&["system:masters"])));
        assert!(!peer.may_enter(&list(&["other"]), &list(&["system:nodes"])));
        assert!(!peer.may_enter(&[], &[]));
        assert_eq!(Peer::of(None), None);
    }
}
