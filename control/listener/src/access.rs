//! Who is calling, and may they: TokenReview and SubjectAccessReview, remembered briefly.
//!
//! Decisions live in [`decide`] and are pure; here is the asking. An answer is used for [`FRESH`] at most, so a revoked
//! right ends within seconds; when the Kubernetes API cannot be asked, nobody gets in (503, not 401: the credentials may be
//! good).

pub(crate) mod cache;
pub(crate) mod decide;

use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use minicloud_api::part::Need;
use minicloud_api::problem::Problem;
use minicloud_api::user::UserInfo;

use cache::Cache;

/// How long an answer may be used.
const FRESH: Duration = Duration::from_secs(10);
/// Answers remembered at a time, of each kind.
const MAX_ANSWERS: usize = 4096;
/// How long the Kubernetes API may take to answer a review.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the Kubernetes API.
pub(crate) struct Access {
    client: kube::Client,
    users: Cache<Option<UserInfo>>,
    decisions: Cache<Option<String>>,
}

impl Access {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self {
            client,
            users: Cache::new(FRESH, MAX_ANSWERS),
            decisions: Cache::new(FRESH, MAX_ANSWERS),
        }
    }

    /// The user behind a bearer token.
    pub(crate) async fn token_user(&self, token: &str) -> Result<UserInfo, Problem> {
        let key = cache::key(&[b"token", token.as_bytes()]);
        let known = self.users.get(&key, Instant::now());
        let user = match known {
            Some(user) => user,
            None => {
                let user = self.review_token(token).await?;
                self.users.put(key, user.clone(), Instant::now());
                user
            }
        };
        user.ok_or_else(|| decide::unauthorized("the bearer token is not valid, or no longer"))
    }

    async fn review_token(&self, token: &str) -> Result<Option<UserInfo>, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: None,
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = ask(
            "who you are",
            "tokenreviews",
            api.create(&PostParams::default(), &review),
        )
        .await?;
        Ok(decide::reviewed_user(answer.status.as_ref()))
    }

    /// Passes when `user` has what `need` asks for.
    pub(crate) async fn require(
        &self,
        user: Option<&UserInfo>,
        need: &Need,
    ) -> Result<(), Problem> {
        if *need == Need::Nothing {
            return Ok(());
        }
        let user = user.ok_or_else(|| decide::unauthorized("this path needs credentials"))?;
        let Some(question) = question(need) else {
            return Ok(());
        };
        let who = serde_json::to_vec(user).unwrap_or_default();
        let key = cache::key(&[&who, format!("{need:?}").as_bytes()]);
        let refusal = match self.decisions.get(&key, Instant::now()) {
            Some(refusal) => refusal,
            None => {
                let refusal = self.review_access(user, question).await?;
                self.decisions.put(key, refusal.clone(), Instant::now());
                refusal
            }
        };
        match refusal {
            None => Ok(()),
            Some(reason) => Err(decide::forbidden(user, need, &reason)),
        }
    }

    /// `None` when allowed, else why not (perhaps empty).
    async fn review_access(
        &self,
        user: &UserInfo,
        question: SubjectAccessReviewSpec,
    ) -> Result<Option<String>, Problem> {
        let spec = SubjectAccessReviewSpec {
            user: Some(user.username.clone()),
            uid: some(&user.uid),
            groups: Some(user.groups.clone()),
            extra: (!user.extra.is_empty()).then(|| user.extra.clone().into_iter().collect()),
            ..question
        };
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = ask(
            "whether you may do this",
            "subjectaccessreviews",
            api.create(&PostParams::default(), &review),
        )
        .await?;
        let status = answer.status.unwrap_or_default();
        Ok((!status.allowed || status.denied == Some(true))
            .then(|| status.reason.unwrap_or_default()))
    }
}

/// The question behind a need, still without who asks; none where the caller's name is enough.
fn question(need: &Need) -> Option<SubjectAccessReviewSpec> {
    let mut spec = SubjectAccessReviewSpec::default();
    match need {
        Need::Nothing | Need::Credentials => return None,
        Need::Resource(p) => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: some(p.verb),
                group: some(p.group),
                resource: some(p.resource),
                subresource: some(p.subresource),
                namespace: p.namespace.clone(),
                name: p.name.clone(),
                ..ResourceAttributes::default()
            });
        }
        Need::Path { verb, path } => {
            spec.non_resource_attributes = Some(NonResourceAttributes {
                path: some(path),
                verb: some(verb),
            });
        }
    }
    Some(spec)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Runs a review; what goes wrong with it is the server's trouble, not the caller's.
async fn ask<T>(
    what: &str,
    resource: &str,
    review: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Problem> {
    let problem = |detail: String, hint: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint(hint)
    };
    match tokio::time::timeout(REVIEW_TIMEOUT, review).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            tracing::error!(message = %status.message, resource, "the listener itself may not review access");
            Err(problem(
                format!("the listener may not create {resource}, so it cannot learn {what}"),
                "bind the ClusterRole system:auth-delegator to the listener's own identity",
            ))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, resource, "the Kubernetes API did not answer a review");
            Err(problem(
                format!("the Kubernetes API did not say {what}"),
                "try again in a moment; `kubectl get --raw /readyz` tells whether the Kubernetes API is well",
            ))
        }
        Err(_) => Err(problem(
            format!("the Kubernetes API took too long to say {what}"),
            "try again in a moment; `kubectl get --raw /readyz` tells whether the Kubernetes API is well",
        )),
    }
}
