//! Probes: when one is due and what its results mean. Pure; `check` does the asking. Know before changing: results belong to one
//! container *id*, so a restarted container begins anew, and a restarted agent takes over the last reported readiness instead of
//! taking a healthy pod out of its Services.

pub(crate) mod check;
pub(crate) mod grpc;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Holds the others back until it succeeded.
    Startup,
    /// Restarts the container.
    Liveness,
    /// Takes it out of Services.
    Readiness,
}

impl Kind {
    /// As in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }

    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Kind::Startup => container.startup_probe.as_ref(),
            Kind::Liveness => container.liveness_probe.as_ref(),
            Kind::Readiness => container.readiness_probe.as_ref(),
        }
    }

    const ALL: [Kind; 3] = [Kind::Startup, Kind::Liveness, Kind::Readiness];
}

/// A probe that says the container must be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The startup probe.
    Startup,
    /// The liveness probe.
    Liveness,
}

/// State of one container's probes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    startup: State,
    liveness: State,
    readiness: State,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// The result that counts; `None` before there is one.
    result: Option<bool>,
    /// How often the last answer came in a row, and which it was.
    run: (bool, i32),
    last: Option<Timestamp>,
    asking: bool,
}

impl Probes {
    /// State of a container that was found running: what was reported of it still holds.
    pub fn adopted(started: bool, ready: bool) -> Self {
        let known = |yes: bool| State {
            result: yes.then_some(true),
            ..State::default()
        };
        Self {
            startup: known(started),
            liveness: State::default(),
            readiness: known(ready && started),
        }
    }

    /// The startup probe has succeeded. Only asked where there is one.
    pub fn started(&self) -> bool {
        self.startup.result == Some(true)
    }

    /// The last readiness result. Only asked where there is a readiness probe.
    pub fn ready(&self) -> bool {
        self.readiness.result == Some(true)
    }

    /// Whether, and by which probe, the container is to be restarted.
    pub fn failed(&self) -> Option<Failed> {
        if self.startup.result == Some(false) {
            Some(Failed::Startup)
        } else if self.liveness.result == Some(false) {
            Some(Failed::Liveness)
        } else {
            None
        }
    }

    fn state(&mut self, kind: Kind) -> &mut State {
        match kind {
            Kind::Startup => &mut self.startup,
            Kind::Liveness => &mut self.liveness,
            Kind::Readiness => &mut self.readiness,
        }
    }

    /// Which probes are due at `now`, and when the next one is. `since` is the container's start; `spread` in 0..1 keeps the
    /// probes of many containers apart after a restart of the agent.
    pub fn due(
        &mut self,
        container: &Container,
        since: Timestamp,
        now: Timestamp,
    ) -> (Vec<Kind>, Option<Timestamp>) {
        let (mut due, mut next) = (Vec::new(), None::<Timestamp>);
        if self.failed().is_some() {
            return (due, next);
        }
        let starting = container.startup_probe.is_some() && !self.started();
        for kind in Kind::ALL {
            let Some(probe) = kind.of(container) else {
                continue;
            };
            let wanted = if starting {
                kind == Kind::Startup
            } else {
                kind != Kind::Startup
            };
            let state = self.state(kind);
            if !wanted || state.asking {
                continue;
            }
            let delay = seconds(probe.initial_delay_seconds, 0);
            let at = match state.last {
                Some(last) => (last + seconds(probe.period_seconds, 10)).max(since + delay),
                None => since + delay,
            };
            // A clock that went back must not stop the probing.
            let far = now + delay.max(seconds(probe.period_seconds, 10));
            let at = at.min(far);
            if at <= now {
                due.push(kind);
            } else {
                next = Some(next.map_or(at, |n| n.min(at)));
            }
        }
        (due, next)
    }

    /// Notes that a probe is being asked.
    pub fn asking(&mut self, kind: Kind, now: Timestamp) {
        let state = self.state(kind);
        state.asking = true;
        state.last = Some(now);
    }

    /// Takes an answer; true if what counts has changed.
    pub fn answer(&mut self, kind: Kind, probe: &Probe, healthy: bool) -> bool {
        let before = (self.started(), self.ready(), self.failed());
        let state = self.state(kind);
        state.asking = false;
        state.run = if state.run.0 == healthy {
            (healthy, state.run.1.saturating_add(1))
        } else {
            (healthy, 1)
        };
        let threshold = if healthy {
            probe.success_threshold.unwrap_or(1)
        } else {
            probe.failure_threshold.unwrap_or(3)
        };
        if state.run.1 >= threshold.max(1) {
            state.result = Some(healthy);
        }
        before != (self.started(), self.ready(), self.failed())
    }

