//! `/livez` and `/readyz`: anonymous, so they say which part is not well, but not why (the log does).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::response::IntoResponse;
use http::{StatusCode, header};

/// Whether each thing that can fail is well.
#[derive(Default)]
pub(crate) struct Health(Mutex<BTreeMap<&'static str, bool>>);

impl Health {
    pub(crate) fn set(&self, name: &'static str, well: bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, well);
    }

    /// All is well, and a line for each as Kubernetes' `?verbose` writes them.
    pub(crate) fn report(&self) -> (bool, String) {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let well = parts.values().all(|well| *well);
        let mut text = String::new();
        for (name, well) in parts.iter() {
            text.push_str(&if *well {
                format!("[+]{name} ok\n")
            } else {
                format!("[-]{name} failed: see the log\n")
            });
        }
        text.push_str(if well {
            "readyz check passed\n"
        } else {
            "readyz check failed\n"
        });
        (well, text)
    }
}

fn plain(status: StatusCode, text: String) -> axum::response::Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text,
    )
        .into_response()
}

pub(crate) fn live() -> axum::response::Response {
    plain(StatusCode::OK, "ok".to_owned())
}

pub(crate) fn ready(health: &Health, verbose: bool) -> axum::response::Response {
    match health.report() {
        (true, _) if !verbose => live(),
        (true, text) => plain(StatusCode::OK, text),
        (false, text) => plain(StatusCode::SERVICE_UNAVAILABLE, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_part_that_failed() {
        let health = Health::default();
        health.set("part/a", true);
        assert_eq!(
            health.report(),
            (true, "[+]part/a ok\nreadyz check passed\n".into())
        );
        health.set("part/b", false);
        let text = "[+]part/a ok\n[-]part/b failed: see the log\nreadyz check failed\n";
        assert_eq!(health.report(), (false, text.into()));
        health.set("part/b", true);
        assert!(health.report().0);
    }
}
