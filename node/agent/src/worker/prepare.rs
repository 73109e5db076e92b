//! Makes a pod's volumes ready: objects, claims and tokens from the API server, then the blocking part, then the checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;

use super::{Busy, Done, Worker};
use crate::backoff::elapsed;
use crate::checkpoint::{Checkpoint, strip};
use crate::decide::Volumes;
use crate::objects::Resolved;
use crate::pod;
use crate::shared::{ApiError, Shared, api};
use crate::volumes::{self, Claim};

/// A token is renewed when this part of its life is over.
const RENEW_PERCENT: u32 = 80;
/// Seconds that a token lives when the pod does not say.
const TOKEN_SECONDS: i64 = 3600;
/// When a token that the server did not give is asked for again.
const TOKEN_RETRY: Duration = Duration::from_secs(5);

/// What volumes were made from; environments are made from the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    pub(super) objects: Resolved,
    pub(super) claims: BTreeMap<String, Claim>,
    pub(super) tokens: BTreeMap<(String, String), Token>,
}

/// A service-account token of a volume.
#[derive(Clone)]
pub(super) struct Token {
    value: Vec<u8>,
    renew_at: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("renew_at", &self.renew_at)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Begins to make the volumes, or to bring them up to date.
    pub(super) fn prepare_volumes(&mut self) {
        self.refresh = false;
        let (shared, pod, seed, tokens) = (
            self.shared.clone(),
            self.pod.clone(),
            self.prepared.clone(),
            self.tokens.clone(),
        );
        self.begin(Some(Busy::Volumes), async move {
            Done::Volumes(prepare(&shared, &pod, &seed, tokens).await.map(Box::new))
        });
    }

    /// Brings the volumes up to date if an object, a label or a token asks for it; says when a token will.
    pub(super) fn refresh_volumes(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.memory.volumes != Volumes::Mounted || self.memory.busy.contains(&Busy::Volumes) {
            return None;
        }
        let renew = self.tokens.values().map(|t| t.renew_at).min();
        let due = self.refresh || renew.is_some_and(|at| at <= now);
        match self.memory.volumes_retry.retry_at(now) {
            Some(at) if due => return Some(at),
            None if due => self.prepare_volumes(),
            _ => {}
        }
        renew
    }

    /// Writes the checkpoint if it is wanted. One write at a time: the newest content is the last one written.
    pub(super) fn save(&mut self) {
        if !self.save_wanted || self.saving || self.memory.gone {
            return;
        }
        self.save_wanted = false;
        self.saving = true;
        let checkpoint = self.checkpoint();
        let shared = self.shared.clone();
        self.begin(None, async move {
            save(&shared, checkpoint).await;
            Done::Saved
        });
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut pod = strip(&self.pod);
        let start = self
            .memory
            .start_time
            .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time);
        pod.status.get_or_insert_default().start_time = start;
        Checkpoint {
            pod,
            objects: self.prepared.objects.clone(),
            claims: self.prepared.claims.clone(),
            outcome: self.memory.outcome.clone(),
        }
    }
}

async fn save(shared: &Arc<Shared>, checkpoint: Checkpoint) {
    let shared = shared.clone();
    let done = tokio::task::spawn_blocking(move || shared.checkpoints.save(&checkpoint)).await;
    if let Ok(Err(error)) = done {
        tracing::error!(%error, "a pod's checkpoint cannot be written: it will not come back after a cold start with no server");
    }
}

async fn prepare(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    seed: &Prepared,
    mut tokens: BTreeMap<(String, String), Token>,
) -> Result<Prepared, String> {
    let names = pod::referenced_objects(pod);
    let objects = shared
        .objects
        .resolve(
            pod::namespace(pod),
            &names,
            &seed.objects,
            shared.patience(),
        )
        .await?;
    let mut claims = BTreeMap::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let Some(source) = &volume.persistent_volume_claim else {
            continue;
        };
        let name = &source.claim_name;
        // A bound claim stays bound.
        let claim = match seed.claims.get(name) {
            Some(known) => known.clone(),
            None => claim(shared, pod::namespace(pod), name)
                .await
                .map_err(|why| {
                    format!(
                        "Unable to attach or mount volumes: unmounted volumes=[{}]: {why}",
                        volume.name
                    )
                })?,
        };
        claims.insert(name.clone(), claim);
    }
    renew(shared, pod, &mut tokens).await?;
    let prepared = Prepared {
        objects,
        claims,
        tokens,
    };
    let (inner, for_blocking, own) = (shared.clone(), prepared.clone(), pod.clone());
    let mounted = tokio::task::spawn_blocking(move || {
        let values = for_blocking
            .tokens
            .iter()
            .filter(|(_, t)| !t.value.is_empty());
        let inputs = volumes::Inputs {
            objects: &for_blocking.objects,
            claims: &for_blocking.claims,
            tokens: &values.map(|(k, t)| (k.clone(), t.value.clone())).collect(),
            allocatable: &inner.allocatable,
        };
        volumes::mount_all(&own, &inner.dirs, &inputs)
    });
    mounted
        .await
        .map_err(|e| format!("making the volumes broke off: {e}"))??;
    Ok(prepared)
}