    /// Gives a probe back that got no answer (the container went away while it was asked).
    pub fn dropped(&mut self, kind: Kind) {
        self.state(kind).asking = false;
    }
}

/// Seconds of a probe's field, or its default.
pub fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    fn container(probes: serde_json::Value) -> Container {
        let mut value = probes;
        value["name"] = "c".into();
        serde_json::from_value(value).expect("a container")
    }

    /// Runs the probes for `seconds` with `answers(kind, second)`; says what counts after each change as `second:SRF`.
    fn simulate(
        container: &Container,
        seconds: i64,
        answers: impl Fn(Kind, i64) -> bool,
    ) -> String {
        let (mut probes, mut log) = (Probes::default(), Vec::new());
        let mut now = 0;
        while now <= seconds {
            let (due, _) = probes.due(container, at(0), at(now));
            for kind in due {
                probes.asking(kind, at(now));
                if probes.answer(
                    kind,
                    kind.of(container).expect("has it"),
                    answers(kind, now),
                ) {
                    let flag = |yes, c| if yes { c } else { '-' };
                    let failed = match probes.failed() {
                        Some(Failed::Startup) => 's',
                        Some(Failed::Liveness) => 'l',
                        None => '-',
                    };
                    log.push(format!(
                        "{now}:{}{}{failed}",
                        flag(probes.started(), 'S'),
                        flag(probes.ready(), 'R')
                    ));
                }
            }
            match probes.due(container, at(0), at(now)) {
                (due, _) if !due.is_empty() => now += 1,
                (_, Some(at)) => now = (at.as_second() - 1_000_000).max(now + 1),
                (_, None) => break,
            }
        }
        log.join(" ")
    }

    #[test]
    fn results_follow_thresholds() {
        use serde_json::json;
        let probe = json!({"periodSeconds": 5, "failureThreshold": 3, "successThreshold": 2});
        let ready = container(json!({"readinessProbe": probe}));
        assert_eq!(simulate(&ready, 60, |_, t| t >= 10), "15:-R-");
        assert_eq!(simulate(&ready, 60, |_, t| t < 20), "5:-R- 30:---");
        assert_eq!(
            simulate(&ready, 60, |_, t| !(20..=25).contains(&t)),
            "5:-R-",
            "two failures are not three"
        );
        let live =
            container(json!({"livenessProbe": {"initialDelaySeconds": 7, "periodSeconds": 10}}));
        assert_eq!(simulate(&live, 100, |_, _| false), "27:--l");
        assert_eq!(simulate(&live, 100, |_, t| t % 20 == 7), "");
    }

    #[test]
    fn startup_holds_the_others_back() {
        use serde_json::json;
        let all = container(json!({
            "startupProbe": {"periodSeconds": 1, "failureThreshold": 30},
            "livenessProbe": {"periodSeconds": 10, "failureThreshold": 1},
            "readinessProbe": {"periodSeconds": 10},
        }));
        assert_eq!(
            simulate(&all, 60, |k, t| k != Kind::Startup || t >= 20),
            "20:S-- 21:SR-"
        );
        assert_eq!(simulate(&all, 60, |k, _| k == Kind::Liveness), "29:--s");
        assert_eq!(simulate(&all, 60, |k, _| k == Kind::Startup), "0:S-- 1:S-l");
    }

    #[test]
    fn adoption_keeps_what_was_known() {
        let probes = Probes::adopted(true, true);
        assert!(probes.started() && probes.ready() && probes.failed().is_none());
        assert!(!Probes::adopted(false, true).ready());
    }

    #[test]
    fn a_question_is_asked_once_at_a_time() {
        let live = container(serde_json::json!({"livenessProbe": {"periodSeconds": 1}}));
        let mut probes = Probes::default();
        assert_eq!(probes.due(&live, at(0), at(0)).0, [Kind::Liveness]);
        probes.asking(Kind::Liveness, at(0));
        assert_eq!(probes.due(&live, at(0), at(100)), (vec![], None));
        probes.dropped(Kind::Liveness);
        assert_eq!(probes.due(&live, at(0), at(100)).0, [Kind::Liveness]);
        assert_eq!(
            probes.due(&live, at(0), at(-1000)).1,
            Some(at(-999)),
            "the clock went back"
        );
    }
}
