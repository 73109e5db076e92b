//! Deployments and ReplicaSets against an API server in memory, with caches that lag, writes that fail and answers that are
//! lost, from a seed. What must hold at every step: no set has more pods than it was ever asked for, and during a rolling
//! update no more are asked for than the strategy allows. When the trouble ends, the rollout is complete. Availability is not
//! checked: a status that lags can make a ready pod of one old set go in place of an unready one of another, in Kubernetes too.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::{from_value, json};

use crate::deployment::model::size;
use crate::deployment::rollout::{Action, decide as decide_rollout};
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{controller, is_active, is_deleting, is_finished, is_ready, uid};
use crate::replicaset::expectations::Expectations;
use crate::replicaset::{decide as decide_pods, new_pod, status};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).ok().filter(|n| *n > 0)?;
        all.get(usize::try_from(self.roll(count)).ok()?)
    }
}

/// What a watch tells.
#[derive(Clone)]
enum Event {
    Set(ReplicaSet),
    Pod(Pod),
    PodGone(Pod),
}

/// The state as one controller sees it: the log up to some point.
#[derive(Default)]
struct Cache {
    at: usize,
    sets: BTreeMap<String, ReplicaSet>,
    pods: BTreeMap<String, Arc<Pod>>,
}

struct World {
    deployment: Deployment,
    sets: BTreeMap<String, ReplicaSet>,
    pods: BTreeMap<String, Pod>,
    log: Vec<Event>,
    deployment_view: Cache,
    set_view: Cache,
    expected: Expectations,
    /// The version of each set that the deployment controller wrote last.
    written: BTreeMap<String, u64>,
    /// The largest size that each set has ever had.
    peaks: BTreeMap<String, usize>,
    version: u64,
    now: Timestamp,
    dice: Dice,
    /// In how many of a hundred writes something goes wrong.
    trouble: u64,
}

fn key(set: &ReplicaSet) -> Key {
    Key::of(set)
}

