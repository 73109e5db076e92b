//! What pods ask for and nodes offer, as whole numbers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use minicloud_api::quantity;

type Quantities = BTreeMap<String, Quantity>;

/// What a pod without a request counts for when nodes are scored, as in Kubernetes, so that such pods spread too.
const DEFAULT_CPU_MILLIS: i64 = 100;
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts of the resources that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) ephemeral_bytes: i64,
    /// By name: extended resources, hugepages.
    pub(crate) other: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a map as in `requests` or `allocatable`; `pods` is left out. What cannot be read counts as nothing: the API
    /// server has refused it.
    pub(crate) fn read(map: Option<&Quantities>) -> Self {
        let mut all = Self::default();
        for (name, value) in map.into_iter().flatten() {
            let Ok(value) = value.0.parse::<quantity::Quantity>() else {
                continue;
            };
            match name.as_str() {
                "cpu" => all.cpu_millis = value.millis(),
                "memory" => all.memory_bytes = value.units(),
                "ephemeral-storage" => all.ephemeral_bytes = value.units(),
                "pods" => {}
                _ => {
                    all.other.insert(name.clone(), value.units());
                }
            }
        }
        all
    }

    /// Adds another's amounts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes another's amounts away.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    fn at_least(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, f: fn(i64, i64) -> i64) {
        self.cpu_millis = f(self.cpu_millis, other.cpu_millis);
        self.memory_bytes = f(self.memory_bytes, other.memory_bytes);
        self.ephemeral_bytes = f(self.ephemeral_bytes, other.ephemeral_bytes);
        for (name, amount) in &other.other {
            let mine = self.other.entry(name.clone()).or_default();
            *mine = f(*mine, *amount);
        }
    }

    /// The names of what is asked for beyond what is free, in Kubernetes' order.
    pub(crate) fn lacking(&self, allocatable: &Self, used: &Self) -> Vec<String> {
        let mut lacking = Vec::new();
        let mut check = |name: &str, asked: i64, there: i64, taken: i64| {
            if asked > 0 && asked > there.saturating_sub(taken) {
                lacking.push(name.to_owned());
            }
        };
        check(
            "cpu",
            self.cpu_millis,
            allocatable.cpu_millis,
            used.cpu_millis,
        );
        check(
            "memory",
            self.memory_bytes,
            allocatable.memory_bytes,
            used.memory_bytes,
        );
        check(
            "ephemeral-storage",
            self.ephemeral_bytes,
            allocatable.ephemeral_bytes,
            used.ephemeral_bytes,
        );
        for (name, asked) in &self.other {
            let of = |r: &Self| r.other.get(name).copied().unwrap_or(0);
            check(name, *asked, of(allocatable), of(used));
        }
        lacking
    }

    /// CPU and memory as they count for scoring.
    pub(crate) fn or_default(&self) -> (i64, i64) {
        let or = |n: i64, default: i64| if n == 0 { default } else { n };
        (
            or(self.cpu_millis, DEFAULT_CPU_MILLIS),
            or(self.memory_bytes, DEFAULT_MEMORY_BYTES),
        )
    }
}

/// What the whole pod asks for: all that runs at once, or the hungriest init container beside the sidecars started before
/// it, whichever is more; plus overhead. Requests of the pod as a whole go before those of its containers.
pub(crate) fn of_pod(spec: &PodSpec) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&requests(container));
    }
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let asked = requests(container);
        let mut moment = sidecars.clone();
        moment.add(&asked);
        starting.at_least(&moment);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&asked);
        }
    }
    running.add(&sidecars);
    running.at_least(&starting);
    let whole = Resources::read(spec.resources.as_ref().and_then(requests_of));
    if whole.cpu_millis > 0 {
        running.cpu_millis = whole.cpu_millis;
    }
    if whole.memory_bytes > 0 {
        running.memory_bytes = whole.memory_bytes;
    }
    running.add(&Resources::read(spec.overhead.as_ref()));
    running
}

fn requests_of(resources: &ResourceRequirements) -> Option<&Quantities> {
    resources.requests.as_ref()
}

fn requests(container: &Container) -> Resources {
    Resources::read(container.resources.as_ref().and_then(requests_of))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn a_pod_asks_for_its_hungriest_moment() {
        let check = |spec: Value, cpu_millis: i64, memory_bytes: i64| {
            let got = of_pod(&from_value(spec.clone()).unwrap());
            assert_eq!(
                (got.cpu_millis, got.memory_bytes),
                (cpu_millis, memory_bytes),
                "{spec}"
            );
        };
        let c = |cpu: &str, memory: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}});
        let sidecar = |cpu: &str| json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        check(json!({"containers": []}), 0, 0);
        check(
            json!({"containers": [c("100m", "1Ki"), c("1", "1k")]}),
            1100,
            2024,
        );
        check(
            json!({"containers": [c("1", "1Ki")], "initContainers": [c("3", "512")]}),
            3000,
            1024,
        );
        check(
            json!({"containers": [c("1", "0")], "initContainers": [sidecar("2"), c("3", "0")]}),
            5000,
            0,
        );
        check(
            json!({"containers": [c("4", "0")], "initContainers": [c("3", "0"), sidecar("2")]}),
            6000,
            0,
        );
        check(
            json!({"containers": [c("1", "0")], "overhead": {"cpu": "250m"}}),
            1250,
            0,
        );
        check(
            json!({"containers": [c("1", "1Ki")], "resources": {"requests": {"cpu": "2"}}}),
            2000,
            1024,
        );
    }

    #[test]
    fn what_is_lacking_is_named() {
        let read = |v: Value| Resources::read(Some(&from_value(v).unwrap()));
        let node = read(
            json!({"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi", "gpu": "1", "pods": "110"}),
        );
        let used = read(json!({"cpu": "1500m"}));
        let check =
            |asked: Value, expect: &[&str]| assert_eq!(read(asked).lacking(&node, &used), expect);
        check(json!({"cpu": "500m", "memory": "1Gi", "gpu": "1"}), &[]);
        check(
            json!({"cpu": "501m", "memory": "2Gi", "gpu": "2", "fpga": "1"}),
            &["cpu", "memory", "fpga", "gpu"],
        );
        check(json!({"fpga": "0"}), &[]);
    }
}
