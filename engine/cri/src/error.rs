//! Why a call failed, in terms a caller can act on.

use std::fmt;
use std::time::Duration;

/// A failed call: which one, about what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The CRI call, as `RunPodSandbox`.
    pub call: &'static str,
    /// What it was about: an id, an image, a pod; empty when about the runtime itself.
    pub object: String,
    /// What the caller may do about it.
    pub kind: ErrorKind,
    /// The runtime's own words.
    pub message: String,
}

/// What a caller may do about a [`CallError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object is not there: look again.
    NotFound,
    /// The runtime does not answer: wait and repeat, conclude nothing.
    Unavailable,
    /// The deadline passed; whether the call took effect is unknown.
    Timeout,
    /// An object of that name is already there.
    AlreadyExists,
    /// The request can never succeed as it is.
    Invalid,
    /// The runtime does not have this call.
    Unimplemented,
    /// Anything else: repeat with back-off.
    Failed,
}

impl CallError {
    /// The runtime said nothing within our own deadline, which is of this `kind` to the caller.
    pub(crate) fn silence(
        call: &'static str,
        object: &str,
        after: Duration,
        kind: ErrorKind,
    ) -> Self {
        CallError {
            call,
            object: object.to_owned(),
            kind,
            message: format!("no answer within {} s", after.as_secs_f32()),
        }
    }

    pub(crate) fn status(call: &'static str, object: &str, status: &tonic::Status) -> Self {
        CallError {
            call,
            object: object.to_owned(),
            kind: kind_of(status.code(), status.message()),
            message: words_of(status),
        }
    }

    /// A response that lacks what CRI says it always holds.
    pub(crate) fn incomplete(call: &'static str, object: &str, what: &str) -> Self {
        CallError {
            call,
            object: object.to_owned(),
            kind: ErrorKind::Failed,
            message: format!("the response has no {what}"),
        }
    }

    /// Whether the object is gone; idempotent callers take it as success.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)?;
        if !self.object.is_empty() {
            write!(f, " of {}", self.object)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for CallError {}

fn kind_of(code: tonic::Code, message: &str) -> ErrorKind {
    use tonic::Code;
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::Unimplemented => ErrorKind::Unimplemented,
        // A connection that breaks under a call comes as Unknown with tonic's own words.
        Code::Unknown
            if message.starts_with("transport error") || message.contains("h2 protocol error") =>
        {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Failed,
    }
}

/// The status' message with the causes below it, since tonic's "transport error" alone helps nobody.
fn words_of(status: &tonic::Status) -> String {
    let mut words = if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    };
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_codes() {
        use tonic::Code;
        for (code, message, expect) in [
            (Code::NotFound, "no such container", ErrorKind::NotFound),
            (
                Code::Unavailable,
                "connection refused",
                ErrorKind::Unavailable,
            ),
            (Code::Unknown, "transport error", ErrorKind::Unavailable),
            (
                Code::Unknown,
                "failed to create containerd task",
                ErrorKind::Failed,
            ),
            (
                Code::DeadlineExceeded,
                "context deadline exceeded",
                ErrorKind::Timeout,
            ),
            (Code::AlreadyExists, "", ErrorKind::AlreadyExists),
            (Code::InvalidArgument, "", ErrorKind::Invalid),
            (Code::Unimplemented, "", ErrorKind::Unimplemented),
            (Code::Internal, "", ErrorKind::Failed),
        ] {
            assert_eq!(kind_of(code, message), expect, "{code:?} {message}");
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_told_by_the_runtime() {
        let said = tonic::Status::deadline_exceeded("timeout 1s exceeded");
        let said = CallError::status("ExecSync", "abc", &said);
        assert_eq!(said.kind, ErrorKind::Timeout);
    }

    #[test]
    fn names_call_and_object() {
        let error = CallError::status(
            "StartContainer",
            "abc",
            &tonic::Status::internal("runc: no such file"),
        );
        assert_eq!(
            error.to_string(),
            "StartContainer of abc: runc: no such file"
        );
        let error = CallError::silence("Version", "", Duration::from_secs(2), ErrorKind::Timeout);
        assert_eq!(error.to_string(), "Version: no answer within 2 s");
    }
}
