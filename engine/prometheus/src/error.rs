//! Why a query has no answer.

use http::StatusCode;
use minicloud_api::problem::Problem;
use thiserror::Error;

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// There is no Prometheus, or it does not answer.
    #[error("Prometheus is away: {0}")]
    Away(String),
    /// Prometheus refused: the expression is wrong, too much was asked for, or it took too long.
    #[error("Prometheus refused the query: {kind}: {message}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its word for the kind of error, such as `bad_data`.
        kind: String,
        /// What it says is wrong.
        message: String,
    },
    /// What answered is no Prometheus.
    #[error("the answer is none of Prometheus': {0}")]
    Garbled(String),
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::Away(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint(
                "try again in a moment; `minicloud status` shows what is wrong with Prometheus",
            ),
            // About our credentials: the caller's have nothing to do with it.
            QueryError::Refused { status, .. } if credentials(status) => {
                Self::new(StatusCode::BAD_GATEWAY, detail).hint(CREDENTIALS)
            }
            QueryError::Refused { status, .. } => Self::new(
                if status.is_client_error() {
                    status
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                },
                detail,
            )
            .hint("ask for less, or mend the expression"),
            QueryError::Garbled(_) => Self::new(StatusCode::BAD_GATEWAY, detail).hint(
                "look at what the setting --prometheus names: it has to speak Prometheus' HTTP API",
            ),
        }
    }
}

/// What to do when a Prometheus does not let us in.
pub const CREDENTIALS: &str = "look at what the setting --prometheus-token-file names: Prometheus does not let this server in";

/// Whether an answer is about the credentials of who asked Prometheus.
pub fn credentials(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}
