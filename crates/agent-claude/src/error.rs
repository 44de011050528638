//! What can go wrong with a request, by what its caller can do about it.

mod budget_reason;
mod error_type;
mod kinds;
mod timeout_stage;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::connection_pool::{ConnectFailure, PoolError, SendError};

pub use budget_reason::BudgetReason;
pub use kinds::{kind_of_status, status_of_kind};
pub use timeout_stage::TimeoutStage;

use crate::messages::ApiErrorBody;

/// Result of everything the client does.
pub type ClaudeResult<T> = Result<T, ClaudeError>;

/// A request that failed. Cheap to clone: sources are shared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClaudeError {
    /// No connection came about; nothing was sent. Timeouts while connecting are [`Timeout`](Self::Timeout)s.
    #[error("{source}")]
    Connect {
        /// Which kind of failure, with its advice.
        failure: ConnectFailure,
        /// The failure itself, with address and cause.
        source: Arc<SendError>,
    },
    /// A timer ran out.
    #[error("{stage} timed out after {} ms; {}", after.as_millis(), stage.advice())]
    Timeout {
        /// Which timer.
        stage: TimeoutStage,
        /// What it was set to.
        after: Duration,
    },
    /// The API answered with an error, as a status or as an event in a stream.
    #[error("{}", ApiText { status: *status, kind, message, request_id, retry_after: *retry_after })]
    Api {
        /// The HTTP status; for an error event, the status that kind of error has.
        status: u16,
        /// The API's `error.type`, such as `overloaded_error`.
        kind: String,
        /// The API's text, or an excerpt of a body that was not the API's.
        message: String,
        /// Names the request to the API's support.
        request_id: Option<String>,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
        /// `x-should-retry`: the server's word on repeating, over the rule for the status.
        should_retry: Option<bool>,
    },
    /// The reply is not what the protocol says.
    #[error("the API's reply cannot be read: {message}")]
    MalformedStream {
        /// What was wrong with it.
        message: String,
    },
    /// The stream ended in order, but before its `message_stop`.
    #[error("the API's stream ended before the message was complete; trying again may help")]
    TruncatedStream,
    /// The connection broke after the request went out.
    #[error("the connection to the API broke: {}", innermost(source.as_ref()))]
    Transport {
        /// The cause beneath.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A limit that protects the API or this process forbade the request, or a further try of it.
    #[error("{reason}{}", after_text(last))]
    BudgetExhausted {
        /// Which limit.
        reason: BudgetReason,
        /// The failure that was to be retried, if there was one.
        last: Option<Arc<ClaudeError>>,
    },
    /// The request or the client's configuration cannot be sent. Nothing was.
    #[error("the request cannot be sent: {message}")]
    InvalidRequest {
        /// What is wrong and where.
        message: String,
    },
    /// A reply is larger than this client takes.
    #[error("{what} is larger than the limit of {limit} bytes; ask for less at once")]
    TooLarge {
        /// Which part of the reply.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

impl ClaudeError {
    /// True when the same request may succeed later without change.
    ///
    /// Inside a request this decides on retries. Once content was shown, repeating is the caller's choice.
    pub fn is_retryable(&self) -> bool {
        match self {
            // A certificate does not heal within seconds.
            ClaudeError::Connect { failure, .. } => *failure != ConnectFailure::Tls,
            ClaudeError::Timeout { stage, .. } => *stage != TimeoutStage::Total,
            ClaudeError::Api {
                status, should_retry, ..
            } => should_retry.unwrap_or(matches!(*status, 408 | 409 | 429 | 500..)),
            ClaudeError::MalformedStream { .. }
            | ClaudeError::TruncatedStream
            | ClaudeError::Transport { .. }
            | ClaudeError::BudgetExhausted { .. } => true,
            ClaudeError::Cancelled | ClaudeError::InvalidRequest { .. } | ClaudeError::TooLarge { .. } => {
                false
            }
        }
    }

    /// How long to wait before trying again, where the server or a limit said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ClaudeError::Api { retry_after, .. } => *retry_after,
            ClaudeError::BudgetExhausted {
                reason: BudgetReason::CircuitOpen { retry_in },
                ..
            } => Some(*retry_in),
            ClaudeError::BudgetExhausted { last: Some(last), .. } => last.retry_after(),
            _ => None,
        }
    }

    /// The id that names the request to the API's support.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            ClaudeError::Api { request_id, .. } => request_id.as_deref(),
            ClaudeError::BudgetExhausted { last: Some(last), .. } => last.request_id(),
            _ => None,
        }
    }

    /// An error event of a stream, as the status it would have been.
    pub(crate) fn from_event(body: ApiErrorBody, request_id: Option<&str>) -> Self {
        ClaudeError::Api {
            status: status_of_kind(&body.error.kind),
            kind: body.error.kind,
            message: body.error.message,
            request_id: body.request_id.or_else(|| request_id.map(str::to_owned)),
            retry_after: None,
            should_retry: None,
        }
    }

    pub(crate) fn from_send(error: SendError, connect: Duration) -> Self {
        match error {
            SendError::Connect {
                failure: ConnectFailure::TimedOut,
                ..
            } => ClaudeError::Timeout {
                stage: TimeoutStage::Connect,
                after: connect,
            },
            SendError::Connect { failure, .. } => ClaudeError::Connect {
                failure,
                source: Arc::new(error),
            },
            SendError::HeadTimeout { after, .. } => ClaudeError::Timeout {
                stage: TimeoutStage::FirstByte,
                after,
            },
            SendError::Broken { source, .. } => ClaudeError::Transport { source },
            SendError::Pool(error) => error.into(),
            SendError::WrongOrigin { .. } => ClaudeError::InvalidRequest {
                message: error.to_string(),
            },
        }
    }

    /// Whether this speaks of an API that is down, of one that is up, or of neither.
    pub(crate) fn health(&self) -> Option<Health> {
        match self {
            ClaudeError::Connect { .. } | ClaudeError::Transport { .. } => Some(Health::Down),
            ClaudeError::Timeout {
                stage: TimeoutStage::Connect | TimeoutStage::FirstByte,
                ..
            } => Some(Health::Down),
            ClaudeError::Api { status: 500.., .. } => Some(Health::Down),
            ClaudeError::Api { .. } => Some(Health::Up),
            _ => None,
        }
    }

    /// True when the server says that it gets too much.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(
            self,
            ClaudeError::Api {
                status: 429 | 529,
                ..
            }
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Up,
    Down,
}

