//! Requests and limits: Linux resources, quality of service, what a pod asks of the node. Pure; the formulas are the kubelet's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use minicloud_api::quantity::Quantity;

use crate::pod::{self, Role};
use crate::runtime::{QosClass, Resources};

/// Microseconds of the CPU quota's period.
pub const CPU_PERIOD_US: u64 = 100_000;
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;

type List = Option<BTreeMap<String, ApiQuantity>>;

/// A quantity of a resource list; `None` when absent or not a quantity (the API has checked it).
pub fn quantity(list: &List, name: &str) -> Option<Quantity> {
    list.as_ref()?.get(name)?.0.parse().ok()
}

fn limit(container: &Container, name: &str) -> Option<Quantity> {
    container
        .resources
        .as_ref()
        .and_then(|r| quantity(&r.limits, name))
}

/// The request, which a limit stands in for.
fn request(container: &Container, name: &str) -> Option<Quantity> {
    container
        .resources
        .as_ref()
        .and_then(|r| quantity(&r.requests, name))
        .or_else(|| limit(container, name))
}

/// Quality of service, over containers and init containers.
pub fn qos(pod: &Pod) -> QosClass {
    let mut guaranteed = true;
    let mut any = false;
    for (_, container) in pod::containers(pod) {
        for name in ["cpu", "memory"] {
            let (request, limit) = (request(container, name), limit(container, name));
            let nonzero = |q: &Option<Quantity>| q.as_ref().is_some_and(|q| !q.is_zero());
            any |= nonzero(&request) || nonzero(&limit);
            guaranteed &= nonzero(&limit) && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

fn shares(millis: i64) -> u64 {
    (u64::try_from(millis).unwrap_or(0) * 1024 / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

fn quota(millis: i64) -> Option<i64> {
    // The kernel refuses a quota under a millisecond.
    (millis > 0).then(|| (millis * 100_000 / 1000).max(1000))
}

/// Limits of one container. `node_memory_bytes` scales the out-of-memory score.
pub fn container(pod: &Pod, container: &Container, node_memory_bytes: u64) -> Resources {
    let memory = limit(container, "memory")
        .map(|q| q.units())
        .filter(|b| *b > 0);
    Resources {
        cpu_shares: shares(request(container, "cpu").map_or(0, |q| q.millis())),
        cpu_quota_us: limit(container, "cpu").and_then(|q| quota(q.millis())),
        cpu_period_us: CPU_PERIOD_US,
        memory_limit_bytes: memory,
        oom_score_adj: oom_score_adj(pod, container, node_memory_bytes),
    }
}

fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: u64) -> i32 {
    if pod::spec(pod).priority.is_some_and(|p| p >= 2_000_000_000) {
        return -997;
    }
    match qos(pod) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request = request(container, "memory").map_or(0, |q| q.units()).max(0);
            let total = i64::try_from(node_memory_bytes).unwrap_or(i64::MAX).max(1);
            let score = 1000
                - i32::try_from(i128::from(request) * 1000 / i128::from(total)).unwrap_or(1000);
            score.clamp(3, 999)
        }
    }
}

/// Limits of the pod's cgroup: what its containers may use together, unlimited if one of them is.
pub fn pod_cgroup(pod: &Pod) -> Resources {
    let total = |name: &str| {
        needed(pod, |c| {
            limit(c, name).map(|q| if name == "cpu" { q.millis() } else { q.units() })
        })
    };
    let (cpu, memory) = (total("cpu"), total("memory"));
    let requested = requests(pod).get("cpu").copied().unwrap_or(0);
    Resources {
        cpu_shares: shares(requested),
        cpu_quota_us: cpu.and_then(quota),
        cpu_period_us: CPU_PERIOD_US,
        memory_limit_bytes: memory.filter(|b| *b > 0),
        oom_score_adj: 0,
    }
}

/// What running the pod takes at its worst moment: the sum of containers and sidecars, or the largest init container with the
/// sidecars begun before it. `None` when some container says nothing.
fn needed(pod: &Pod, ask: impl Fn(&Container) -> Option<i64>) -> Option<i64> {
    let (mut sidecars, mut main, mut peak) = (0i64, 0i64, 0i64);
    for (role, container) in pod::containers(pod) {
        let amount = ask(container)?;
        match role {
            Role::Init => peak = peak.max(sidecars.saturating_add(amount)),
            Role::Sidecar => {
                sidecars = sidecars.saturating_add(amount);
                peak = peak.max(sidecars);
            }
            Role::Main => main = main.saturating_add(amount),
        }
    }
    Some(peak.max(main.saturating_add(sidecars)))
}

/// What the pod requests of the node: CPU in thousandths, everything else in units; with the overhead of its runtime class.
pub fn requests(pod: &Pod) -> BTreeMap<String, i64> {
    let mut names: Vec<&str> = vec!["cpu", "memory"];
    for (_, container) in pod::containers(pod) {
        let lists = container
            .resources
            .iter()
            .flat_map(|r| [&r.requests, &r.limits]);
        names.extend(lists.flatten().flat_map(|l| l.keys().map(String::as_str)));
    }
    names.sort_unstable();
    names.dedup();
    let amount = |q: &Quantity, name: &str| if name == "cpu" { q.millis() } else { q.units() };
    names
        .into_iter()
        .map(|name| {
            let own = needed(pod, |c| {
                Some(request(c, name).map_or(0, |q| amount(&q, name)))
            })
            .unwrap_or(0);
            let overhead = quantity(&pod::spec(pod).overhead, name).map_or(0, |q| amount(&q, name));
            (name.to_owned(), own.saturating_add(overhead))
        })
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Why a pod does not fit beside others on a node, in the kubelet's words: `(reason, message)`.
pub fn admit(
    pod: &Pod,
    others: &[&Pod],
    allocatable: &BTreeMap<String, i64>,
) -> Result<(), (String, String)> {
    let refuse = |name: &str, requested: i64, used: i64, capacity: i64| {
        let message = format!(
            "Pod was rejected: Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        Err((format!("OutOf{name}"), message))
    };
    let pods = allocatable.get("pods").copied().unwrap_or(i64::MAX);
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if count >= pods {
        return refuse("pods", 1, count, pods);
    }
    for (name, requested) in requests(pod) {
        let used: i64 = others
            .iter()
            .map(|p| requests(p).get(&name).copied().unwrap_or(0))
            .sum();
        let capacity = allocatable.get(&name).copied().unwrap_or(0);
        // Storage on the node's disk is not accounted; the scheduler's view of it is kept.
        if name != "ephemeral-storage" && used.saturating_add(requested) > capacity {
            return refuse(&name, requested, used, capacity);
        }
    }
    Ok(())
}

/// The value of a `resourceFieldRef`, divided and rounded up. Without a limit the node's allocatable stands in.
pub fn field(
    container: &Container,
    resource: &str,
    divisor: Option<&ApiQuantity>,
    allocatable: &BTreeMap<String, i64>,
) -> Option<String> {
    let (kind, name) = resource.split_once('.')?;
    let found = match kind {
        "limits" => limit(container, name),
        "requests" => request(container, name),
        _ => return None,
    };
    let millis = name == "cpu";
    let amount = match &found {
        Some(q) if millis => q.millis(),
        Some(q) => q.units(),
        None if kind == "limits" && matches!(name, "cpu" | "memory" | "ephemeral-storage") => {
            *allocatable.get(name).unwrap_or(&0)
        }
        None => 0,
    };
    let divisor: Option<Quantity> = divisor
        .and_then(|d| d.0.parse().ok())
        .filter(|d: &Quantity| !d.is_zero());
    let unit = match &divisor {
        Some(d) if millis => d.millis(),
        Some(d) => d.units(),
        None if millis => 1000,
        None => 1,
    };
    let unit = unit.max(1);
    Some(((amount + unit - 1) / unit).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "spec": spec}))
            .expect("a pod")
    }

    fn with(resources: serde_json::Value) -> Pod {
        pod(serde_json::json!({"containers": [{"name": "c", "resources": resources}]}))
    }

    #[test]
    fn quality_of_service() {
        use serde_json::json;
        let check = |resources, expect| assert_eq!(qos(&with(resources)), expect);
        check(json!({}), QosClass::BestEffort);
        check(json!({"requests": {"cpu": "0"}}), QosClass::BestEffort);
        check(json!({"requests": {"cpu": "1"}}), QosClass::Burstable);
        check(json!({"limits": {"cpu": "1"}}), QosClass::Burstable);
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
            QosClass::Guaranteed,
        );
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}),
            QosClass::Guaranteed,
        );
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}),
            QosClass::Burstable,
        );
    }

    #[test]
    fn linux_resources() {
        use serde_json::json;
        let check = |resources, expect: (u64, Option<i64>, Option<i64>, i32)| {
            let pod = with(resources);
            let r = container(&pod, &pod::spec(&pod).containers[0], 4 << 30);
            assert_eq!(
                (
                    r.cpu_shares,
                    r.cpu_quota_us,
                    r.memory_limit_bytes,
                    r.oom_score_adj
                ),
                expect
            );
        };
        check(json!({}), (2, None, None, 1000));
        check(
            json!({"requests": {"cpu": "250m", "memory": "1Gi"}}),
            (256, None, None, 750),
        );
        check(
            json!({"limits": {"cpu": "1500m", "memory": "64Mi"}}),
            (1536, Some(150_000), Some(64 << 20), -997),
        );
        check(json!({"limits": {"cpu": "1m"}}), (2, Some(1000), None, 999));
        check(json!({"requests": {"memory": "4Gi"}}), (2, None, None, 3));
    }

    #[test]
    fn sidecars_and_init_containers_count() {
        let cpu = |n: &str, v: &str| serde_json::json!({"name": n, "resources": {"requests": {"cpu": v}}});
        let mut side = cpu("side", "1");
        side["restartPolicy"] = "Always".into();
        let pod = pod(
            serde_json::json!({"initContainers": [cpu("a", "3"), side, cpu("b", "3500m")], "containers": [cpu("m", "2")]}),
        );
        assert_eq!(requests(&pod)["cpu"], 4500);
        assert_eq!(pod_cgroup(&pod).cpu_shares, 4608);
    }

    #[test]
    fn admission() {
        let node: BTreeMap<String, i64> = [
            ("cpu".into(), 2000),
            ("memory".into(), 1 << 30),
            ("pods".into(), 2),
        ]
        .into();
        let one = with(serde_json::json!({"requests": {"cpu": "1500m"}}));
        assert_eq!(admit(&one, &[], &node), Ok(()));
        let (reason, message) = admit(&one, &[&one], &node).expect_err("too much");
        assert_eq!(reason, "OutOfcpu");
        assert_eq!(
            message,
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1500, capacity: 2000"
        );
        let none = with(serde_json::json!({}));
        assert_eq!(
            admit(&none, &[&none, &none], &node)
                .expect_err("too many")
                .0,
            "OutOfpods"
        );
        let gpu = with(serde_json::json!({"limits": {"example.com/gpu": "1"}}));
        assert_eq!(
            admit(&gpu, &[], &node).expect_err("none").0,
            "OutOfexample.com/gpu"
        );
    }

    #[test]
    fn resource_fields() {
        let pod =
            with(serde_json::json!({"requests": {"cpu": "250m"}, "limits": {"memory": "100Mi"}}));
        let node: BTreeMap<String, i64> = [("cpu".into(), 2000), ("memory".into(), 1 << 30)].into();
        let check = |resource, divisor: &str, expect: Option<&str>| {
            let divisor = ApiQuantity(divisor.into());
            assert_eq!(
                field(
                    &pod::spec(&pod).containers[0],
                    resource,
                    Some(&divisor),
                    &node
                )
                .as_deref(),
                expect
            );
        };
        check("requests.cpu", "0", Some("1"));
        check("requests.cpu", "1m", Some("250"));
        check("limits.cpu", "1", Some("2"));
        check("limits.memory", "1Mi", Some("100"));
        check("requests.memory", "1", Some("104857600"));
        check("limits.ephemeral-storage", "1", Some("0"));
        check("bogus", "1", None);
    }
}
