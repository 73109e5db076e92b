//! Somebody who asks our own ports with a token.

use std::path::PathBuf;

use crate::Cluster;
use crate::programs::run;

/// A service account that has no rights until it is given some, and curl.
pub struct Reader<'a> {
    cluster: &'a Cluster,
    ca: PathBuf,
    /// What it shows; empty for nothing.
    pub token: String,
}

impl<'a> Reader<'a> {
    /// `default/reader`, made if it is not there.
    ///
    /// # Panics
    /// When the API does not give a token.
    pub fn new(c: &'a Cluster) -> Self {
        c.try_k("create serviceaccount reader").unwrap_or_default();
        let ca = c.scratch().join("ca.crt");
        let text = c.k("get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}'");
        std::fs::write(&ca, text).unwrap_or_else(|e| panic!("{e}"));
        Self {
            cluster: c,
            ca,
            token: c.k("create token reader").trim().to_owned(),
        }
    }

    /// Code and body.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn fetch(&self, url: &str) -> (String, String) {
        let mut curl = self.cluster.command("curl");
        curl.args([
            "--silent",
            "--max-time",
            "10",
            "--write-out",
            "\n%{http_code}",
        ])
        .arg("--cacert")
        .arg(&self.ca)
        .arg(url);
        if !self.token.is_empty() {
            curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        }
        let said = run(&mut curl).unwrap_or_else(|e| panic!("{url}: {e:#}"));
        let (body, code) = said.trim_end().rsplit_once('\n').unwrap_or_default();
        (code.to_owned(), body.to_owned())
    }
}
