//! `/containerLogs`: a container's log, from its files.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::sync::mpsc;

use super::{Refusal, Where, find_pod, query, truth};
use crate::logs::read::{Alive, Options, stream};
use crate::pod;
use crate::runtime::{ContainerState, PodChange};
use crate::shared::Shared;

/// Chunks between the reader and a slow client.
const CHUNKS: usize = 4;

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    path: Where,
    request: Request,
) -> Result<Response, Refusal> {
    let pod = find_pod(&shared, &path.0)?;
    let name = path
        .0
        .get("container")
        .map(String::as_str)
        .unwrap_or_default();
    if pod::container(&pod, name).is_none() {
        return Err(Refusal::not_found(format!(
            "container {name:?} not found in pod {:?}",
            pod::name(&pod)
        )));
    }
    let params = query(&request);
    let (options, previous) = options(&params)?;
    let uid = pod::uid(&pod).to_owned();
    let observed = shared.runtime.pod(&uid).await?.unwrap_or_default();
    let mut runs: Vec<_> = observed
        .containers
        .iter()
        .filter(|c| c.name == name && c.state != ContainerState::Created)
        .collect();
    runs.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
    let chosen = if previous {
        // The previous run is the last that ended: the one before, or this one while it waits to be restarted. One that is reported
        // as ended for good is the present one.
        let final_end = pod::container_statuses(pod::status(&pod))
            .any(|s| s.name == name && s.state.as_ref().is_some_and(|s| s.terminated.is_some()));
        let ended = |c: &&&crate::runtime::ObservedContainer| {
            !final_end && matches!(c.state, ContainerState::Exited { .. })
        };
        let waiting = runs.first().filter(ended).filter(|_| runs.len() == 1);
        runs.get(1).or(waiting).ok_or_else(|| {
            Refusal::bad_request(format!(
                "previous terminated container {name:?} in pod {:?} not found",
                pod::name(&pod)
            ))
        })?
    } else {
        runs.first().ok_or_else(|| {
            let waiting = pod::container_statuses(pod::status(&pod))
                .find(|s| s.name == name)
                .and_then(|s| s.state.as_ref()?.waiting.as_ref()?.reason.clone());
            let reason = waiting.unwrap_or_else(|| "ContainerCreating".into());
            Refusal::bad_request(format!(
                "container {name:?} in pod {:?} is waiting to start: {reason}",
                pod::name(&pod)
            ))
        })?
    };
    let (sender, mut receiver) = mpsc::channel::<Bytes>(CHUNKS);
    let alive = alive(shared.clone(), uid, chosen.id.clone());
    let log = chosen.log_path.clone();
    tokio::spawn(async move {
        if let Err(error) = stream(&log, options, alive, &sender).await {
            let text = format!("failed to read the log {}: {error}\n", log.display());
            let _ = sender.send(text.into()).await;
        }
    });
    let body = futures::stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|chunk| chunk.map(Ok::<_, std::convert::Infallible>))
    });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(
        "content-type",
        axum::http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    Ok(response)
}

/// Whether the container still runs, asked again only when the runtime has noticed a change.
fn alive(shared: Arc<Shared>, uid: String, id: String) -> Alive {
    let mut changes = shared.runtime.changes();
    let (sender, receiver) = tokio::sync::watch::channel(true);
    tokio::spawn(async move {
        loop {
            let up = match shared.runtime.pod(&uid).await {
                Ok(pod) => pod.is_some_and(|p| {
                    p.containers.iter().any(|c| {
                        c.id == id
                            && matches!(
                                c.state,
                                ContainerState::Running { .. } | ContainerState::Created
                            )
                    })
                }),
                // A runtime that is away says nothing about the container.
                Err(_) => true,
            };
            if !up {
                sender.send_replace(false);
                return;
            }
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    change = changes.recv() => match change {
                        Ok(PodChange::Pod(other)) if other != uid => {}
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                        _ => break,
                    },
                }
            }
        }
    });
    receiver
}

fn options(params: &[(String, String)]) -> Result<(Options, bool), Refusal> {
    let value = |name: &str| {
        params
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
            .filter(|v| !v.is_empty())
    };
    let number = |name: &str| match value(name) {
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n >= 0 => Ok(Some(n.unsigned_abs())),
            _ => Err(Refusal::bad_request(format!(
                "{name} must be a number that is not negative, not {text:?}"
            ))),
        },
        None => Ok(None),
    };
    let since_time = match value("sinceTime") {
        Some(text) => Some(text.parse().map_err(|_| {
            Refusal::bad_request(format!(
                "sinceTime must be a time in RFC 3339, not {text:?}"
            ))
        })?),
        None => None,
    };
    let since_seconds = number("sinceSeconds")?.map(|s| {
        jiff::Timestamp::now()
            .checked_sub(std::time::Duration::from_secs(s.min(1 << 32)))
            .unwrap_or(jiff::Timestamp::MIN)
    });
    let flag = |name: &str| value(name).is_some_and(truth);
    let options = Options {
        follow: flag("follow"),
        timestamps: flag("timestamps"),
        tail_lines: number("tailLines")?,
        since: since_time.or(since_seconds),
        limit_bytes: number("limitBytes")?,
        stdout: !matches!(value("stream"), Some("Stderr")),
        stderr: !matches!(value("stream"), Some("Stdout")),
    };
    Ok((options, flag("previous")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let check = |text: &str, right: bool| {
            let params: Vec<(String, String)> = text
                .split('&')
                .filter_map(|p| p.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect();
            assert_eq!(options(&params).is_ok(), right, "{text}");
        };
        check("", true);
        check(
            "follow=true&tailLines=10&timestamps=true&previous=true&limitBytes=5",
            true,
        );
        check("sinceTime=2026-01-02T03:04:05Z", true);
        check("sinceSeconds=9223372036854775807", true);
        check("tailLines=-1", false);
        check("tailLines=x", false);
        check("sinceTime=yesterday", false);
    }
}
