//! What follows from the Probes that there are: which are asked, what is written for the exporter and for Prometheus, and what their
//! status says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use minicloud_daemon::{CHECKED_FILE, CheckError, Files, check, get};
use minicloud_prometheus_client::Prometheus;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::follow::{Probes, Stored};
use crate::managed::{CONFIG_FILE, PACKAGE, USER, Wanted, allow_ping};
use crate::modules::{blackbox_yml, ca_file, module_name, targets};
use crate::spec::Spec;
use crate::status::{Answer, Verdict, complaint, results, status};
use crate::{Key, of};

/// Targets of all Probes at most: what is beyond is refused, so that a mistake does not make a flood of requests.
const MAX_TARGETS: usize = 500;
/// Changes that come together are written together.
const SETTLE: Duration = Duration::from_millis(200);
/// How often Prometheus is asked what came of it, while there are Probes: it tells nobody by itself.
const ASK: Duration = Duration::from_secs(15);
/// How soon what could not be checked, and a status that could not be written, is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How many accounts of failures are asked for at a time: each is one more probe.
const ACCOUNTS: usize = 8;
/// How much of an account is read.
const ACCOUNT_BYTES: usize = 256 << 10;
/// How long one may take, beyond what a probe may.
const ACCOUNT: Duration = Duration::from_secs(125);

/// All answers of the site's probes.
const SUCCESS: &str = r#"probe_success{job=~"probe/.+"}"#;

/// The exporter, as a round needs it.
pub struct Asking {
    /// Its program.
    pub program: PathBuf,
    /// Its folder.
    pub dir: PathBuf,
    /// Its port.
    pub port: u16,
    /// How it is talked to.
    pub tls: Arc<ClientConfig>,
    /// Files that are always there.
    pub fixed: Files,
}

