//! Containers of all three sorts: regular, init (with sidecars) and ephemeral.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::super::text::{PROTOCOLS, one_of, required};
use super::volumes::Volumes;
use super::{Owner, env, mounts, probes, resources, security};
use crate::at::At;
use crate::json::Get;
use crate::seen::Seen;

/// What containers are checked against.
struct Context<'a> {
    spec: &'a Value,
    owner: Owner<'a>,
    volumes: &'a Volumes<'a>,
    claims: Seen<&'a str>,
}

pub(super) fn check_all(
    spec: &Value,
    owner: Owner<'_>,
    volumes: &Volumes<'_>,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    let claims = spec
        .items("resourceClaims")
        .iter()
        .map(|claim| claim.text("name"))
        .collect();
    let cx = Context {
        spec,
        owner,
        volumes,
        claims,
    };
    regular(&cx, &at.child("containers"), errors);
    init(&cx, &at.child("initContainers"), errors);
    ephemeral(&cx, &at.child("ephemeralContainers"), errors);
}

fn regular(cx: &Context<'_>, list: &At<'_>, errors: &mut ErrorList) {
    let containers = cx.spec.items("containers");
    if containers.is_empty() {
        return list.required(errors, "");
    }
    let mut names = Seen::new();
    let mut host_ports = Seen::new();
    for (i, container) in containers.iter().enumerate() {
        let at = list.index(i);
        common(container, cx, &at, errors);
        unique(container, &mut names, &at, errors);
        probes::check(container, cx.spec, &at, errors);
        // Restart rules of single containers are not served.
        if container.has("restartPolicy") {
            at.child("restartPolicy")
                .forbidden(errors, "may not be set for non-init containers");
        }
        unique_host_ports(container, &mut host_ports, &at, errors);
    }
}

fn init(cx: &Context<'_>, list: &At<'_>, errors: &mut ErrorList) {
    let containers = cx.spec.items("initContainers");
    if containers.is_empty() {
        return;
    }
    let mut names: Seen<&str> = cx
        .spec
        .items("containers")
        .iter()
        .map(|c| c.text("name"))
        .collect();
    for (i, container) in containers.iter().enumerate() {
        let at = list.index(i);
        common(container, cx, &at, errors);
        let policy = container.text("restartPolicy");
        if container.has("restartPolicy") && policy != "Always" {
            at.child("restartPolicy")
                .unsupported(errors, policy, &["Always"]);
        }
        if !container.text("name").is_empty() {
            unique(container, &mut names, &at, errors);
        }
        // Init containers run one by one, so each has the host's ports for itself.
        unique_host_ports(container, &mut Seen::new(), &at, errors);
        if policy == "Always" {
            probes::check(container, cx.spec, &at, errors);
        } else {
            for field in [
                "lifecycle",
                "livenessProbe",
                "readinessProbe",
                "startupProbe",
            ] {
                if container.has(field) {
                    let detail = "may not be set for init containers without restartPolicy=Always";
                    at.child(field).forbidden(errors, detail);
                }
            }
        }
    }
}

