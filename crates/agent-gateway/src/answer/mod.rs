//! What goes back to the client: the body type of every answer, and the one place where a refusal gets its shape.

mod body;
mod refusal;
mod request_id;

pub(crate) use body::{AnswerBody, BodyFailure};
pub(crate) use refusal::Refusal;
pub(crate) use request_id::RequestId;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

/// An answer as handlers give it.
pub(crate) type Answer = Response<AnswerBody>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `value` as JSON.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut answer = Response::new(AnswerBody::from(bytes));
            *answer.status_mut() = status;
            answer.headers_mut().insert(CONTENT_TYPE, JSON);
            answer
        }
        // Only a map with keys that are no text gets here: a mistake of ours, and not worth a panic.
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            let mut answer = Response::new(AnswerBody::empty());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

/// `bytes` under a content type.
pub(crate) fn content(content_type: &'static str, bytes: impl Into<bytes::Bytes>) -> Answer {
    let mut answer = Response::new(AnswerBody::from(bytes.into()));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
