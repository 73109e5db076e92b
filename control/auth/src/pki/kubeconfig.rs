//! A kubeconfig with everything in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Identity;

/// The YAML text of a kubeconfig for `user`; certificates and key are embedded, so the file works wherever it is copied.
/// The text holds a private key: write it with [`super::write_private`].
pub fn kubeconfig(
    cluster: &str,
    server_url: &str,
    ca_pem: &str,
    user: &str,
    identity: &Identity,
) -> String {
    // JSON strings are YAML strings: whatever a name holds, it stays one scalar.
    let text = |s: &str| serde_json::Value::from(s).to_string();
    let context = text(&format!("{user}@{cluster}"));
    let (cluster, user, server) = (text(cluster), text(user), text(server_url));
    let (ca, cert, key) = (
        STANDARD.encode(ca_pem),
        STANDARD.encode(&identity.cert_pem),
        STANDARD.encode(&identity.key_pem),
    );
    format!(
        "apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: {context}
  context:
    cluster: {cluster}
    user: {user}
users:
- name: {user}
  user:
    client-certificate-data: {cert}
    client-key-data: {key}
preferences: {{}}
"
    )
}
