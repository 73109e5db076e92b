//! Probes and lifecycle hooks.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use super::super::meta::not_negative;
use super::super::text::port_or_name;
use crate::at::At;
use crate::json::Get;

/// The probes and hooks of a regular container or a sidecar.
pub(super) fn check(container: &Value, spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let grace = spec.int("terminationGracePeriodSeconds");
    let lifecycle = container.at("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle.has(hook) {
            handler(
                lifecycle.at(hook),
                grace,
                &at.child("lifecycle").child(hook),
                errors,
            );
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.at(name);
        if probe.is_null() {
            continue;
        }
        let at = at.child(name);
        self::probe(probe, grace, &at, errors);
        let successes = probe.int("successThreshold").unwrap_or(0);
        if name == "readinessProbe" {
            if let Some(seconds) = probe.int("terminationGracePeriodSeconds") {
                let detail = "must not be set for readinessProbes";
                at.child("terminationGracePeriodSeconds")
                    .invalid(errors, seconds, detail);
            }
        } else if successes != 1 {
            at.child("successThreshold")
                .invalid(errors, successes, "must be 1");
        }
    }
}

fn probe(probe: &Value, grace: Option<i64>, at: &At<'_>, errors: &mut ErrorList) {
    handler(probe, grace, at, errors);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        not_negative(probe, field, at, errors);
    }
    if let Some(seconds) = probe
        .int("terminationGracePeriodSeconds")
        .filter(|s| *s <= 0)
    {
        at.child("terminationGracePeriodSeconds").invalid(
            errors,
            seconds,
            "must be greater than 0",
        );
    }
}

fn handler(handler: &Value, grace: Option<i64>, at: &At<'_>, errors: &mut ErrorList) {
    let mut found = false;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = handler.at(kind);
        if action.is_null() {
            continue;
        }
        let at = at.child(kind);
        if std::mem::replace(&mut found, true) {
            at.forbidden(errors, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" if action.items("command").is_empty() => {
                at.child("command").required(errors, "")
            }
            "httpGet" => http(action, &at, errors),
            "tcpSocket" | "grpc" => port_or_name(action.at("port"), &at.child("port"), errors),
            "sleep" => {
                let seconds = action.int("seconds").unwrap_or(0);
                if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                    let detail = format!(
                        "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                    );
                    at.invalid(errors, seconds, &detail);
                }
            }
            _ => {}
        }
    }
    if !found {
        at.required(errors, "must specify a handler type");
    }
}

fn http(action: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if action.text("path").is_empty() {
        at.child("path").required(errors, "");
    }
    port_or_name(action.at("port"), &at.child("port"), errors);
    let scheme = action.text("scheme");
    if !matches!(scheme, "HTTP" | "HTTPS") {
        at.child("scheme")
            .unsupported(errors, scheme, &["HTTP", "HTTPS"]);
    }
    for header in action.items("httpHeaders") {
        let name = header.text("name");
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
                          regex used for validation is '[-A-Za-z0-9]+')";
            at.child("httpHeaders").invalid(errors, name, detail);
        }
    }
}
