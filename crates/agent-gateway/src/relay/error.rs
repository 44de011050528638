use std::time::Duration;

use agent_performance::connection_pool::{PoolError, SendError};
use http::StatusCode;

use super::request::Invalid;
use crate::answer::Refusal;
use crate::pipeline::BodyError;
use crate::routes::Surface;

/// When to come back where nothing better is known: a place among busy connections is free again soon.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request has no answer of the upstream's. The words are for the client; what the upstream is and how it failed goes
/// to the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the request's body failed while it was passed on")]
    PassedBody(Refusal),
    #[error("there is nothing at this path")]
    NoSuchPath,
    #[error("too many requests wait for this same answer; send it again in a moment")]
    Crowded,
    #[error("all connections to the upstream API are busy; send the request again in a moment")]
    Busy(PoolError),
    #[error("the upstream API could not be reached")]
    Unreachable(SendError),
    #[error("no connection to the upstream API came about within {} ms", after.as_millis())]
    ConnectTimeout { after: Duration },
    #[error("the upstream API did not begin to answer within {} ms", after.as_millis())]
    HeadTimeout { after: Duration },
    #[error("the connection to the upstream API broke before its answer came")]
    Broken(SendError),
    #[error(transparent)]
    Interrupted(#[from] Interruption),
    #[error("the upstream API's answer is larger than {limit} bytes")]
    AnswerTooLarge { limit: usize },
}

/// Why the upstream's answer ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Interruption {
    #[error("the connection to the upstream API broke in the middle of its answer")]
    Broken,
    #[error("the upstream API ended its stream before the message was complete")]
    Truncated,
    #[error("the upstream API sent nothing for {} ms", after.as_millis())]
    Idle { after: Duration },
    #[error("the upstream API's answer took longer than {} ms", after.as_millis())]
    Total { after: Duration },
}

impl Interruption {
    /// The Messages API's word for it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Interruption::Broken | Interruption::Truncated => "api_error",
            Interruption::Idle { .. } | Interruption::Total { .. } => "timeout_error",
        }
    }

    /// For the label `error.type`, as the client of the same API has it.
    pub(super) fn error_type(self) -> &'static str {
        match self {
            Interruption::Broken => "transport",
            Interruption::Truncated => "truncated_stream",
            Interruption::Idle { .. } => "timeout_idle",
            Interruption::Total { .. } => "timeout_total",
        }
    }
}

impl RelayError {
    /// For the label `error.type`, as the client of the same API has it.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            RelayError::Invalid(_)
            | RelayError::Body(_)
            | RelayError::PassedBody(_)
            | RelayError::NoSuchPath => "invalid_request",
            RelayError::Crowded => "too_many_waiting",
            RelayError::Busy(_) => "connections",
            RelayError::Unreachable(_) => "connect",
            RelayError::ConnectTimeout { .. } => "timeout_connect",
            RelayError::HeadTimeout { .. } => "timeout_first_byte",
            RelayError::Broken(_) => "transport",
            RelayError::Interrupted(interruption) => interruption.error_type(),
            RelayError::AnswerTooLarge { .. } => "too_large",
        }
    }

    /// What the client is told, in a form that its SDK maps to an error worth trying again where it is one.
    pub(super) fn refusal(&self) -> Refusal {
        let detail = self.to_string();
        match self {
            RelayError::Invalid(_) => Refusal::bad_request(detail),
            RelayError::Body(error) => error.refusal(Surface::Gateway),
            RelayError::PassedBody(refusal) => refusal.clone(),
            RelayError::NoSuchPath => Refusal::not_found(detail),
            RelayError::Crowded | RelayError::Busy(_) => {
                Refusal::overloaded(Surface::Gateway, detail, BUSY_RETRY_AFTER)
            }
            RelayError::ConnectTimeout { .. } | RelayError::HeadTimeout { .. } => {
                Refusal::new(StatusCode::GATEWAY_TIMEOUT, detail)
            }
            RelayError::Interrupted(Interruption::Idle { .. } | Interruption::Total { .. }) => {
                Refusal::new(StatusCode::GATEWAY_TIMEOUT, detail)
            }
            RelayError::Unreachable(_)
            | RelayError::Broken(_)
            | RelayError::Interrupted(_)
            | RelayError::AnswerTooLarge { .. } => Refusal::new(StatusCode::BAD_GATEWAY, detail),
        }
    }
}

impl From<SendError> for RelayError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Pool(error) => RelayError::Busy(error),
            SendError::HeadTimeout { after, .. } => RelayError::HeadTimeout { after },
            SendError::Connect { .. } | SendError::WrongOrigin { .. } => RelayError::Unreachable(error),
            SendError::Broken { .. } => RelayError::Broken(error),
        }
    }
}
