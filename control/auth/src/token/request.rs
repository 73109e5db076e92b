//! TokenRequest (`serviceaccounts/token`): defaulting, validation, binding, answer.

use jiff::Timestamp;
use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::json::field;

use super::{BoundKind, ObjectRef, ServiceAccountTokens, TokenSpec};

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// More audiences than this help nobody and make every request of the token's bearer larger.
const MAX_AUDIENCES: usize = 32;

/// Reads an object from the store: kind, namespace (empty for a Node), name.
pub type GetObject<'a> = &'a dyn Fn(BoundKind, &str, &str) -> Option<Value>;

fn refused(kind: &str, name: &str, error: FieldError) -> ApiStatus {
    let mut errors = ErrorList::new();
    errors.push(error);
    ApiStatus::invalid("authentication.k8s.io", kind, name, &errors)
}

impl ServiceAccountTokens {
    /// Answers a TokenRequest for `account` (the ServiceAccount object): the request with its defaults and its `status`.
    /// Errors are Kubernetes' own.
    pub fn request(
        &self,
        account: &Value,
        request: &Value,
        get: GetObject<'_>,
        now: Timestamp,
    ) -> Result<Value, ApiStatus> {
        let name = meta::name(account);
        let spec = self.spec(account, request, get)?;
        let issued = self.issue(&spec, now).map_err(ApiStatus::internal)?;
        let mut answer_spec = json!({
            "audiences": spec.audiences,
            "expirationSeconds": spec.expiration_seconds,
            "boundObjectRef": null,
        });
        if let Some(bound) = request.pointer("/spec/boundObjectRef") {
            answer_spec["boundObjectRef"] = bound.clone();
        }
        Ok(json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": name,
                "namespace": meta::namespace(account),
                "creationTimestamp": meta::time(now),
            },
            "spec": answer_spec,
            "status": {
                "token": issued.token,
                "expirationTimestamp": meta::time(issued.expires_at),
            },
        }))
    }

    fn spec(
        &self,
        account: &Value,
        request: &Value,
        get: GetObject<'_>,
    ) -> Result<TokenSpec, ApiStatus> {
        let (name, namespace) = (meta::name(account), meta::namespace(account));
        let path = Path::new("spec");
        let asked = request.get("spec").unwrap_or(&Value::Null);
        let expiration_seconds = match asked.get("expirationSeconds") {
            None | Some(Value::Null) => DEFAULT_SECONDS,
            Some(value) => {
                let path = path.child("expirationSeconds");
                let detail = match value.as_i64() {
                    None => "must be an integer",
                    Some(seconds) if seconds < MIN_SECONDS => {
                        "may not specify a duration less than 10 minutes"
                    }
                    Some(seconds) if seconds > MAX_SECONDS => {
                        "may not specify a duration larger than 2^32 seconds"
                    }
                    Some(_) => "",
                };
                if !detail.is_empty() {
                    return Err(refused(
                        "TokenRequest",
                        "",
                        FieldError::invalid(path, value.clone(), detail),
                    ));
                }
                value.as_i64().unwrap_or(DEFAULT_SECONDS)
            }
        };
        let mut audiences: Vec<String> = asked
            .get("audiences")
            .and_then(Value::as_array)
            .map(|list| {
                list.iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect()
            })
            .unwrap_or_default();
        if audiences.len() > MAX_AUDIENCES {
            let error =
                FieldError::too_many(path.child("audiences"), audiences.len(), MAX_AUDIENCES);
            return Err(refused("TokenRequest", "", error));
        }
        if audiences.is_empty() {
            audiences = self.api_audiences().to_vec();
        }
        let mut spec = TokenSpec {
            namespace: namespace.to_owned(),
            service_account: reference(account),
            pod: None,
            secret: None,
            node: None,
            audiences,
            expiration_seconds,
        };
        match asked.get("boundObjectRef") {
            None | Some(Value::Null) => {}
            Some(bound) => bind(&mut spec, name, bound, get)?,
        }
        Ok(spec)
    }
}

fn reference(object: &Value) -> ObjectRef {
    ObjectRef {
        name: meta::name(object).to_owned(),
        uid: meta::uid(object).to_owned(),
    }
}

/// Binds the token to the object that the request names.
fn bind(
    spec: &mut TokenSpec,
    account: &str,
    bound: &Value,
    get: GetObject<'_>,
) -> Result<(), ApiStatus> {
    let text = |name| field(bound, name);
    let (kind, resource) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => (BoundKind::Pod, "pods"),
        ("v1", "Secret") => (BoundKind::Secret, "secrets"),
        ("v1", "Node") => (BoundKind::Node, "nodes"),
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(ApiStatus::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let name = text("name");
    let namespace = if kind == BoundKind::Node {
        ""
    } else {
        spec.namespace.as_str()
    };
    let object =
        get(kind, namespace, name).ok_or_else(|| ApiStatus::not_found("", resource, name))?;
    let uid = text("uid");
    if !uid.is_empty() && uid != meta::uid(&object) {
        return Err(ApiStatus::conflict(
            "",
            resource,
            name,
            &format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. \
                 The object might have been deleted and then recreated"
            ),
        ));
    }
    let found = Some(reference(&object));
    match kind {
        BoundKind::Pod => {
            let pod_spec = object.get("spec").unwrap_or(&Value::Null);
            if field(pod_spec, "serviceAccountName") != account {
                return Err(ApiStatus::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            spec.pod = found;
            let node = field(pod_spec, "nodeName");
            if !node.is_empty() {
                // A node that was never registered has no uid; Kubernetes notes its name all the same.
                let known = get(BoundKind::Node, "", node).map(|object| reference(&object));
                spec.node = Some(known.unwrap_or(ObjectRef {
                    name: node.to_owned(),
                    uid: String::new(),
                }));
            }
        }
        BoundKind::Secret => spec.secret = found,
        BoundKind::Node => spec.node = found,
        BoundKind::ServiceAccount => {}
    }
    Ok(())
}
