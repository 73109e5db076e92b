//! Limits, as CRI takes them. The runtime converts to cgroup v2 by itself; `unified` is
//! for v2 alone: runc refuses it on v1.

use minicloud_agent::runtime::Resources;
use minicloud_cri::v1::LinuxContainerResources;

/// A container's limits. On v2 the kernel kills the whole container when it runs out of memory, not one process of it, as
/// Kubernetes has had it since 1.28.
pub(super) fn container(resources: &Resources, cgroup_v2: bool) -> LinuxContainerResources {
    let mut limits = linux(resources);
    if cgroup_v2 {
        limits
            .unified
            .insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    limits
}

/// Limits as such.
pub fn linux(resources: &Resources) -> LinuxContainerResources {
    let (cpu_period, cpu_quota) = match resources.cpu_quota_us {
        Some(quota) if quota > 0 => (period(resources), quota),
        _ => (0, 0),
    };
    LinuxContainerResources {
        cpu_period,
        cpu_quota,
        cpu_shares: i64::try_from(resources.cpu_shares).unwrap_or(i64::MAX),
        memory_limit_in_bytes: resources.memory_limit_bytes.unwrap_or(0).max(0),
        oom_score_adj: i64::from(resources.oom_score_adj.clamp(-1000, 1000)),
        ..Default::default()
    }
}

fn period(resources: &Resources) -> i64 {
    match resources.cpu_period_us {
        0 => 100_000,
        period => i64::try_from(period).unwrap_or(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unified_is_for_v2() {
        let unified = |v2| container(&Resources::default(), v2).unified;
        assert!(unified(false).is_empty());
        assert_eq!(unified(true)["memory.oom.group"], "1");
    }

    #[test]
    fn limits_translate() {
        let half = Resources {
            cpu_shares: 512,
            cpu_quota_us: Some(50_000),
            cpu_period_us: 100_000,
            memory_limit_bytes: Some(64 << 20),
            oom_score_adj: 900,
        };
        let expect = LinuxContainerResources {
            cpu_period: 100_000,
            cpu_quota: 50_000,
            cpu_shares: 512,
            memory_limit_in_bytes: 64 << 20,
            oom_score_adj: 900,
            ..Default::default()
        };
        assert_eq!(linux(&half), expect);
        assert_eq!(
            linux(&Resources::default()),
            LinuxContainerResources::default()
        );
        // A period alone says nothing; a quota alone takes Kubernetes' period.
        let period = Resources {
            cpu_period_us: 100_000,
            ..Default::default()
        };
        assert_eq!(linux(&period).cpu_period, 0);
        let quota = Resources {
            cpu_quota_us: Some(1000),
            ..Default::default()
        };
        assert_eq!(linux(&quota).cpu_period, 100_000);
        let wild = Resources {
            oom_score_adj: 5000,
            memory_limit_bytes: Some(-1),
            ..Default::default()
        };
        assert_eq!(
            (
                linux(&wild).oom_score_adj,
                linux(&wild).memory_limit_in_bytes
            ),
            (1000, 0)
        );
    }
}
