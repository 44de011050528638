//! The body of every error, over HTTP and in a stream.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;

/// `{"type": "error", "error": {…}, "request_id": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiErrorBody {
    /// Always `error`.
    #[serde(rename = "type", default = "error_kind")]
    pub kind: String,
    /// What went wrong.
    pub error: ApiError,
    /// The request's id, for the API's support; older bodies lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

fn error_kind() -> String {
    "error".to_owned()
}

/// The inner object of an error body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiError {
    /// The kind, such as `overloaded_error`; branch on this (or on `details.error_code`), never on the message.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// May hold `error_code`, a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ApiErrorBody {
    /// An error body with a kind and a message.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        let error = ApiError {
            kind: kind.into(),
            message: message.into(),
            details: None,
            extra: Extra::new(),
        };
        Self {
            kind: error_kind(),
            error,
            request_id: None,
            extra: Extra::new(),
        }
    }

    /// The stable code in `error.details`, if there is one.
    pub fn error_code(&self) -> Option<&str> {
        self.error.details.as_ref()?.get("error_code")?.as_str()
    }
}

impl fmt::Display for ApiErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error.kind, self.error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_request_id_and_with_null_details_is_read() {
        let body: ApiErrorBody = serde_json::from_str(
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded","details":null}}"#,
        )
        .unwrap();
        assert_eq!(body, ApiErrorBody::new("overloaded_error", "Overloaded"));
        assert_eq!(body.error_code(), None);
    }

    #[test]
    fn the_stable_code_is_found() {
        let body: ApiErrorBody = serde_json::from_str(
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_1"}"#,
        )
        .unwrap();
        assert_eq!(body.error_code(), Some("ramp_limit_exceeded"));
        assert_eq!(body.request_id.as_deref(), Some("req_1"));
    }
}
