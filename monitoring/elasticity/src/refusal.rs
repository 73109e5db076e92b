//! Refusals in Kubernetes' words.

use minicloud_api::status::ApiStatus;
use minicloud_prometheus_client::QueryError;

/// What a query that has no answer is for the caller.
pub(crate) fn query(error: QueryError) -> ApiStatus {
    let text = error.to_string();
    match error {
        QueryError::Away(_) | QueryError::Garbled(_) => ApiStatus::service_unavailable(format!(
            "the server is currently unable to handle the request: {text}"
        )),
        QueryError::Refused { .. } => ApiStatus::internal(text),
    }
}

/// What the Kubernetes API did not do for us.
pub(crate) fn kubernetes(error: kube::Error) -> ApiStatus {
    match error {
        // What it says of the caller's selector is for the caller.
        kube::Error::Api(status) if status.code == 400 => ApiStatus::bad_request(status.message),
        error => ApiStatus::service_unavailable(format!(
            "the server is currently unable to handle the request: the Kubernetes API: {error}"
        )),
    }
}

/// 404 for a metric that nothing says anything about, as the library of Kubernetes' adapters words it.
pub(crate) fn no_metric(metric: &str, of: &str) -> ApiStatus {
    let of = if of.is_empty() {
        String::new()
    } else {
        format!(" for {of}")
    };
    ApiStatus::new(
        404,
        "NotFound",
        format!("the server could not find the metric {metric}{of}"),
    )
}

/// The most values in an answer.
const VALUES_MAX: usize = 10_000;

/// Refuses an answer of more values than anybody has a use for.
pub(crate) fn bounded(values: usize) -> Result<(), ApiStatus> {
    if values <= VALUES_MAX {
        return Ok(());
    }
    Err(ApiStatus::too_large(format!(
        "the metric has {values} values, more than {VALUES_MAX}; select fewer by labels"
    )))
}
