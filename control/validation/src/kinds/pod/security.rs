//! Security contexts of pods and containers, and what an operating system rules out.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use super::super::text::{descending_path, one_of_if_set};
use crate::at::At;
use crate::json::Get;
use crate::seen::Seen;

pub(super) fn check_pod(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let context = spec.at("securityContext");
    if spec.flag("hostPID") && spec.flag("shareProcessNamespace") {
        // Kubernetes' internal type has the field in the security context, and says so.
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        at.child("securityContext")
            .child("shareProcessNamespace")
            .invalid(errors, true, detail);
    }
    if spec.at("hostUsers") == &Value::Bool(false) {
        for (field, shown) in [
            ("hostNetwork", "hostNetwork"),
            ("hostPID", "HostPID"),
            ("hostIPC", "HostIPC"),
        ] {
            if spec.flag(field) {
                at.child(shown)
                    .forbidden(errors, "when `pod.Spec.HostUsers` is false");
            }
        }
    }
    if !context.is_object() {
        return;
    }
    let at = at.child("securityContext");
    ids(
        context,
        &["fsGroup", "runAsUser", "runAsGroup"],
        &at,
        errors,
    );
    let list = at.child("supplementalGroups");
    for (i, group) in context.items("supplementalGroups").iter().enumerate() {
        id(group, &list.index(i), errors);
    }
    sysctls(spec, context, &at.child("sysctls"), errors);
    one_of_if_set(
        context,
        "fsGroupChangePolicy",
        &["Always", "OnRootMismatch"],
        &at,
        errors,
    );
    one_of_if_set(
        context,
        "supplementalGroupsPolicy",
        &["Merge", "Strict"],
        &at,
        errors,
    );
    one_of_if_set(
        context,
        "seLinuxChangePolicy",
        &["MountOption", "Recursive"],
        &at,
        errors,
    );
    profiles(context, &at, errors);
}

pub(super) fn check_container(
    context: &Value,
    host_users: bool,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    ids(context, &["runAsUser", "runAsGroup"], at, errors);
    one_of_if_set(context, "procMount", &["Default", "Unmasked"], at, errors);
    if host_users && context.text("procMount") == "Unmasked" {
        at.child("procMount").invalid(
            errors,
            "Unmasked",
            "`hostUsers` must be false to use `Unmasked`",
        );
    }
    if context.at("allowPrivilegeEscalation") == &Value::Bool(false) {
        if context.flag("privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            at.invalid(errors, context.clone(), detail);
        }
        if context
            .at("capabilities")
            .items("add")
            .iter()
            .any(|c| c == "CAP_SYS_ADMIN")
        {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            at.invalid(errors, context.clone(), detail);
        }
    }
    profiles(context, at, errors);
}

fn ids(context: &Value, fields: &[&str], at: &At<'_>, errors: &mut ErrorList) {
    for field in fields {
        if context.has(field) {
            id(context.at(field), &at.child(field), errors);
        }
    }
}

fn id(value: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let number = value.as_i64().unwrap_or(-1);
    if !(0..=i64::from(i32::MAX)).contains(&number) {
        at.invalid(
            errors,
            number,
            "must be between 0 and 2147483647, inclusive",
        );
    }
}

fn sysctls(spec: &Value, context: &Value, list: &At<'_>, errors: &mut ErrorList) {
    const MAX_BYTES: usize = 253;
    let mut seen = Seen::new();
    for (i, sysctl) in context.items("sysctls").iter().enumerate() {
        let at = list.index(i);
        let at = at.child("name");
        let name = sysctl.text("name");
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let segment = |s: &str| {
            s.bytes().next().is_some_and(edge)
                && s.bytes().next_back().is_some_and(edge)
                && s.bytes().all(|b| edge(b) || matches!(b, b'-' | b'_'))
        };
        if name.is_empty() {
            at.required(errors, "");
        } else if name.len() > MAX_BYTES || !name.split(['.', '/']).all(segment) {
            let detail = format!(
                "must have at most {MAX_BYTES} characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            at.invalid(errors, name, &detail);
        } else if !seen.insert(name) {
            at.duplicate(errors, name);
        }
        let dotted = name.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."]
            .iter()
            .any(|p| dotted.starts_with(p))
            || dotted == "kernel.sem";
        if spec.flag("hostNetwork") && dotted.starts_with("net.") {
            at.invalid(
                errors,
                name,
                "may not be specified when 'hostNetwork' is true",
            );
        } else if spec.flag("hostIPC") && ipc {
            at.invalid(errors, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

/// Seccomp and AppArmor.
fn profiles(context: &Value, at: &At<'_>, errors: &mut ErrorList) {
    const TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
    for (field, word, type_word) in [
        ("seccompProfile", "seccomp", "seccompProfile"),
        ("appArmorProfile", "AppArmor", "appArmorProfile"),
    ] {
        let profile = context.at(field);
        if profile.is_null() {
            continue;
        }
        let at = at.child(field);
        let local = at.child("localhostProfile");
        match profile.text("type") {
            "" => at
                .child("type")
                .required(errors, &format!("type is required when {type_word} is set")),
            "Localhost" => {
                let path = profile.text("localhostProfile");
                if path.trim().is_empty() {
                    local.required(
                        errors,
                        &format!("must be set when {word} type is Localhost"),
                    );
                } else if field == "seccompProfile" {
                    descending_path(path, &local, errors);
                } else if path.trim() != path {
                    local.invalid(errors, path, "must not be padded with whitespace");
                }
            }
            kind => {
                if !TYPES.contains(&kind) {
                    at.child("type").unsupported(errors, kind, &TYPES);
                }
                if profile.has("localhostProfile") {
                    let detail = format!("can only be set when {word} type is Localhost");
                    local.invalid(errors, profile.at("localhostProfile").clone(), &detail);
                }
            }
        }
    }
}

/// `spec.os`: Linux and Windows each have options that the other does not.
pub(super) fn check_os(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if !spec.has("os") {
        return;
    }
    let name = spec.at("os").text("name");
    let at_os = at.child("os");
    match name {
        "" => at_os.child("name").required(errors, "cannot be empty"),
        "linux" => {
            let detail = "windows options cannot be set for a linux pod";
            each_context(spec, at, &mut |context, at| {
                if context.has("windowsOptions") {
                    at.child("windowsOptions").forbidden(errors, detail);
                }
            });
        }
        "windows" => {
            for field in ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] {
                if spec.has(field) && spec.at(field) != &Value::Bool(false) {
                    at.child(field)
                        .forbidden(errors, "cannot be set for a windows pod");
                }
            }
            each_context(spec, at, &mut |context, at| {
                for (field, _) in context.as_object().into_iter().flatten() {
                    if !matches!(field.as_str(), "windowsOptions" | "runAsNonRoot") {
                        at.child(field)
                            .forbidden(errors, "cannot be set for a windows pod");
                    }
                }
            });
        }
        other => at_os.unsupported(errors, other, &["linux", "windows"]),
    }
}

fn each_context(spec: &Value, at: &At<'_>, visit: &mut dyn FnMut(&Value, &At<'_>)) {
    visit(spec.at("securityContext"), &at.child("securityContext"));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let at = at.child(list);
        for (i, container) in spec.items(list).iter().enumerate() {
            visit(
                container.at("securityContext"),
                &at.index(i).child("securityContext"),
            );
        }
    }
}