impl World {
    fn new(seed: u64, replicas: i32, surge: i32, unavailable: i32) -> Self {
        let deployment = from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "d", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
                "revisionHistoryLimit": 2,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "0"}]}}}
        }));
        Self {
            deployment: deployment.unwrap(),
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            log: Vec::new(),
            deployment_view: Cache::default(),
            set_view: Cache::default(),
            expected: Expectations::default(),
            written: BTreeMap::new(),
            peaks: BTreeMap::new(),
            version: 1,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            dice: Dice(seed),
            trouble: 20,
        }
    }

    fn set_image(&mut self, image: u64) {
        let spec = self.deployment.spec.as_mut().unwrap();
        spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.to_string());
        self.deployment.metadata.generation = self.deployment.metadata.generation.map(|g| g + 1);
    }

    /// True when a write does not arrive.
    fn fails(&mut self) -> bool {
        let trouble = self.trouble;
        self.dice.roll(100) < trouble
    }

    fn stamp(&mut self, meta: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) {
        self.version += 1;
        meta.resource_version = Some(self.version.to_string());
    }

    /// Writes a set if it is still the one that was seen.
    fn write_set(&mut self, seen: &ReplicaSet, mut new: ReplicaSet) -> bool {
        let name = seen.name_any();
        let current = self.sets.get(&name).map(|s| s.resource_version());
        if self.fails() || current != Some(seen.resource_version()) {
            return false;
        }
        if seen.spec != new.spec {
            new.metadata.generation = new.metadata.generation.map(|g| g + 1);
        }
        self.stamp(&mut new.metadata);
        let size = usize::try_from(new.spec.as_ref().unwrap().replicas.unwrap()).unwrap();
        let peak = self.peaks.entry(name.clone()).or_default();
        *peak = (*peak).max(size);
        self.sets.insert(name, new.clone());
        self.log.push(Event::Set(new));
        true
    }

    fn sync_deployment(&mut self) {
        let seen = |name: &String| {
            self.deployment_view
                .sets
                .get(name)
                .and_then(|s| s.resource_version()?.parse::<u64>().ok())
        };
        if self
            .written
            .iter()
            .any(|(name, version)| seen(name).unwrap_or(0) < *version)
        {
            return;
        }
        let sets: Vec<_> = self.deployment_view.sets.values().cloned().collect();
        let decision = decide_rollout(&self.deployment, &sets, &HashSet::new(), self.now);
        for action in decision.actions {
            let done = match action {
                Action::Create(set) => self.create_set(*set),
                Action::Update(update) => {
                    let done = self.write_set(&update.old, update.new);
                    if done {
                        self.written.insert(update.old.name_any(), self.version);
                    }
                    done
                }
                Action::Delete(set) => {
                    let old = self
                        .sets
                        .get(&set.name_any())
                        .is_some_and(|s| s.resource_version() == set.resource_version());
                    if old {
                        self.sets.remove(&set.name_any());
                        self.written.remove(&set.name_any());
                        self.deployment_view.sets.remove(&set.name_any());
                        self.set_view.sets.remove(&set.name_any());
                    }
                    old
                }
                Action::Revision(revision) => {
                    self.deployment
                        .annotations_mut()
                        .insert("deployment.kubernetes.io/revision".into(), revision);
                    true
                }
                Action::Tell(_) => true,
            };
            if !done {
                return;
            }
        }
        if !self.fails() {
            self.deployment.status = Some(decision.status);
        }
    }

    fn create_set(&mut self, mut set: ReplicaSet) -> bool {
        if self.fails() || self.sets.contains_key(&set.name_any()) {
            return false;
        }
        set.metadata.uid = Some(format!("set-{}", set.name_any()));
        set.metadata.generation = Some(1);
        set.metadata.creation_timestamp = Some(Time(self.now));
        self.stamp(&mut set.metadata);
        let size = usize::try_from(set.spec.as_ref().unwrap().replicas.unwrap()).unwrap();
        self.peaks.insert(set.name_any(), size);
        self.sets.insert(set.name_any(), set.clone());
        self.log.push(Event::Set(set));
        // The answer may be lost, and then the controller knows nothing of it.
        !self.fails()
    }

    fn sync_set(&mut self, name: &str) {
        let Some(set) = self.set_view.sets.get(name).cloned() else {
            return;
        };
        let of = |pod: &&Arc<Pod>| {
            controller(&pod.metadata).is_some_and(|c| c.uid == uid(&set.metadata))
        };
        let mine: Vec<_> = self.set_view.pods.values().filter(of).cloned().collect();
        let active: Vec<_> = mine.iter().filter(|p| is_active(p)).cloned().collect();
        if self.expected.satisfied(&key(&set), uid(&set.metadata)) {
            let plan = decide_pods(&set, &active, &active, self.now);
            if plan.create > 0 {
                self.expected
                    .creating(&key(&set), uid(&set.metadata), plan.create);
                for _ in 0..plan.create {
                    if self.fails() {
                        self.expected.saw_created(&key(&set));
                    } else {
                        self.create_pod(&set);
                    }
                }
            } else if !plan.delete.is_empty() {
                let uids: Vec<_> = plan
                    .delete
                    .iter()
                    .map(|p| uid(&p.metadata).to_owned())
                    .collect();
                self.expected
                    .deleting(&key(&set), uid(&set.metadata), uids.clone());
                for id in uids {
                    if self.fails() || !self.delete_pod(&id) {
                        self.expected.saw_deleted(&key(&set), &id);
                    }
                }
            }
        }
        let counted = |p: &&Arc<Pod>| !self.expected.is_going(&key(&set), uid(&p.metadata));
        let active: Vec<_> = active.iter().filter(counted).cloned().collect();
        let terminating = mine
            .iter()
            .filter(|p| is_deleting(&p.metadata) && !is_finished(p))
            .count();
        let mut new = set.clone();
        new.status = Some(status(&set, &active, terminating, None, self.now));
        if new.status != set.status {
            self.write_set(&set, new);
        }
    }

    fn create_pod(&mut self, set: &ReplicaSet) {
        let mut pod = new_pod(set).unwrap();
        self.stamp(&mut pod.metadata);
        let name = format!("pod-{}", self.version);
        pod.metadata.name = Some(name.clone());
        pod.metadata.uid = Some(name.clone());
        pod.metadata.creation_timestamp = Some(Time(self.now));
        pod.status.get_or_insert_default().phase = Some("Pending".into());
        self.pods.insert(name, pod.clone());
        self.log.push(Event::Pod(pod));
    }

    fn delete_pod(&mut self, name: &str) -> bool {
        let Some(mut pod) = self.pods.get(name).cloned() else {
            return false;
        };
        if !is_deleting(&pod.metadata) {
            pod.metadata.deletion_timestamp = Some(Time(self.now));
            self.change_pod(pod);
        }
        true
    }

    fn change_pod(&mut self, mut pod: Pod) {
        self.stamp(&mut pod.metadata);
        self.pods.insert(pod.name_any(), pod.clone());
        self.log.push(Event::Pod(pod));
    }

    /// A kubelet does something: ends a pod that is being deleted, or brings one up.
    fn kubelet(&mut self) {
        let names: Vec<String> = self.pods.keys().cloned().collect();
        let Some(mut pod) = self
            .dice
            .pick(&names)
            .and_then(|n| self.pods.get(n))
            .cloned()
        else {
            return;
        };
        if is_deleting(&pod.metadata) {
            self.pods.remove(&pod.name_any());
            self.log.push(Event::PodGone(pod));
        } else if !is_ready(&pod) {
            let now = self.now.to_string();
            let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]});
            pod.status = Some(from_value(ready).unwrap());
            self.change_pod(pod);
        }
    }

    /// The replica set controller's cache and the deployment controller's each catch up a little.
    fn catch_up(&mut self, most: u64) {
        for of_sets in [true, false] {
            let view = if of_sets {
                &mut self.set_view
            } else {
                &mut self.deployment_view
            };
            let upto =
                (view.at + usize::try_from(self.dice.roll(most + 1)).unwrap()).min(self.log.len());
            for event in &self.log[view.at..upto] {
                match event {
                    Event::Set(set) if self.sets.contains_key(&set.name_any()) => {
                        view.sets.insert(set.name_any(), set.clone());
                    }
                    Event::Set(_) => {}
                    Event::Pod(pod) => {
                        let old = view.pods.insert(pod.name_any(), Arc::new(pod.clone()));
                        if of_sets && let Some(owner) = controller(&pod.metadata) {
                            let key = Key::new("ns", &owner.name);
                            if old.is_none() {
                                self.expected.saw_created(&key);
                            }
                            if is_deleting(&pod.metadata) {
                                self.expected.saw_deleted(&key, uid(&pod.metadata));
                            }
                        }
                    }
                    Event::PodGone(pod) => {
                        view.pods.remove(&pod.name_any());
                        if of_sets && let Some(owner) = controller(&pod.metadata) {
                            self.expected
                                .saw_deleted(&Key::new("ns", &owner.name), uid(&pod.metadata));
                        }
                    }
                }
            }
            view.at = upto;
        }
    }

    fn step(&mut self) {
        self.now += SignedDuration::from_millis(200);
        match self.dice.roll(10) {
            0..3 => self.catch_up(4),
            3..5 => self.sync_deployment(),
            5..8 => {
                let names: Vec<String> = self.sets.keys().cloned().collect();
                if let Some(name) = self.dice.pick(&names).cloned() {
                    self.sync_set(&name);
                }
            }
            _ => self.kubelet(),
        }
    }

    /// How many pods count, and how many of them are ready.
    fn counts(&self) -> (usize, usize) {
        let active: Vec<_> = self.pods.values().filter(|p| is_active(p)).collect();
        (active.len(), active.iter().filter(|p| is_ready(p)).count())
    }

    fn check_sets(&self) {
        for set in self.sets.values() {
            let of = |p: &&Pod| {
                is_active(p) && controller(&p.metadata).is_some_and(|c| c.uid == uid(&set.metadata))
            };
            let have = self.pods.values().filter(of).count();
            let peak = self.peaks[&set.name_any()];
            assert!(
                have <= peak,
                "{} has {have} pods and was never larger than {peak}",
                set.name_any()
            );
        }
    }

    /// Runs without trouble until nothing changes any more.
    fn settle(&mut self) {
        self.trouble = 0;
        for _ in 0..400 {
            self.now += SignedDuration::from_secs(1);
            self.catch_up(u64::MAX >> 1);
            let before = self.log.len();
            self.sync_deployment();
            let names: Vec<String> = self.sets.keys().cloned().collect();
            for name in names {
                self.catch_up(u64::MAX >> 1);
                self.sync_set(&name);
            }
            for _ in 0..20 {
                self.kubelet();
            }
            let status = self.deployment.status.clone().unwrap_or_default();
            if self.log.len() == before
                && status.observed_generation == self.deployment.metadata.generation
            {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.deployment.status);
    }
}

