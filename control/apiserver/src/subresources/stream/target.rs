//! Where a stream goes: the agent of the pod's node, and the path that the agent knows it under. Pure.

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::path::ResourceRequest;
use crate::query::Query;

/// Address and port of a node's agent.
pub(super) fn endpoint(node: &Value) -> Option<(String, u16)> {
    let addresses = node.pointer("/status/addresses")?.as_array()?;
    let of = |kind: &str| {
        addresses
            .iter()
            .find(|a| a.get("type").and_then(Value::as_str) == Some(kind))
            .and_then(|a| a.get("address")?.as_str())
            .map(str::to_owned)
    };
    let address = of("InternalIP")
        .or_else(|| of("ExternalIP"))
        .or_else(|| of("Hostname"))?;
    let port = node
        .pointer("/status/daemonEndpoints/kubeletEndpoint/Port")
        .and_then(Value::as_u64)
        .and_then(|p| u16::try_from(p).ok())
        .filter(|p| *p > 0)
        .unwrap_or(10250);
    Some((address, port))
}

/// Path and query of the agent's endpoint. Pure.
pub(super) fn of(
    pod: &Value,
    wanted: &ResourceRequest,
    query: &Query,
) -> Result<String, ApiStatus> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut parameters: Vec<String> = Vec::new();
    let mut copy = |from: &str, to: &str| {
        for value in query.all(from) {
            parameters.push(format!("{to}={}", encode(value)));
        }
    };
    let (namespace, name) = (&wanted.namespace, &wanted.name);
    let path = match wanted.subresource.as_str() {
        "log" => {
            for field in [
                "follow",
                "previous",
                "sinceSeconds",
                "sinceTime",
                "timestamps",
                "tailLines",
                "limitBytes",
                "stream",
            ] {
                copy(field, field);
            }
            log_options(name, query)?;
            format!(
                "/containerLogs/{namespace}/{name}/{}",
                container(pod, query)?
            )
        }
        "portforward" => {
            copy("ports", "port");
            format!("/portForward/{namespace}/{name}")
        }
        kind => {
            copy("command", "command");
            for (from, to) in [
                ("stdin", "input"),
                ("stdout", "output"),
                ("stderr", "error"),
                ("tty", "tty"),
            ] {
                if query.flag(from) {
                    parameters.push(format!("{to}=1"));
                }
            }
            format!("/{kind}/{namespace}/{name}/{}", container(pod, query)?)
        }
    };
    Ok(if parameters.is_empty() {
        path
    } else {
        format!("{path}?{}", parameters.join("&"))
    })
}

fn log_options(pod: &str, query: &Query) -> Result<(), ApiStatus> {
    use minicloud_api::field::{FieldError, Path};
    let mut errors = Vec::new();
    for (field, least) in [("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)] {
        if let Some(given) = query.integer(field)?.filter(|v| *v < least) {
            let why = if least == 0 {
                "must be greater than or equal to 0"
            } else {
                "must be greater than 0"
            };
            errors.push(FieldError::invalid(Path::new(field), given, why));
        }
    }
    if query.non_empty("sinceSeconds").is_some() && query.non_empty("sinceTime").is_some() {
        errors.push(FieldError::forbidden(
            Path::root(),
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiStatus::invalid("", "PodLogOptions", pod, &errors.into()))
    }
}

/// The container that is meant: the one named, or the only one. That an annotation names one is for clients to see.
fn container(pod: &Value, query: &Query) -> Result<String, ApiStatus> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod
            .pointer(&format!("/spec/{list}"))
            .and_then(Value::as_array);
        containers
            .into_iter()
            .flatten()
            .filter_map(|c| c.get("name")?.as_str())
            .map(str::to_owned)
            .collect()
    };
    let main = names("containers");
    let init = names("initContainers");
    let name = meta::name(pod);
    if let Some(wanted) = query.non_empty("container") {
        let known = main.iter().chain(&init).any(|c| c == wanted)
            || names("ephemeralContainers").iter().any(|c| c == wanted);
        return if known {
            Ok(wanted.to_owned())
        } else {
            Err(ApiStatus::bad_request(format!(
                "container {wanted} is not valid for pod {name}"
            )))
        };
    }
    match main.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(ApiStatus::bad_request(format!(
            "a container name must be specified for pod {name}"
        ))),
        many => {
            let mut text = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                many.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(
                    " or one of the init containers: [{}]",
                    init.join(" ")
                ));
            }
            Err(ApiStatus::bad_request(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Verb;
    use serde_json::json;

    #[test]
    fn targets() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        let check = |subresource: &str, query: &str, expect: Result<&str, u16>| {
            let wanted = ResourceRequest {
                verb: Verb::Create,
                group: String::new(),
                version: "v1".into(),
                namespace: "n".into(),
                resource: "pods".into(),
                name: "p".into(),
                subresource: subresource.into(),
                rest: String::new(),
            };
            let got = of(&pod, &wanted, &Query::parse(query)).map_err(|e| e.code);
            assert_eq!(
                got.as_deref().map_err(|e| *e),
                expect,
                "{subresource} {query}"
            );
        };
        check(
            "log",
            "container=a&follow=true&tailLines=5",
            Ok("/containerLogs/n/p/a?follow=true&tailLines=5"),
        );
        check("log", "", Err(400));
        check("log", "container=zz", Err(400));
        check("log", "container=a&tailLines=-1", Err(422));
        check(
            "exec",
            "container=b&command=sh&command=-c&command=a%20b&stdin=1&stdout=true&tty=false",
            Ok("/exec/n/p/b?command=sh&command=%2Dc&command=a%20b&input=1&output=1"),
        );
        check("portforward", "ports=80", Ok("/portForward/n/p?port=80"));
        check("portforward", "", Ok("/portForward/n/p"));
    }

    #[test]
    fn endpoints() {
        let node = json!({"status": {"addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1234}}}});
        assert_eq!(endpoint(&node), Some(("10.0.0.1".into(), 1234)));
        assert_eq!(
            endpoint(&json!({"status": {"addresses": [{"type": "Hostname", "address": "h"}]}})),
            Some(("h".into(), 10250))
        );
        assert_eq!(endpoint(&json!({})), None);
    }
}