/// Renews the tokens whose time has come.
async fn renew(
    shared: &Shared,
    pod: &Pod,
    tokens: &mut BTreeMap<(String, String), Token>,
) -> Result<(), String> {
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let sources = volume
            .projected
            .iter()
            .flat_map(|p| p.sources.iter().flatten());
        for source in sources.filter_map(|s| s.service_account_token.as_ref()) {
            let key = (volume.name.clone(), source.path.clone());
            let now = Timestamp::now();
            if tokens.get(&key).is_some_and(|t| t.renew_at > now) {
                continue;
            }
            let request = TokenRequest {
                spec: Some(TokenRequestSpec {
                    audiences: Some(
                        source
                            .audience
                            .iter()
                            .filter(|a| !a.is_empty())
                            .cloned()
                            .collect(),
                    ),
                    expiration_seconds: Some(source.expiration_seconds.unwrap_or(TOKEN_SECONDS)),
                    bound_object_ref: Some(BoundObjectReference {
                        api_version: Some("v1".into()),
                        kind: Some("Pod".into()),
                        name: Some(pod::name(pod).into()),
                        uid: Some(pod::uid(pod).into()),
                    }),
                }),
                ..TokenRequest::default()
            };
            let accounts: Api<ServiceAccount> =
                Api::namespaced(shared.client.clone(), pod::namespace(pod));
            let account = pod::spec(pod)
                .service_account_name
                .as_deref()
                .filter(|n| !n.is_empty())
                .unwrap_or("default");
            let params = PostParams::default();
            let call = api(accounts.create_token_request(account, &params, &request));
            match tokio::time::timeout(shared.patience(), call)
                .await
                .unwrap_or(Err(ApiError::Silent("too slow".into())))
            {
                Ok(answer) => {
                    let given = answer
                        .status
                        .and_then(|s| Some((s.token?, s.expiration_timestamp?.0)));
                    let Some((value, expires)) = given else {
                        return Err("the API server gave no token".into());
                    };
                    let renew_at =
                        now + (elapsed(now, expires) * RENEW_PERCENT / 100).max(TOKEN_RETRY);
                    tokens.insert(
                        key,
                        Token {
                            value: value.into_bytes(),
                            renew_at,
                        },
                    );
                }
                Err(ApiError::Refused { message, .. }) if !tokens.contains_key(&key) => {
                    return Err(format!(
                        "MountVolume.SetUp failed for volume \"{}\" : failed to fetch token: {message}",
                        volume.name
                    ));
                }
                // No server: the old token stays; at a cold start the pod begins without one and gets it with the server.
                Err(error) => {
                    tracing::debug!(pod = pod::key(pod), %error, "a service-account token cannot be had now");
                    let token = tokens.entry(key).or_insert(Token {
                        value: Vec::new(),
                        renew_at: now,
                    });
                    token.renew_at = now + TOKEN_RETRY;
                }
            }
        }
    }
    Ok(())
}

/// Where a claim's data is.
async fn claim(shared: &Shared, namespace: &str, name: &str) -> Result<Claim, String> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(shared.client.clone(), namespace);
    let claim = api(claims.get(name))
        .await
        .map_err(|e| format!("persistentvolumeclaim \"{name}\": {e}"))?;
    let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    let volume = claim
        .spec
        .as_ref()
        .and_then(|s| s.volume_name.clone())
        .filter(|v| bound && !v.is_empty());
    let Some(volume) = volume else {
        return Err(format!("persistentvolumeclaim \"{name}\" is not bound yet"));
    };
    let volumes: Api<PersistentVolume> = Api::all(shared.client.clone());
    let volume = api(volumes.get(&volume))
        .await
        .map_err(|e| format!("persistentvolume \"{volume}\": {e}"))?;
    let of = volume.metadata.name.clone().unwrap_or_default();
    let spec = volume.spec.unwrap_or_default();
    if spec.claim_ref.as_ref().and_then(|r| r.uid.as_ref()) != claim.metadata.uid.as_ref() {
        return Err(format!(
            "persistentvolume \"{of}\" is not bound to persistentvolumeclaim \"{namespace}/{name}\""
        ));
    }
    let read_only = spec
        .access_modes
        .as_ref()
        .is_some_and(|m| !m.is_empty() && m.iter().all(|m| m == "ReadOnlyMany"));
    if let Some(source) = spec.host_path {
        let kind = source.type_.unwrap_or_default();
        Ok(Claim {
            path: PathBuf::from(source.path),
            host_path_type: Some(kind),
            read_only,
        })
    } else if let Some(source) = spec.local {
        Ok(Claim {
            path: PathBuf::from(source.path),
            host_path_type: None,
            read_only,
        })
    } else {
        Err(format!(
            "persistentvolume \"{of}\" is of a kind that this node does not support; supported are hostPath and local"
        ))
    }
}
