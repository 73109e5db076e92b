//! The node's conditions. Pure. Know before changing: pressure is told and nothing is evicted for it; the scheduler keeps new pods away
//! by the taints that the node lifecycle controller derives.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeCondition;

use super::time;
use crate::machine::Free;
use crate::runtime::{RuntimeError, RuntimeStatus};

/// Bytes of free memory below which there is pressure.
const MEMORY_BYTES: u64 = 100 << 20;
/// Part of the disk, of its inodes and of the process ids below which there is pressure.
const DISK: f64 = 0.10;
const INODES: f64 = 0.05;
const PIDS: f64 = 0.10;

/// How long a runtime that answered before may be silent: the pods of a node that is not ready lose their places in Services, and one
/// whose containerd is just being restarted serves on.
const SILENCE: Duration = Duration::from_secs(15);

/// What the runtime last said, for while it is silent.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    answered: Option<(Instant, RuntimeStatus)>,
}

impl Silence {
    /// What is to be told of the runtime when it says `status`, and whether it answers at this moment.
    pub(crate) fn told(
        &mut self,
        status: Result<RuntimeStatus, RuntimeError>,
        now: Instant,
    ) -> (Result<RuntimeStatus, RuntimeError>, bool) {
        match (status, &self.answered) {
            (Ok(said), _) => {
                self.answered = Some((now, said.clone()));
                (Ok(said), true)
            }
            (Err(_), Some((at, said))) if now.saturating_duration_since(*at) < SILENCE => {
                (Ok(said.clone()), false)
            }
            (Err(error), _) => (Err(error), false),
        }
    }
}

/// All conditions as of `now`. A status that stays keeps its transition time.
pub(crate) fn all(
    runtime: &Result<RuntimeStatus, RuntimeError>,
    free: &Free,
    old: &[NodeCondition],
    now: Timestamp,
) -> Vec<NodeCondition> {
    let problem = match runtime {
        Err(error) => Some(format!("container runtime is down: {error}")),
        Ok(status) => match (&status.runtime_problem, &status.network_problem) {
            (Some(why), _) => Some(format!("container runtime status check failed: {why}")),
            (None, Some(why)) => Some(format!("container runtime network not ready: {why}")),
            (None, None) => None,
        },
    };
    let pressure = |kind: &'static str, pressed: bool, yes: (&str, &str), no: (&str, &str)| {
        let (reason, message) = if pressed { yes } else { no };
        (kind, pressed, reason.to_owned(), message.to_owned())
    };
    let said = [
        pressure(
            "MemoryPressure",
            free.memory_bytes < MEMORY_BYTES,
            (
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            ),
            (
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
        ),
        pressure(
            "DiskPressure",
            free.disk < DISK || free.inodes < INODES,
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        pressure(
            "PIDPressure",
            free.pids < PIDS,
            (
                "KubeletHasInsufficientPID",
                "kubelet has insufficient PID available",
            ),
            (
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ),
        ),
        match problem {
            None => (
                "Ready",
                true,
                "KubeletReady".into(),
                "kubelet is posting ready status".into(),
            ),
            Some(why) => ("Ready", false, "KubeletNotReady".into(), why),
        },
    ];
    said.into_iter()
        .map(|(kind, yes, reason, message)| {
            let status = if yes { "True" } else { "False" };
            let since = old
                .iter()
                .find(|c| c.type_ == kind && c.status == status)
                .and_then(|c| c.last_transition_time.clone());
            NodeCondition {
                type_: kind.into(),
                status: status.into(),
                reason: Some(reason),
                message: Some(message),
                last_heartbeat_time: Some(time(now)),
                last_transition_time: Some(since.unwrap_or_else(|| time(now))),
            }
        })
        .collect()
}

/// Whether two sets of conditions say different things, whenever they were said.
pub(crate) fn differ(a: &[NodeCondition], b: &[NodeCondition]) -> bool {
    let said = |list: &[NodeCondition]| {
        let words = list.iter().map(|c| {
            (
                c.type_.clone(),
                c.status.clone(),
                c.reason.clone(),
                c.message.clone(),
            )
        });
        words.collect::<Vec<_>>()
    };
    said(a) != said(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_by_what_is_seen() {
        let well = Free {
            memory_bytes: 1 << 30,
            disk: 0.5,
            inodes: 0.5,
            pids: 0.9,
        };
        let check = |runtime: Result<RuntimeStatus, RuntimeError>, free, expect: &str| {
            let found = all(&runtime, &free, &[], Timestamp::UNIX_EPOCH);
            let text: Vec<String> = found
                .iter()
                .map(|c| format!("{}={}", c.type_, c.status))
                .collect();
            assert_eq!(text.join(" "), expect);
        };
        let ok = || Ok(RuntimeStatus::default());
        check(
            ok(),
            well,
            "MemoryPressure=False DiskPressure=False PIDPressure=False Ready=True",
        );
        check(
            ok(),
            Free {
                memory_bytes: 1 << 20,
                ..well
            },
            "MemoryPressure=True DiskPressure=False PIDPressure=False Ready=True",
        );
        check(
            ok(),
            Free {
                inodes: 0.01,
                ..well
            },
            "MemoryPressure=False DiskPressure=True PIDPressure=False Ready=True",
        );
        check(
            ok(),
            Free { pids: 0.01, ..well },
            "MemoryPressure=False DiskPressure=False PIDPressure=True Ready=True",
        );
        check(
            Err(RuntimeError::Unavailable("x".into())),
            well,
            "MemoryPressure=False DiskPressure=False PIDPressure=False Ready=False",
        );
        let network = Ok(RuntimeStatus {
            network_problem: Some("no pod range".into()),
            ..RuntimeStatus::default()
        });
        let found = all(&network, &well, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(
            found[3].message.as_deref(),
            Some("container runtime network not ready: no pod range")
        );
    }

    #[test]
    fn a_short_silence_of_the_runtime_is_not_told() {
        let start = Instant::now();
        let mut silence = Silence::default();
        let mut check = |second, says: bool, expect: (bool, bool)| {
            let status = match says {
                true => Ok(RuntimeStatus::default()),
                false => Err(RuntimeError::Unavailable("no answer".into())),
            };
            let (told, answers) = silence.told(status, start + Duration::from_secs(second));
            assert_eq!((told.is_ok(), answers), expect, "at {second} s");
        };
        check(0, false, (false, false));
        check(1, true, (true, true));
        check(2, false, (true, false));
        check(15, false, (true, false));
        check(16, false, (false, false));
        check(17, true, (true, true));
        check(31, false, (true, false));
    }

    #[test]
    fn transition_times_stay() {
        let free = Free {
            memory_bytes: 1 << 30,
            disk: 0.5,
            inodes: 0.5,
            pids: 0.9,
        };
        let at = |s| Timestamp::from_second(s).expect("in range");
        let first = all(&Ok(RuntimeStatus::default()), &free, &[], at(100));
        let second = all(&Ok(RuntimeStatus::default()), &free, &first, at(200));
        assert_eq!(
            second[3].last_transition_time,
            first[3].last_transition_time
        );
        assert!(!differ(&first, &second));
        let third = all(
            &Err(RuntimeError::Failed("x".into())),
            &free,
            &second,
            at(300),
        );
        assert_eq!(third[3].last_transition_time, Some(time(at(300))));
        assert!(differ(&second, &third));
    }
}