impl From<PoolError> for ClaudeError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::InvalidOrigin { .. } => ClaudeError::InvalidRequest {
                message: error.to_string(),
            },
            PoolError::Exhausted { .. } | PoolError::TooManyOrigins { .. } => ClaudeError::BudgetExhausted {
                reason: BudgetReason::Connections {
                    message: error.to_string(),
                },
                last: None,
            },
        }
    }
}

struct ApiText<'a> {
    status: u16,
    kind: &'a str,
    message: &'a str,
    request_id: &'a Option<String>,
    retry_after: Option<Duration>,
}

impl fmt::Display for ApiText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the API answered {} {}: {}",
            self.status, self.kind, self.message
        )?;
        if let Some(id) = self.request_id {
            write!(f, " (request {id})")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; it asks to wait {:.1} s", wait.as_secs_f64())?;
        }
        match self.status {
            401 => f.write_str("; check the API key"),
            402 => f.write_str("; check the account's billing"),
            403 => f.write_str("; the key may not do this"),
            _ => Ok(()),
        }
    }
}

fn after_text(last: &Option<Arc<ClaudeError>>) -> String {
    last.as_ref()
        .map(|last| format!(" (the last failure: {last})"))
        .unwrap_or_default()
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, should_retry: Option<bool>) -> ClaudeError {
        ClaudeError::Api {
            status,
            kind: "k".into(),
            message: "m".into(),
            request_id: Some("req_1".into()),
            retry_after: Some(Duration::from_secs(90)),
            should_retry,
        }
    }

    #[test]
    fn the_status_decides_on_retries_unless_the_server_does() {
        for (status, retryable) in [
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (409, true),
            (413, false),
            (429, true),
            (500, true),
            (503, true),
            (529, true),
        ] {
            assert_eq!(api(status, None).is_retryable(), retryable, "{status}");
            assert!(api(status, Some(true)).is_retryable());
            assert!(!api(status, Some(false)).is_retryable());
        }
    }

    #[test]
    fn an_error_event_counts_as_its_status() {
        let error =
            ClaudeError::from_event(ApiErrorBody::new("overloaded_error", "Overloaded"), Some("req_9"));
        assert!(matches!(&error, ClaudeError::Api { status: 529, .. }));
        assert_eq!(error.request_id(), Some("req_9"));
        assert_eq!(error.health(), Some(Health::Down));
        assert!(error.is_retryable() && error.is_overload());
    }

    #[test]
    fn messages_say_what_happened_and_what_to_do() {
        let text = api(401, None).to_string();
        assert!(
            text.contains("401") && text.contains("req_1") && text.contains("check the API key"),
            "{text}"
        );
        assert!(text.contains("wait 90.0 s"), "{text}");
        let open = ClaudeError::BudgetExhausted {
            reason: BudgetReason::CircuitOpen {
                retry_in: Duration::from_secs(7),
            },
            last: Some(Arc::new(api(529, None))),
        };
        let text = open.to_string();
        assert!(text.contains("7 s") && text.contains("529"), "{text}");
        assert_eq!(open.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn errors_stay_small_enough_to_return_by_value() {
        assert!(size_of::<ClaudeError>() <= 128, "{}", size_of::<ClaudeError>());
    }
}