/// What was found out about a specification.
type Judged = Result<Spec, (&'static str, String)>;

/// One round after another.
pub struct Rounds {
    asking: Asking,
    client: kube::Client,
    prometheus: Prometheus,
    known: watch::Receiver<Option<Probes>>,
    /// What was judged, by what it was judged of.
    judged: BTreeMap<Key, (Value, Judged)>,
    /// What targets last answered.
    answers: BTreeMap<Key, Vec<Answer>>,
}

impl Rounds {
    pub fn new(
        asking: Asking,
        client: kube::Client,
        prometheus: Prometheus,
        known: watch::Receiver<Option<Probes>>,
    ) -> Self {
        Self {
            asking,
            client,
            prometheus,
            known,
            judged: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Never returns.
    pub async fn run(mut self, wanted: &watch::Sender<Wanted>, file: &watch::Sender<String>) {
        loop {
            let known = self.known.borrow_and_update().clone();
            let mut pause = None;
            if let Some(known) = known {
                let checked = self.judge(&known).await;
                let accepted = self.accepted();
                self.write(&accepted, wanted, file);
                if !accepted.is_empty() {
                    self.ask(&known, &accepted).await;
                    pause = Some(ASK);
                }
                if !(self.report(&known, &accepted).await && checked) {
                    pause = Some(pause.map_or(AGAIN, |pause| pause.min(AGAIN)));
                }
            }
            let rest = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.known.changed() => {
                    if changed.is_err() {
                        // The server is ending.
                        return std::future::pending().await;
                    }
                    tokio::time::sleep(SETTLE).await;
                }
                () = rest => {}
            }
        }
    }

    /// Judges what is new. False when the exporter could not be asked about some.
    async fn judge(&mut self, known: &Probes) -> bool {
        self.judged.retain(|key, _| known.contains_key(key));
        let mut checked = true;
        for (key, probe) in known {
            let before = self.judged.get(key);
            if before.is_some_and(|(spec, _)| *spec == probe.spec) {
                continue;
            }
            let judged = match Spec::read(&probe.spec) {
                Err(errors) => Err(("Invalid", errors.to_string())),
                Ok(spec) => self.checked(key, spec).await,
            };
            if matches!(judged, Err((UNCHECKED, _))) {
                // To be asked about again.
                checked = false;
                self.judged.insert(key.clone(), (Value::Null, judged));
            } else {
                self.judged
                    .insert(key.clone(), (probe.spec.clone(), judged));
            }
        }
        checked
    }

    /// The exporter's own opinion: an expression that it cannot read would cost all others their answers.
    async fn checked(&self, key: &Key, spec: Spec) -> Judged {
        let alone = BTreeMap::from([(key.clone(), spec)]);
        let text = blackbox_yml(&alone, &self.asking.dir);
        let file = format!("--config.file={CHECKED_FILE}");
        let arguments = ["--config.check", &file];
        let said = check(&self.asking.program, &arguments, &text, USER).await;
        match said {
            Ok(()) => alone.into_values().next().ok_or((UNCHECKED, String::new())),
            Err(CheckError::Refused(said)) => Err((
                "Invalid",
                format!("the blackbox exporter refuses it: {}", complaint(&said)),
            )),
            Err(error @ CheckError::Unable { .. }) => Err((
                UNCHECKED,
                format!("{error}; on the server: `apt-get install {PACKAGE}`"),
            )),
        }
    }

    /// Those that are asked.
    fn accepted(&mut self) -> BTreeMap<Key, Spec> {
        let judged = self.judged.iter();
        let good = judged.filter_map(|(key, (_, judged))| Some((key, judged.as_ref().ok()?)));
        let accepted = within(good, MAX_TARGETS);
        self.answers.retain(|key, _| accepted.contains_key(key));
        accepted
    }

    fn write(
        &self,
        accepted: &BTreeMap<Key, Spec>,
        wanted: &watch::Sender<Wanted>,
        file: &watch::Sender<String>,
    ) {
        let new = if accepted.is_empty() {
            Wanted::Nothing
        } else {
            let text = blackbox_yml(accepted, &self.asking.dir);
            let mut files = self.asking.fixed.clone().configuration(CONFIG_FILE, text);
            for (key, spec) in accepted {
                if let Some(ca) = spec.tls().and_then(|tls| tls.ca.as_ref()) {
                    files = files.watched(ca_file(key), ca.clone());
                }
            }
            Wanted::Running(files)
        };
        if accepted.values().any(|spec| spec.icmp.is_some()) {
            allow_ping();
        }
        wanted.send_if_modified(|old| {
            let differs = *old != new;
            *old = new;
            differs
        });
        let new = targets(accepted, self.asking.port);
        file.send_if_modified(|old| {
            let differs = *old != new;
            *old = new;
            differs
        });
    }

    /// Asks Prometheus what came of it. While it does not say, what was known stays.
    async fn ask(&mut self, known: &Probes, accepted: &BTreeMap<Key, Spec>) {
        let samples = match self.prometheus.query(SUCCESS).await {
            Ok(samples) => samples,
            Err(error) => {
                tracing::debug!(%error, "what came of the Probes is not known");
                return;
            }
        };
        let mut answers: BTreeMap<Key, Vec<Answer>> = BTreeMap::new();
        for sample in samples {
            let label = |name: &str| sample.label(name).to_owned();
            let key = (label("namespace"), label("probe"));
            let target = label("target");
            let Some(spec) = accepted.get(&key) else {
                continue;
            };
            // A target that was taken away is told of for some minutes.
            if spec.targets.contains(&target) {
                let success = sample.value() == 1.0;
                let message = String::new();
                answers.entry(key).or_default().push(Answer {
                    target,
                    success,
                    message,
                });
            }
        }
        let mut left = ACCOUNTS;
        for (key, answers) in &mut answers {
            answers.sort_by(|a, b| a.target.cmp(&b.target));
            for answer in answers.iter_mut().filter(|answer| !answer.success) {
                let before = self.message(known, key, &answer.target);
                answer.message = match before {
                    Some(message) => message,
                    None if left > 0 => {
                        left -= 1;
                        self.account(key, &answer.target).await
                    }
                    None => String::new(),
                };
            }
        }
        self.answers = answers;
    }

    /// What was said of a failure that goes on.
    fn message(&self, known: &Probes, key: &Key, target: &str) -> Option<String> {
        let stored = results(&known.get(key)?.status)
            .find(|result| result["target"] == target && result["success"] == json!(false))
            .and_then(|result| result["message"].as_str())
            .map(str::to_owned);
        let ours = || {
            let answer = self.answers.get(key)?.iter();
            let mut answer = answer.filter(|answer| answer.target == target && !answer.success);
            Some(answer.next()?.message.clone())
        };
        stored.or_else(ours).filter(|message| !message.is_empty())
    }

    /// What the exporter says about a failure. It asks once more to know.
    async fn account(&self, key: &Key, target: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = format!(
            "/probe?debug=true&module={}&target={}",
            encode(&module_name(key)),
            encode(target)
        );
        let Asking { port, tls, .. } = &self.asking;
        match get(*port, &path, tls, ACCOUNT_BYTES, ACCOUNT).await {
            Ok(account) if account.contains("Probe succeeded") => {
                "It failed, and succeeded when it was asked once more.".to_owned()
            }
            Ok(account) => complaint(&account),
            Err(error) => {
                tracing::debug!(%error, target, "no account of a probe that failed");
                String::new()
            }
        }
    }

    /// Writes each status that says something new. False when one could not be written.
    async fn report(&self, known: &Probes, accepted: &BTreeMap<Key, Spec>) -> bool {
        let mut written = true;
        for (key, probe) in known {
            let verdict = match self.judged.get(key) {
                None => continue,
                Some((_, Err((reason, message)))) => Verdict::Refused(reason, message.clone()),
                Some((_, Ok(_))) if !accepted.contains_key(key) => Verdict::Refused(
                    "TooMany",
                    format!(
                        "a site asks {MAX_TARGETS} targets at most: take away some that are not needed"
                    ),
                ),
                Some((_, Ok(_))) => Verdict::Accepted,
            };
            let answers = self.answers.get(key).map_or(&[][..], Vec::as_slice);
            let new = status(
                &probe.status,
                probe.generation,
                &verdict,
                answers,
                Timestamp::now(),
            );
            if new != probe.status {
                written &= self.write_status(key, probe, &new).await;
            }
        }
        written
    }

    async fn write_status(&self, (namespace, name): &Key, probe: &Stored, new: &Value) -> bool {
        let patch = Patch::Merge(json!({ "status": new }));
        let probes = of(self.client.clone(), namespace);
        match probes
            .patch_status(name, &PatchParams::default(), &patch)
            .await
        {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            Err(error) => {
                let generation = probe.generation;
                tracing::warn!(%error, namespace, name, generation, "the status of a Probe cannot be written");
                false
            }
        }
    }
}

/// As many of them, in their order, as have `most` targets together.
fn within<'a>(good: impl Iterator<Item = (&'a Key, &'a Spec)>, most: usize) -> BTreeMap<Key, Spec> {
    let mut targets = 0;
    let fits = good.filter(|(_, spec)| {
        let fits = targets + spec.targets.len() <= most;
        targets += if fits { spec.targets.len() } else { 0 };
        fits
    });
    fits.map(|(key, spec)| (key.clone(), spec.clone()))
        .collect()
}

/// The reason of what could not be checked yet.
const UNCHECKED: &str = "NotChecked";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_asks_so_many_targets_and_no_more() {
        let probe = |name: &str, targets: &[&str]| {
            let spec = Spec::read(&json!({ "targets": targets, "icmp": {} }));
            let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
            (("shop".to_owned(), name.to_owned()), spec)
        };
        let all = BTreeMap::from([
            probe("a", &["x", "y"]),
            probe("b", &["x", "y"]),
            probe("c", &["x"]),
        ]);
        let check = |most: usize, expect: &[&str]| {
            let fits = within(all.iter(), most);
            let names: Vec<&str> = fits.keys().map(|(_, name)| name.as_str()).collect();
            assert_eq!(names, expect, "{most}");
        };
        check(5, &["a", "b", "c"]);
        check(4, &["a", "b"]);
        check(3, &["a", "c"]);
        check(0, &[]);
    }
}
