//! Security contexts and namespaces, as CRI takes them.

use minicloud_agent::runtime::{NamespaceMode, Profile, SandboxSpec, SecurityContext};
use minicloud_cri::v1::{
    self, Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext,
    NamespaceOption, SecurityProfile, security_profile::ProfileType,
};

/// What a container may not see, unless it is privileged or asks for `procMount: Unmasked`. Kubernetes' list.
const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// What it may see but not write.
const READ_ONLY: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Identity and rights of the sandbox's own process.
pub(super) fn sandbox(spec: &SandboxSpec) -> LinuxSandboxSecurityContext {
    let security = &spec.security;
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec)),
        run_as_user: security.run_as_user.map(|value| Int64Value { value }),
        // A group without a user is refused; the sandbox's own process then keeps its image's.
        run_as_group: security
            .run_as_user
            .and(security.run_as_group)
            .map(|value| Int64Value { value }),
        readonly_rootfs: security.read_only_root,
        supplemental_groups: security.supplemental_groups.clone(),
        privileged: security.privileged,
        // The pause program needs six system calls, so the engine's own filter is always right for it.
        seccomp: Some(match &security.seccomp {
            Profile::Unset if !security.privileged => known(ProfileType::RuntimeDefault),
            other => profile(other),
        }),
        apparmor: apparmor(&security.apparmor),
        ..Default::default()
    }
}

/// Identity and rights of a container.
pub(super) fn container(
    security: &SecurityContext,
    sandbox: &SandboxSpec,
) -> LinuxContainerSecurityContext {
    let paths = |list: &[&str]| match security.privileged || security.unmasked_proc {
        true => Vec::new(),
        false => list.iter().map(|path| (*path).to_owned()).collect(),
    };
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities(&security.add_capabilities),
            drop_capabilities: capabilities(&security.drop_capabilities),
        }),
        privileged: security.privileged,
        namespace_options: Some(namespaces(sandbox)),
        run_as_user: security.run_as_user.map(|value| Int64Value { value }),
        run_as_group: security.run_as_group.map(|value| Int64Value { value }),
        readonly_rootfs: security.read_only_root,
        supplemental_groups: security.supplemental_groups.clone(),
        no_new_privs: security.no_new_privileges,
        masked_paths: paths(MASKED),
        readonly_paths: paths(READ_ONLY),
        seccomp: Some(profile(&security.seccomp)),
        apparmor: apparmor(&security.apparmor),
        ..Default::default()
    }
}

/// The wire's zero is "the pod's", which for process ids is not Kubernetes' default: so every mode is always said.
fn namespaces(spec: &SandboxSpec) -> NamespaceOption {
    NamespaceOption {
        network: pod_or_node(spec.network),
        pid: match spec.pid {
            NamespaceMode::Pod => v1::NamespaceMode::Pod,
            NamespaceMode::Container => v1::NamespaceMode::Container,
            NamespaceMode::Node => v1::NamespaceMode::Node,
        } as i32,
        ipc: pod_or_node(spec.ipc),
        target_id: String::new(),
    }
}

/// Network and IPC are the pod's or the machine's; a container has none of its own.
fn pod_or_node(mode: NamespaceMode) -> i32 {
    match mode {
        NamespaceMode::Node => v1::NamespaceMode::Node as i32,
        NamespaceMode::Pod | NamespaceMode::Container => v1::NamespaceMode::Pod as i32,
    }
}

/// CRI's names have no `CAP_`; people write either.
fn capabilities(names: &[String]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let name = name.to_ascii_uppercase();
            name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
        })
        .collect()
}

fn known(profile_type: ProfileType) -> SecurityProfile {
    SecurityProfile {
        profile_type: profile_type as i32,
        localhost_ref: String::new(),
    }
}

/// The wire's zero is RuntimeDefault, while Kubernetes' default for seccomp is none.
fn profile(profile: &Profile) -> SecurityProfile {
    match profile {
        Profile::Unset | Profile::Unconfined => known(ProfileType::Unconfined),
        Profile::RuntimeDefault => known(ProfileType::RuntimeDefault),
        Profile::Localhost(name) => SecurityProfile {
            profile_type: ProfileType::Localhost as i32,
            localhost_ref: name.clone(),
        },
    }
}

/// Unset leaves the choice to the engine: its default profile where the machine has AppArmor.
fn apparmor(wanted: &Profile) -> Option<SecurityProfile> {
    match wanted {
        Profile::Unset => None,
        other => Some(profile(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_always_said() {
        let check = |network, pid, ipc| {
            let spec = SandboxSpec {
                network,
                pid,
                ipc,
                ..Default::default()
            };
            let options = namespaces(&spec);
            [options.network, options.pid, options.ipc]
        };
        use NamespaceMode::{Container, Node, Pod};
        const POD: i32 = 0;
        const CONTAINER: i32 = 1;
        const NODE: i32 = 2;
        assert_eq!(check(Pod, Container, Pod), [POD, CONTAINER, POD]);
        assert_eq!(
            check(Container, Container, Container),
            [POD, CONTAINER, POD]
        );
        assert_eq!(check(Pod, Pod, Pod), [POD, POD, POD]);
        assert_eq!(check(Node, Node, Node), [NODE, NODE, NODE]);
    }

    #[test]
    fn paths_are_masked_unless_asked_otherwise() {
        let check = |security: SecurityContext| {
            let context = container(&security, &SandboxSpec::default());
            (context.masked_paths.len(), context.readonly_paths.len())
        };
        assert_eq!(
            check(SecurityContext::default()),
            (MASKED.len(), READ_ONLY.len())
        );
        assert_eq!(
            check(SecurityContext {
                privileged: true,
                ..Default::default()
            }),
            (0, 0)
        );
        assert_eq!(
            check(SecurityContext {
                unmasked_proc: true,
                ..Default::default()
            }),
            (0, 0)
        );
    }

    #[test]
    fn profiles_translate() {
        let seccomp = |p: Profile| {
            let security = SecurityContext {
                seccomp: p,
                ..Default::default()
            };
            let context = container(&security, &SandboxSpec::default());
            let profile = context.seccomp.unwrap();
            (profile.profile_type, profile.localhost_ref)
        };
        assert_eq!(seccomp(Profile::Unset), (1, String::new()));
        assert_eq!(seccomp(Profile::Unconfined), (1, String::new()));
        assert_eq!(seccomp(Profile::RuntimeDefault), (0, String::new()));
        assert_eq!(
            seccomp(Profile::Localhost("/p.json".into())),
            (2, "/p.json".into())
        );
        assert_eq!(apparmor(&Profile::Unset), None);
        assert_eq!(
            apparmor(&Profile::Localhost("x".into()))
                .unwrap()
                .localhost_ref,
            "x"
        );
    }

    #[test]
    fn capabilities_lose_their_prefix() {
        let names = ["NET_ADMIN", "CAP_SYS_TIME", "all", "cap_kill"].map(String::from);
        assert_eq!(
            capabilities(&names),
            ["NET_ADMIN", "SYS_TIME", "ALL", "KILL"]
        );
    }

    #[test]
    fn a_sandbox_takes_no_group_without_a_user() {
        let check = |user, group| {
            let security = SecurityContext {
                run_as_user: user,
                run_as_group: group,
                ..Default::default()
            };
            let context = sandbox(&SandboxSpec {
                security,
                ..Default::default()
            });
            (
                context.run_as_user.map(|v| v.value),
                context.run_as_group.map(|v| v.value),
            )
        };
        assert_eq!(check(None, Some(7)), (None, None));
        assert_eq!(check(Some(5), Some(7)), (Some(5), Some(7)));
    }
}
