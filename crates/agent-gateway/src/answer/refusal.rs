use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use super::{Answer, AnswerBody, RequestId};
use crate::routes::Surface;

/// Why a request is not served. Becomes an answer in [`Refusal::answer`] and nowhere else.
///
/// `detail` is for whoever called and says what to do; what only the operator may see goes to the log where it happens.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
    kind: Option<&'static str>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    challenge: bool,
    close: bool,
}

/// The status that the Messages API uses when it is overloaded.
const OVERLOADED: u16 = 529;

impl Refusal {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            status,
            detail: detail.into(),
            kind: None,
            retry_after: None,
            allow: None,
            challenge: false,
            close: false,
        }
    }

    /// 400.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401, with the schemes that would do.
    pub(crate) fn unauthenticated(detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            challenge: true,
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405, with the methods that would do.
    pub(crate) fn wrong_method(allowed: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            allow: HeaderValue::from_str(allowed).ok(),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        }
    }

    /// 413.
    pub(crate) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 429 with the time after which it is worth trying again.
    pub(crate) fn too_many(detail: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(retry_after)
    }

    /// There is no room now: 529 on the gateway, as the Messages API has it; 503 elsewhere.
    pub(crate) fn overloaded(
        surface: Surface,
        detail: impl Into<Cow<'static, str>>,
        retry_after: Duration,
    ) -> Self {
        let status = match surface {
            Surface::Gateway => StatusCode::from_u16(OVERLOADED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, detail).retry_after(retry_after)
    }

    /// 500. What happened belongs into the log, not into `detail`.
    pub(crate) fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Says when it is worth trying again.
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What kind of error it is, where the status does not tell: the `error.type` of the Messages API, the last part of a
    /// problem's `type` elsewhere.
    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Ends the connection after the answer: what the client still sends can't be told from a further request.
    pub(crate) fn close(mut self) -> Self {
        self.close = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer, in the shape of its surface.
    pub(crate) fn answer(self, surface: Surface, id: &RequestId) -> Answer {
        let (content_type, body) = match surface {
            Surface::Gateway => ("application/json", self.envelope(id)),
            Surface::Agent | Surface::Operations | Surface::Page | Surface::Public => {
                ("application/problem+json", self.problem(id))
            }
        };
        let mut answer = Response::new(AnswerBody::from(body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: who comes earlier is refused again.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            headers.insert(
                RETRY_AFTER,
                HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
            );
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, allow);
        }
        if self.challenge {
            headers.insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"claude-agent\""),
            );
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn envelope(&self, id: &RequestId) -> Vec<u8> {
        bytes(&Envelope {
            r#type: "error",
            error: Inner {
                r#type: self.kind.unwrap_or_else(|| kind_of(self.status)),
                message: &self.detail,
            },
            request_id: id.as_str(),
        })
    }

    fn problem(&self, id: &RequestId) -> Vec<u8> {
        bytes(&Problem {
            r#type: match self.kind {
                Some(kind) => Cow::Owned(format!("urn:claude-agent:problem:{kind}")),
                None => Cow::Borrowed("about:blank"),
            },
            title: self.status.canonical_reason().unwrap_or("Overloaded"),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: format!("urn:claude-agent:request:{id}"),
            request_id: id.as_str(),
        })
    }
}

/// What the Messages API calls errors of a status.
fn kind_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        OVERLOADED => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    error: Inner<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Inner<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// RFC 9457. `about:blank` says that the status tells the kind of problem.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: Cow<'static, str>,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    request_id: &'a str,
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // Neither shape holds a map, so that writing it can't fail.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(refusal: Refusal, surface: Surface) -> (Answer, Value) {
        let answer = refusal.answer(surface, &RequestId::new());
        let value = serde_json::from_slice(answer.body().whole().unwrap()).unwrap();
        (answer, value)
    }

    #[test]
    fn the_gateway_speaks_the_messages_api() {
        let cases = [
            (Refusal::bad_request("x"), 400, "invalid_request_error"),
            (Refusal::unauthenticated("x"), 401, "authentication_error"),
            (Refusal::forbidden("x"), 403, "permission_error"),
            (Refusal::not_found("x"), 404, "not_found_error"),
            (Refusal::wrong_method("GET", "x"), 405, "invalid_request_error"),
            (
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "x"),
                408,
                "timeout_error",
            ),
            (Refusal::too_large("x"), 413, "request_too_large"),
            (
                Refusal::too_many("x", Duration::from_millis(1200)),
                429,
                "rate_limit_error",
            ),
            (Refusal::internal("x"), 500, "api_error"),
            (Refusal::new(StatusCode::BAD_GATEWAY, "x"), 502, "api_error"),
            (
                Refusal::new(StatusCode::GATEWAY_TIMEOUT, "x"),
                504,
                "timeout_error",
            ),
            (
                Refusal::overloaded(Surface::Gateway, "x", Duration::ZERO),
                529,
                "overloaded_error",
            ),
            (
                Refusal::bad_request("x").kind("billing_error"),
                400,
                "billing_error",
            ),
        ];
        for (refusal, status, kind) in cases {
            let (answer, value) = shown(refusal, Surface::Gateway);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(value["type"], "error");
            assert_eq!(value["error"], json!({ "type": kind, "message": "x" }));
            assert!(value["request_id"].as_str().unwrap().starts_with("req_"));
        }
    }

    #[test]
    fn the_other_surfaces_speak_rfc_9457() {
        let refusal = Refusal::overloaded(Surface::Agent, "full", Duration::from_millis(1001)).close();
        let (answer, value) = shown(refusal, Surface::Agent);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(answer.headers()["connection"], "close");
        assert_eq!(value["title"], "Service Unavailable");
        assert_eq!(value["type"], "about:blank");
        let instance = format!(
            "urn:claude-agent:request:{}",
            value["request_id"].as_str().unwrap()
        );
        assert_eq!(value["instance"], instance);
        assert_eq!(
            (&value["status"], &value["detail"]),
            (&json!(503), &json!("full"))
        );
        let (_, odd) = shown(Refusal::bad_request("x").kind("odd"), Surface::Agent);
        assert_eq!(odd["type"], "urn:claude-agent:problem:odd");
        let (answer, _) = shown(Refusal::wrong_method("GET, POST", "x"), Surface::Operations);
        assert_eq!(answer.headers()["allow"], "GET, POST");
    }
}
