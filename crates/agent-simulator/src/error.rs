//! What goes wrong: for the operator who starts the simulator, and for the client that talks to it.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is reachable from other machines and nobody said that this is wanted.
    #[error(
        "the simulator accepts any key, so it listens on loopback addresses only; {0} is not one. \
         Use 127.0.0.1, or allow other addresses expressly"
    )]
    NotLoopback(SocketAddr),
    /// The port is taken, or the address is not one of this machine's.
    #[error("cannot listen on {address}: {source}. Choose another port, or port 0 for any free one")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An answer in the API's error envelope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    /// An error whose type follows from its status, as the API's table of errors has it.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind_of(status).to_owned(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// A 400 with the whole message.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The body of the answer, and the data of an `error` event.
    pub(crate) fn envelope(&self, request_id: &str) -> Value {
        json!({
            "type": "error",
            "error": { "type": self.kind, "message": self.message, "details": null },
            "request_id": request_id,
        })
    }
}

/// The `error.type` that the API sends with a status.
pub(crate) fn kind_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