#[test]
fn rollouts_converge_and_never_overstep() {
    for seed in 0..120 {
        let mut dice = Dice(seed * 7919);
        let replicas = i32::try_from(1 + dice.roll(8)).unwrap();
        let surge = i32::try_from(dice.roll(4)).unwrap();
        let unavailable = i32::try_from(dice.roll(3)).unwrap();
        let mut world = World::new(seed, replicas, surge, unavailable);
        world.settle();
        let wanted = usize::try_from(replicas).unwrap();
        assert_eq!(world.counts(), (wanted, wanted), "seed {seed}");
        let most = wanted
            + usize::try_from(if surge == 0 && unavailable == 0 {
                0
            } else {
                surge
            })
            .unwrap();
        for round in 1..=3 {
            // Every third is a way back to an old version.
            world.set_image(if round == 3 { 1 } else { round });
            world.trouble = 20;
            for _ in 0..150 {
                world.step();
                world.check_sets();
                let asked: usize = world
                    .sets
                    .values()
                    .map(|s| usize::try_from(size(s)).unwrap())
                    .sum();
                assert!(
                    asked <= most,
                    "seed {seed}: {asked} pods asked for, {most} at most"
                );
            }
        }
        world.settle();
        assert_eq!(world.counts(), (wanted, wanted), "seed {seed}");
        let status = world.deployment.status.clone().unwrap();
        assert_eq!(
            (status.updated_replicas, status.available_replicas),
            (Some(replicas), Some(replicas)),
            "seed {seed}"
        );
        let images: HashSet<_> = world
            .pods
            .values()
            .map(|p| {
                p.spec.as_ref().unwrap().containers[0]
                    .image
                    .clone()
                    .unwrap()
            })
            .collect();
        assert_eq!(images, HashSet::from(["1".to_owned()]), "seed {seed}");
    }
}
