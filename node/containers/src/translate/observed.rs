//! What CRI reports, in the agent's terms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use minicloud_agent::runtime::{
    ContainerState, ContainerStats, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE,
    LABEL_POD_UID, ObservedContainer, ObservedPod, ObservedSandbox, PodStats,
};
use minicloud_cri::v1;

use super::{IMAGE, from_wire};

/// A sandbox, from its status.
pub fn sandbox(status: v1::PodSandboxStatus) -> ObservedSandbox {
    let host_network = status
        .linux
        .and_then(|linux| linux.namespaces)
        .and_then(|namespaces| namespaces.options)
        .is_some_and(|options| options.network == v1::NamespaceMode::Node as i32);
    let ips = match status.network {
        Some(network) if !host_network && !network.ip.is_empty() => std::iter::once(network.ip)
            .chain(network.additional_ips.into_iter().map(|ip| ip.ip))
            .collect(),
        _ => Vec::new(),
    };
    ObservedSandbox {
        id: status.id,
        attempt: status
            .metadata
            .map(|metadata| metadata.attempt)
            .unwrap_or_default(),
        ready: status.state == v1::PodSandboxState::SandboxReady as i32,
        created_at: time(status.created_at),
        ips,
        host_network,
        labels: from_wire(status.labels),
        annotations: from_wire(status.annotations),
    }
}

/// A container, from its status and the sandbox that its list entry names.
pub fn container(status: v1::ContainerStatus, sandbox_id: &str) -> ObservedContainer {
    let metadata = status.metadata.unwrap_or_default();
    let named = status.annotations.get(IMAGE).cloned();
    let state = match v1::ContainerState::try_from(status.state) {
        Ok(v1::ContainerState::ContainerCreated) => ContainerState::Created,
        Ok(v1::ContainerState::ContainerRunning) => ContainerState::Running {
            started_at: time(status.started_at),
        },
        Ok(v1::ContainerState::ContainerExited) => ContainerState::Exited {
            started_at: (status.started_at > 0).then(|| time(status.started_at)),
            finished_at: time(status.finished_at),
            exit_code: status.exit_code,
            reason: status.reason,
            message: status.message,
        },
        Ok(v1::ContainerState::ContainerUnknown) | Err(_) => ContainerState::Unknown,
    };
    ObservedContainer {
        id: status.id,
        sandbox_id: sandbox_id.to_owned(),
        name: metadata.name,
        attempt: metadata.attempt,
        image: named.unwrap_or_else(|| status.image.map(|image| image.image).unwrap_or_default()),
        image_ref: status.image_ref,
        state,
        created_at: time(status.created_at),
        labels: from_wire(status.labels),
        annotations: from_wire(status.annotations),
        log_path: PathBuf::from(status.log_path),
    }
}

/// Puts sandboxes and containers together by the pod's UID; what carries none is not ours and is left out.
pub fn pods(
    sandboxes: Vec<ObservedSandbox>,
    containers: Vec<ObservedContainer>,
) -> Vec<ObservedPod> {
    fn entry<'a>(
        pods: &'a mut BTreeMap<String, ObservedPod>,
        labels: &BTreeMap<String, String>,
    ) -> Option<&'a mut ObservedPod> {
        let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let uid = label(LABEL_POD_UID);
        if uid.is_empty() {
            return None;
        }
        Some(pods.entry(uid.clone()).or_insert_with(|| ObservedPod {
            uid,
            namespace: label(LABEL_POD_NAMESPACE),
            name: label(LABEL_POD_NAME),
            ..Default::default()
        }))
    }
    let mut pods = BTreeMap::new();
    for sandbox in sandboxes {
        if let Some(pod) = entry(&mut pods, &sandbox.labels) {
            pod.sandboxes.push(sandbox);
        }
    }
    for container in containers {
        if let Some(pod) = entry(&mut pods, &container.labels) {
            pod.containers.push(container);
        }
    }
    for pod in pods.values_mut() {
        pod.sandboxes
            .sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at)));
        pod.containers.sort_by(|a, b| {
            (&a.name, b.attempt, b.created_at).cmp(&(&b.name, a.attempt, a.created_at))
        });
    }
    pods.into_values().collect()
}

/// Measurements by pod.
pub fn pod_stats(stats: Vec<v1::ContainerStats>, now: Timestamp) -> Vec<PodStats> {
    let value = |value: Option<v1::UInt64Value>| value.map(|v| v.value);
    let mut pods: BTreeMap<String, PodStats> = BTreeMap::new();
    for stats in stats {
        let attributes = stats.attributes.unwrap_or_default();
        let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
        let uid = label(LABEL_POD_UID);
        if uid.is_empty() {
            continue;
        }
        let pod = pods.entry(uid.clone()).or_insert_with(|| PodStats {
            uid,
            namespace: label(LABEL_POD_NAMESPACE),
            name: label(LABEL_POD_NAME),
            at: now,
            containers: Vec::new(),
        });
        let memory = stats.memory.unwrap_or_default();
        pod.containers.push(ContainerStats {
            name: label(LABEL_CONTAINER_NAME),
            cpu_usage_ns: value(stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds)),
            memory_working_set_bytes: value(memory.working_set_bytes),
            memory_usage_bytes: value(memory.usage_bytes),
            memory_rss_bytes: value(memory.rss_bytes),
            rootfs_used_bytes: value(stats.writable_layer.and_then(|layer| layer.used_bytes)),
            id: attributes.id,
        });
    }
    pods.into_values().collect()
}

fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::translate::{CGROUP, INTERNAL};

    const SECOND: i64 = 1_000_000_000;

    fn labels(uid: &str) -> HashMap<String, String> {
        HashMap::from([
            (LABEL_POD_UID.into(), uid.into()),
            (LABEL_POD_NAME.into(), "web".into()),
            (LABEL_POD_NAMESPACE.into(), "shop".into()),
            (LABEL_CONTAINER_NAME.into(), "app".into()),
        ])
    }

    #[test]
    fn internal_annotations_do_not_come_back() {
        let status = v1::PodSandboxStatus {
            annotations: HashMap::from([("a".into(), "b".into()), (CGROUP.into(), "/c".into())]),
            ..Default::default()
        };
        let seen = sandbox(status);
        assert_eq!(
            seen.annotations,
            BTreeMap::from([("a".to_owned(), "b".to_owned())])
        );
        assert!(CGROUP.starts_with(INTERNAL));
    }

    #[test]
    fn addresses_of_a_sandbox() {
        let check = |network: i32, ip: &str, more: &[&str]| {
            let options = v1::NamespaceOption {
                network,
                ..Default::default()
            };
            let seen = sandbox(v1::PodSandboxStatus {
                network: Some(v1::PodSandboxNetworkStatus {
                    ip: ip.into(),
                    additional_ips: more
                        .iter()
                        .map(|ip| v1::PodIp { ip: (*ip).into() })
                        .collect(),
                }),
                linux: Some(v1::LinuxPodSandboxStatus {
                    namespaces: Some(v1::Namespace {
                        options: Some(options),
                    }),
                }),
                ..Default::default()
            });
            (seen.host_network, seen.ips)
        };
        assert_eq!(
            check(0, "10.42.0.2", &["fd00::2"]),
            (false, vec!["10.42.0.2".into(), "fd00::2".into()])
        );
        assert_eq!(check(0, "", &[]), (false, vec![]));
        assert_eq!(check(2, "", &[]), (true, vec![]));
    }

    #[test]
    fn states_of_a_container() {
        let check = |status: v1::ContainerStatus| container(status, "s").state;
        assert_eq!(
            check(v1::ContainerStatus::default()),
            ContainerState::Created
        );
        let running = v1::ContainerStatus {
            state: 1,
            started_at: SECOND,
            ..Default::default()
        };
        assert_eq!(
            check(running),
            ContainerState::Running {
                started_at: time(SECOND)
            }
        );
        let exited = v1::ContainerStatus {
            state: 2,
            started_at: SECOND,
            finished_at: 2 * SECOND,
            exit_code: 137,
            reason: "OOMKilled".into(),
            ..Default::default()
        };
        let expect = ContainerState::Exited {
            started_at: Some(time(SECOND)),
            finished_at: time(2 * SECOND),
            exit_code: 137,
            reason: "OOMKilled".into(),
            message: String::new(),
        };
        assert_eq!(check(exited.clone()), expect);
        let never = v1::ContainerStatus {
            started_at: 0,
            ..exited
        };
        assert!(matches!(
            check(never),
            ContainerState::Exited {
                started_at: None,
                ..
            }
        ));
        assert_eq!(
            check(v1::ContainerStatus {
                state: 3,
                ..Default::default()
            }),
            ContainerState::Unknown
        );
        assert_eq!(
            check(v1::ContainerStatus {
                state: 99,
                ..Default::default()
            }),
            ContainerState::Unknown
        );
    }

    #[test]
    fn pods_are_put_together_newest_first() {
        let box_of = |uid: &str, id: &str, attempt| ObservedSandbox {
            id: id.into(),
            attempt,
            labels: from_wire(labels(uid)),
            ..Default::default()
        };
        let container_of = |uid: &str, name: &str, attempt| ObservedContainer {
            name: name.into(),
            attempt,
            labels: from_wire(labels(uid)),
            ..Default::default()
        };
        let foreign = ObservedSandbox {
            id: "foreign".into(),
            ..Default::default()
        };
        let seen = pods(
            vec![box_of("u", "old", 0), foreign, box_of("u", "new", 1)],
            vec![
                container_of("u", "app", 0),
                container_of("u", "app", 1),
                container_of("v", "lost", 0),
            ],
        );
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].name.as_str(), seen[0].namespace.as_str()),
            ("web", "shop")
        );
        let ids: Vec<&str> = seen[0].sandboxes.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["new", "old"]);
        let attempts: Vec<u32> = seen[0].containers.iter().map(|c| c.attempt).collect();
        assert_eq!(attempts, [1, 0]);
        // A container whose sandbox is gone still shows its pod.
        assert_eq!((seen[1].uid.as_str(), seen[1].sandboxes.len()), ("v", 0));
    }

    #[test]
    fn statistics_by_pod() {
        let of = |uid: &str, id: &str| v1::ContainerStats {
            attributes: Some(v1::ContainerAttributes {
                id: id.into(),
                labels: labels(uid),
                ..Default::default()
            }),
            cpu: Some(v1::CpuUsage {
                usage_core_nano_seconds: Some(v1::UInt64Value { value: 7 }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let seen = pod_stats(
            vec![of("u", "a"), of("u", "b"), v1::ContainerStats::default()],
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].containers.len(), 2);
        assert_eq!(seen[0].containers[0].cpu_usage_ns, Some(7));
        assert_eq!(seen[0].containers[0].memory_working_set_bytes, None);
    }
}
