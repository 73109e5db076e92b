//! ConfigMaps, Secrets and ServiceAccounts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set, same};

const DATA: At<'static> = At::root("data");
/// The largest ConfigMap or Secret.
const MAX_BYTES: usize = 1 << 20;

pub(super) struct ConfigMap;

impl Rules for ConfigMap {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::core::v1::ConfigMap);

    fn check(value: &Value, errors: &mut ErrorList) {
        let mut bytes = 0;
        for (key, text) in value.entries("data") {
            let at = DATA.key(key);
            at.complain(errors, key, names::config_key(key));
            if value.at("binaryData").has(key) {
                at.invalid(errors, key, "duplicate of key present in binaryData");
            }
            bytes += text.as_str().map_or(0, str::len);
        }
        let binary = At::root("binaryData");
        for (key, data) in value.entries("binaryData") {
            binary
                .key(key)
                .complain(errors, key, names::config_key(key));
            bytes += decoded_bytes(data);
        }
        if bytes > MAX_BYTES {
            // Kubernetes means the whole object, and shows it so: `[]`.
            At::root("").key("").too_long(errors, MAX_BYTES);
        }
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        immutable(new, old, &["data", "binaryData"], errors);
    }
}

pub(super) struct Secret;

impl Rules for Secret {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::core::v1::Secret);

    fn default(value: &mut Value) {
        value.default_to("type", "Opaque");
        // `stringData` is for writing only: it goes over `data`.
        if let Some(Value::Object(texts)) = value.take_out("stringData") {
            let data = value.object("data");
            for (key, text) in texts {
                data.put(&key, STANDARD.encode(text.as_str().unwrap_or_default()));
            }
        }
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let mut bytes = 0;
        for (key, data) in value.entries("data") {
            DATA.key(key).complain(errors, key, names::config_key(key));
            bytes += decoded_bytes(data);
        }
        if bytes > MAX_BYTES {
            DATA.too_long(errors, MAX_BYTES);
        }
        by_type(value, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        if new.text("type") != old.text("type") {
            At::root("type").invalid(errors, new.text("type"), "field is immutable");
        }
        immutable(new, old, &["data"], errors);
    }
}

/// What each type of Secret must hold.
fn by_type(value: &Value, errors: &mut ErrorList) {
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    let data = value.at("data");
    let missing = |key: &str, errors: &mut ErrorList| {
        if !data.has(key) {
            DATA.key(key).required(errors, "");
        }
    };
    match value.text("type") {
        "kubernetes.io/service-account-token" => {
            let named = value.at("metadata").at("annotations").text(ACCOUNT);
            if named.is_empty() {
                let at = At::root("metadata");
                at.child("annotations").key(ACCOUNT).required(errors, "");
            }
        }
        "kubernetes.io/dockercfg" => docker(data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => docker(data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !data.has("username") && !data.has("password") => {
            missing("username", errors);
            missing("password", errors);
        }
        "kubernetes.io/ssh-auth" if data.text("ssh-privatekey").is_empty() => {
            DATA.key("ssh-privatekey").required(errors, "");
        }
        "kubernetes.io/tls" => {
            missing("tls.crt", errors);
            missing("tls.key", errors);
        }
        _ => {}
    }
}

fn docker(data: &Value, key: &str, errors: &mut ErrorList) {
    if !data.has(key) {
        return DATA.key(key).required(errors, "");
    }
    let parsed = STANDARD
        .decode(data.text(key))
        .map_err(|e| e.to_string())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
    let complaint = match parsed {
        Ok(Value::Object(_)) => return,
        Ok(_) => "json: cannot unmarshal into Go value of type map[string]interface {}".to_owned(),
        Err(error) => error,
    };
    DATA.key(key)
        .invalid(errors, "<secret contents redacted>", &complaint);
}

pub(super) struct ServiceAccount;

impl Rules for ServiceAccount {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::core::v1::ServiceAccount);
}

/// How many bytes padded base64 holds.
fn decoded_bytes(data: &Value) -> usize {
    let text = data.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

fn immutable(new: &Value, old: &Value, fields: &[&str], errors: &mut ErrorList) {
    if !old.flag("immutable") {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if !new.flag("immutable") {
        At::root("immutable").forbidden(errors, detail);
    }
    for field in fields {
        if !same(new.at(field), old.at(field)) {
            At::root(field).forbidden(errors, detail);
        }
    }
}
