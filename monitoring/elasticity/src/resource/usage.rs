//! From samples to what is used: the last two samples of a counter give a rate, as in the metrics server. Pure.

use std::collections::BTreeMap;

use minicloud_prometheus_client::{Labels, Point, Sample, Series};

/// What something uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Cores.
    pub(super) cpu: f64,
    /// Bytes that cannot be had back without harm.
    pub(super) memory_bytes: f64,
    /// When the later sample was taken: Unix time in seconds.
    pub(super) time: f64,
    /// From the earlier sample to the later, seconds.
    pub(super) window: f64,
}

/// How a counter grew from its last sample but one to its last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    per_second: f64,
    time: f64,
    window: f64,
}

/// None where there are no two samples, or the counter began anew between them.
fn rate(points: &[Point]) -> Option<Rate> {
    let [.., before, last] = points else {
        return None;
    };
    let window = last.time - before.time;
    let grown = last.value - before.value;
    (window > 0.0 && grown >= 0.0).then(|| Rate {
        per_second: grown / window,
        time: last.time,
        window,
    })
}

/// By container's name; `None` for one that runs and has no rate yet.
pub(super) type Containers = BTreeMap<String, Option<Usage>>;

fn text(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

/// What tells one run of a container, seen by one scraper, from any other. A counter may have a series for each core.
fn run(labels: &Labels) -> Labels {
    let mut run = labels.clone();
    run.remove("__name__");
    run.remove("cpu");
    run
}

/// What containers use, by namespace and name of their pod: `cpu` are samples of `container_cpu_usage_seconds_total`, `memory` the
/// present values of `container_memory_working_set_bytes`, which are there only for what runs.
pub(super) fn pods(cpu: &[Series], memory: &[Sample]) -> BTreeMap<(String, String), Containers> {
    let mut rates: BTreeMap<Labels, Rate> = BTreeMap::new();
    for series in cpu {
        let Some(rate) = rate(&series.points) else {
            continue;
        };
        rates
            .entry(run(&series.labels))
            .and_modify(|sum| sum.per_second += rate.per_second)
            .or_insert(rate);
    }
    let mut pods: BTreeMap<(String, String), Containers> = BTreeMap::new();
    for sample in memory {
        let labels = &sample.labels;
        let usage = rates.get(&run(labels)).map(|rate| Usage {
            cpu: rate.per_second,
            memory_bytes: sample.value(),
            time: rate.time,
            window: rate.window,
        });
        let pod = (text(labels, "namespace"), text(labels, "pod"));
        let known = pods
            .entry(pod)
            .or_default()
            .entry(text(labels, "container"))
            .or_default();
        // Of two runs of a container the later one counts.
        let newer = match (&usage, &known) {
            (Some(new), Some(old)) => new.time > old.time,
            (new, _) => new.is_some(),
        };
        if newer {
            *known = usage;
        }
    }
    pods
}

/// What nodes use: `idle` are samples of `node_cpu_seconds_total` of the modes in which a core does nothing, `memory` is what is
/// used of it.
pub(super) fn nodes(idle: &[Series], memory: &[Sample]) -> BTreeMap<String, Usage> {
    // By node and core.
    let mut cores: BTreeMap<(String, String), Rate> = BTreeMap::new();
    for series in idle {
        let Some(rate) = rate(&series.points) else {
            continue;
        };
        let core = (text(&series.labels, "node"), text(&series.labels, "cpu"));
        cores
            .entry(core)
            .and_modify(|sum| sum.per_second += rate.per_second)
            .or_insert(rate);
    }
    let mut busy: BTreeMap<String, Rate> = BTreeMap::new();
    for ((node, _), idle) in cores {
        let used = (1.0 - idle.per_second).max(0.0);
        busy.entry(node)
            .and_modify(|sum| sum.per_second += used)
            .or_insert(Rate {
                per_second: used,
                ..idle
            });
    }
    let each = memory.iter().filter_map(|sample| {
        let node = text(&sample.labels, "node");
        let rate = busy.get(&node)?;
        let usage = Usage {
            cpu: rate.per_second,
            memory_bytes: sample.value(),
            time: rate.time,
            window: rate.window,
        };
        Some((node, usage))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn series(of: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(time, value)| Point {
            time: *time,
            value: *value,
        });
        Series {
            labels: labels(of),
            points: points.collect(),
        }
    }

    fn sample(of: &str, value: f64) -> Sample {
        Sample {
            labels: labels(of),
            point: Point { time: 99.0, value },
        }
    }

    #[test]
    fn rates_are_of_the_last_two_samples() {
        let check = |points: &[(f64, f64)], expect: Option<(f64, f64, f64)>| {
            let got = rate(&series("", points).points);
            assert_eq!(
                got.map(|r| (r.per_second, r.time, r.window)),
                expect,
                "{points:?}"
            );
        };
        check(&[], None);
        check(&[(1.0, 1.0)], None);
        check(
            &[(0.0, 100.0), (10.0, 1.0), (25.0, 16.0)],
            Some((1.0, 25.0, 15.0)),
        );
        // Begun anew: nobody knows how much it was before.
        check(&[(10.0, 9.0), (25.0, 1.0)], None);
        check(&[(10.0, 1.0), (10.0, 2.0)], None);
        check(&[(10.0, f64::NAN), (20.0, 2.0)], None);
    }

    #[test]
    fn containers_of_pods() {
        let web = "namespace=a pod=web container=php id=/1";
        let cpu = [
            series(
                &format!("__name__=c cpu=cpu00 {web}"),
                &[(0.0, 0.0), (10.0, 2.5)],
            ),
            series(
                &format!("__name__=c cpu=cpu01 {web}"),
                &[(0.0, 0.0), (10.0, 5.0)],
            ),
            // A run that has ended: it has a rate still, but no memory.
            series(
                "namespace=a pod=web container=php id=/0",
                &[(0.0, 0.0), (9.0, 9.0)],
            ),
            series(
                "namespace=a pod=gone container=x id=/9",
                &[(0.0, 0.0), (9.0, 9.0)],
            ),
            series("namespace=a pod=new container=x id=/2", &[(9.0, 0.0)]),
        ];
        let memory = [
            sample(&format!("__name__=m {web}"), 4096.0),
            sample("namespace=a pod=new container=x id=/2", 1.0),
        ];
        let pods = pods(&cpu, &memory);
        let usage = Usage {
            cpu: 0.75,
            memory_bytes: 4096.0,
            time: 10.0,
            window: 10.0,
        };
        let key = |pod: &str| ("a".to_owned(), pod.to_owned());
        assert_eq!(
            pods[&key("web")],
            BTreeMap::from([("php".to_owned(), Some(usage))])
        );
        assert_eq!(pods[&key("new")], BTreeMap::from([("x".to_owned(), None)]));
        assert_eq!(pods.len(), 2);
        // The run that a scrape saw last counts, in whatever order they come.
        let runs = ["0", "1"].map(|id| format!("namespace=a pod=p container=c id=/{id}"));
        let cpu = [
            series(&runs[0], &[(0.0, 0.0), (9.0, 9.0)]),
            series(&runs[1], &[(5.0, 0.0), (15.0, 1.0)]),
        ];
        for order in [[0, 1], [1, 0]] {
            let memory = order.map(|i| sample(&runs[i], i as f64));
            let seen = super::pods(&cpu, &memory)[&key("p")]["c"].unwrap();
            assert_eq!((seen.cpu, seen.memory_bytes), (0.1, 1.0));
        }
    }

    #[test]
    fn nodes_use_what_is_not_idle() {
        let at = |cpu: &str, mode: &str, grown: f64| {
            series(
                &format!("node=n cpu={cpu} mode={mode}"),
                &[(0.0, 100.0), (10.0, 100.0 + grown)],
            )
        };
        let idle = [
            at("0", "idle", 5.0),
            at("0", "iowait", 1.0),
            at("1", "idle", 10.1),
            at("1", "iowait", 0.0),
        ];
        let memory = [
            sample("node=n instance=i", 7.0),
            sample("node=unknown", 1.0),
        ];
        let nodes = nodes(&idle, &memory);
        assert_eq!(nodes.len(), 1);
        let usage = nodes["n"];
        // A clock that is a little off makes no core less than idle.
        assert!((usage.cpu - 0.4).abs() < 1e-9, "{usage:?}");
        assert_eq!(
            (usage.memory_bytes, usage.time, usage.window),
            (7.0, 10.0, 10.0)
        );
    }
}