fn ephemeral(cx: &Context<'_>, list: &At<'_>, errors: &mut ErrorList) {
    const REFUSED: [&str; 9] = [
        "ports",
        "resources",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "resizePolicy",
        "restartPolicy",
        "restartPolicyRules",
    ];
    let containers = cx.spec.items("ephemeralContainers");
    if containers.is_empty() {
        return;
    }
    let others = || {
        let lists = ["containers", "initContainers"].into_iter();
        lists
            .flat_map(|list| cx.spec.items(list))
            .map(|c| c.text("name"))
    };
    let mut names: Seen<&str> = others().collect();
    let others: Seen<&str> = others().collect();
    for (i, container) in containers.iter().enumerate() {
        let at = list.index(i);
        common(container, cx, &at, errors);
        unique(container, &mut names, &at, errors);
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(&target) {
            at.child("targetContainerName").not_found(errors, target);
        }
        for field in REFUSED {
            let set = match container.at(field) {
                Value::Null => false,
                Value::Object(map) => !map.is_empty(),
                Value::Array(items) => !items.is_empty(),
                _ => true,
            };
            if set {
                at.child(field)
                    .forbidden(errors, "cannot be set for an Ephemeral Container");
            }
        }
        let mounts = at.child("volumeMounts");
        for (j, mount) in container.items("volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.text(field).is_empty() {
                    mounts
                        .index(j)
                        .child(field)
                        .forbidden(errors, "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

fn common(container: &Value, cx: &Context<'_>, at: &At<'_>, errors: &mut ErrorList) {
    let (name, image) = (container.text("name"), container.text("image"));
    if name.is_empty() {
        at.child("name").required(errors, "");
    } else {
        at.child("name")
            .complain(errors, name, names::dns1123_label(name));
    }
    if image.is_empty() {
        at.child("image").required(errors, "");
    } else if cx.owner.is_pod() && image.trim().len() != image.len() {
        at.child("image").invalid(
            errors,
            image,
            "must not have leading or trailing whitespace",
        );
    }
    one_of(
        container,
        "terminationMessagePolicy",
        &["File", "FallbackToLogsOnError"],
        at,
        errors,
    );
    ports(container, &at.child("ports"), errors);
    env::check(container, at, errors);
    mounts::check(container, cx.volumes, at, errors);
    one_of(
        container,
        "imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
        at,
        errors,
    );
    resources::check(
        container.at("resources"),
        &cx.claims,
        &at.child("resources"),
        errors,
    );
    resize_policy(container, cx.spec, &at.child("resizePolicy"), errors);
    if container.has("securityContext") {
        let host_users = cx.spec.at("hostUsers").as_bool().unwrap_or(true);
        security::check_container(
            container.at("securityContext"),
            host_users,
            &at.child("securityContext"),
            errors,
        );
    }
}

fn unique<'a>(
    container: &'a Value,
    names: &mut Seen<&'a str>,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    let name = container.text("name");
    if !names.insert(name) {
        at.child("name").duplicate(errors, name);
    }
}

fn ports(container: &Value, list: &At<'_>, errors: &mut ErrorList) {
    let mut names = Seen::new();
    for (i, port) in container.items("ports").iter().enumerate() {
        let at = list.index(i);
        let name = port.text("name");
        if !name.is_empty() {
            let complaints = names::port_name(name);
            if !complaints.is_empty() {
                at.child("name").complain(errors, name, complaints);
            } else if !names.insert(name) {
                at.child("name").duplicate(errors, name);
            }
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => at.child("containerPort").required(errors, ""),
            number => {
                at.child("containerPort")
                    .complain(errors, number, names::port_number(number))
            }
        }
        if let Some(number) = port.int("hostPort").filter(|n| *n != 0) {
            at.child("hostPort")
                .complain(errors, number, names::port_number(number));
        }
        one_of(port, "protocol", &PROTOCOLS, &at, errors);
    }
}

fn unique_host_ports<'a>(
    container: &'a Value,
    seen: &mut Seen<(&'a str, &'a str, i64)>,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    let list = at.child("ports");
    for (i, port) in container.items("ports").iter().enumerate() {
        let Some(number) = port.int("hostPort").filter(|n| *n != 0) else {
            continue;
        };
        let (protocol, ip) = (port.text("protocol"), port.text("hostIP"));
        if !seen.insert((protocol, ip, number)) {
            let shown = format!("{protocol}/{ip}/{number}");
            list.index(i).child("hostPort").duplicate(errors, shown);
        }
    }
}

fn resize_policy(container: &Value, spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let mut seen = Seen::new();
    for (i, policy) in container.items("resizePolicy").iter().enumerate() {
        let (resource, restart) = (policy.text("resourceName"), policy.text("restartPolicy"));
        if !seen.insert(resource) {
            at.index(i).duplicate(errors, resource);
        }
        for (value, supported) in [
            (resource, ["cpu", "memory"]),
            (restart, ["NotRequired", "RestartContainer"]),
        ] {
            if value.is_empty() {
                at.required(errors, "");
            } else if !supported.contains(&value) {
                at.unsupported(errors, value, &supported);
            }
        }
        if spec.text("restartPolicy") == "Never" && restart != "NotRequired" {
            at.invalid(
                errors,
                restart,
                "must be 'NotRequired' when `restartPolicy` is 'Never'",
            );
        }
    }
}

/// What an update of containers may not do to their list and their images. False if there is no use in looking further.
pub(super) fn check_update(
    new: &[Value],
    old: &[Value],
    list: &At<'_>,
    errors: &mut ErrorList,
) -> bool {
    if new.len() != old.len() {
        list.forbidden(errors, "pod updates may not add or remove containers");
        return false;
    }
    for (i, container) in new.iter().enumerate() {
        required(container, "image", &list.index(i), errors);
    }
    true
}
