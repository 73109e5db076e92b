//! Security contexts in the runtime's terms, and the check of `runAsNonRoot`. Pure.

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod, SeccompProfile};

use crate::pod;
use crate::runtime::{Image, Profile, SecurityContext};

fn seccomp(profile: Option<&SeccompProfile>) -> Profile {
    profile.map_or(Profile::Unset, |p| {
        kind(&p.type_, p.localhost_profile.as_deref())
    })
}

fn apparmor(profile: Option<&AppArmorProfile>) -> Profile {
    profile.map_or(Profile::Unset, |p| {
        kind(&p.type_, p.localhost_profile.as_deref())
    })
}

fn kind(kind: &str, localhost: Option<&str>) -> Profile {
    match kind {
        "RuntimeDefault" => Profile::RuntimeDefault,
        "Unconfined" => Profile::Unconfined,
        "Localhost" => Profile::Localhost(localhost.unwrap_or_default().into()),
        _ => Profile::Unset,
    }
}

/// The pod's own, for its sandbox.
pub fn of_pod(pod: &Pod) -> SecurityContext {
    let Some(own) = pod::spec(pod).security_context.as_ref() else {
        return SecurityContext {
            privileged: any_privileged(pod),
            ..SecurityContext::default()
        };
    };
    SecurityContext {
        run_as_user: own.run_as_user,
        run_as_group: own.run_as_group,
        supplemental_groups: groups(pod),
        privileged: any_privileged(pod),
        seccomp: seccomp(own.seccomp_profile.as_ref()),
        apparmor: apparmor(own.app_armor_profile.as_ref()),
        ..SecurityContext::default()
    }
}

fn any_privileged(pod: &Pod) -> bool {
    pod::containers(pod).any(|(_, c)| {
        c.security_context
            .as_ref()
            .and_then(|s| s.privileged)
            .unwrap_or(false)
    })
}

fn groups(pod: &Pod) -> Vec<i64> {
    let own = pod::spec(pod).security_context.as_ref();
    let mut groups: Vec<i64> = own
        .and_then(|s| s.supplemental_groups.clone())
        .unwrap_or_default();
    groups.extend(own.and_then(|s| s.fs_group));
    groups
}

/// A container's, with the pod's where it says nothing.
pub fn of_container(pod: &Pod, container: &Container) -> SecurityContext {
    let general = pod::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let list = |add: bool| {
        let capabilities = own.and_then(|s| s.capabilities.as_ref());
        let names = capabilities.and_then(|c| if add { c.add.as_ref() } else { c.drop.as_ref() });
        names
            .into_iter()
            .flatten()
            .map(|n| n.strip_prefix("CAP_").unwrap_or(n).to_owned())
            .collect()
    };
    let privileged = own.and_then(|s| s.privileged).unwrap_or(false);
    SecurityContext {
        run_as_user: own
            .and_then(|s| s.run_as_user)
            .or(general.and_then(|s| s.run_as_user)),
        run_as_group: own
            .and_then(|s| s.run_as_group)
            .or(general.and_then(|s| s.run_as_group)),
        supplemental_groups: groups(pod),
        privileged,
        read_only_root: own
            .and_then(|s| s.read_only_root_filesystem)
            .unwrap_or(false),
        no_new_privileges: own.and_then(|s| s.allow_privilege_escalation) == Some(false)
            && !privileged,
        add_capabilities: list(true),
        drop_capabilities: list(false),
        seccomp: seccomp(
            own.and_then(|s| s.seccomp_profile.as_ref())
                .or(general.and_then(|s| s.seccomp_profile.as_ref())),
        ),
        apparmor: apparmor(
            own.and_then(|s| s.app_armor_profile.as_ref())
                .or(general.and_then(|s| s.app_armor_profile.as_ref())),
        ),
        unmasked_proc: own.and_then(|s| s.proc_mount.as_deref()) == Some("Unmasked"),
    }
}

/// Whether `runAsNonRoot` holds with this image. An error is the message of `CreateContainerConfigError`.
pub fn check_non_root(pod: &Pod, container: &Container, image: &Image) -> Result<(), String> {
    let general = pod::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let wanted = own
        .and_then(|s| s.run_as_non_root)
        .or(general.and_then(|s| s.run_as_non_root))
        .unwrap_or(false);
    if !wanted {
        return Ok(());
    }
    let about = format!(
        "(pod: \"{}_{}({})\", container: {})",
        pod::name(pod),
        pod::namespace(pod),
        pod::uid(pod),
        container.name
    );
    match own
        .and_then(|s| s.run_as_user)
        .or(general.and_then(|s| s.run_as_user))
    {
        Some(0) => Err(format!(
            "container's runAsUser breaks non-root policy {about}"
        )),
        Some(_) => Ok(()),
        None if image.uid == Some(0) => Err(format!(
            "container has runAsNonRoot and image will run as root {about}"
        )),
        None if image.uid.is_some() => Ok(()),
        None if !image.username.is_empty() => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {about}",
            image.username
        )),
        None => Err(format!(
            "container has runAsNonRoot and image will run as root {about}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(general: serde_json::Value, own: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"securityContext": general, "containers": [{"name": "c", "securityContext": own}]},
        }))
        .expect("a pod")
    }

    #[test]
    fn the_containers_word_counts_over_the_pods() {
        let pod = pod(
            json!({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4], "seccompProfile": {"type": "RuntimeDefault"}}),
            json!({"runAsUser": 9, "allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["ALL"]}}),
        );
        let found = of_container(&pod, &pod::spec(&pod).containers[0]);
        assert_eq!(
            found,
            SecurityContext {
                run_as_user: Some(9),
                run_as_group: Some(2),
                supplemental_groups: vec![4, 3],
                no_new_privileges: true,
                add_capabilities: vec!["NET_ADMIN".into()],
                drop_capabilities: vec!["ALL".into()],
                seccomp: Profile::RuntimeDefault,
                ..SecurityContext::default()
            }
        );
        assert_eq!(of_pod(&pod).run_as_user, Some(1));
    }

    #[test]
    fn non_root() {
        let check = |general, own, uid: Option<i64>, username: &str, expect: Option<&str>| {
            let pod = pod(general, own);
            let image = Image {
                uid,
                username: username.into(),
                ..Image::default()
            };
            let found = check_non_root(&pod, &pod::spec(&pod).containers[0], &image).err();
            let expect = expect.map(|e| format!("{e} (pod: \"p_n(u)\", container: c)"));
            assert_eq!(found, expect);
        };
        let on = || json!({"runAsNonRoot": true});
        check(json!({}), json!({}), Some(0), "", None);
        check(on(), json!({}), Some(1), "", None);
        check(
            on(),
            json!({}),
            Some(0),
            "",
            Some("container has runAsNonRoot and image will run as root"),
        );
        check(
            on(),
            json!({}),
            None,
            "",
            Some("container has runAsNonRoot and image will run as root"),
        );
        check(
            on(),
            json!({}),
            None,
            "www",
            Some(
                "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root",
            ),
        );
        check(on(), json!({"runAsUser": 5}), Some(0), "", None);
        check(
            on(),
            json!({"runAsUser": 0}),
            Some(1),
            "",
            Some("container's runAsUser breaks non-root policy"),
        );
        check(on(), json!({"runAsNonRoot": false}), Some(0), "", None);
    }
}
