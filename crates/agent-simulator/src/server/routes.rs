//! Which path is answered by what, and the headers that every answer has.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::State;
use super::body::{Body, Broken, whole};
use super::messages::{Call, Outcome};
use super::socket::ResetSwitch;
use crate::ApiVersion;
use crate::digest::{self, random_for};
use crate::error::ApiError;
use crate::models;
use crate::validate::{self, Terms};

/// The API's limit for messages and token counts.
pub(crate) const MAX_BODY: usize = 32 * 1024 * 1024;

/// What is read of a body that is too large before the answer; twice the limit.
const MAX_THROWN_AWAY: usize = 2 * MAX_BODY;

const ORGANIZATION: &str = "00000000-0000-4000-8000-00000000051a";

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'p> {
    Messages,
    CountTokens,
    Models,
    Model(&'p str),
    Hello,
}

impl<'p> Route<'p> {
    fn find(path: &'p str) -> Option<Self> {
        match path {
            "/v1/messages" => Some(Self::Messages),
            "/v1/messages/count_tokens" => Some(Self::CountTokens),
            "/v1/models" => Some(Self::Models),
            "/" | "/api/hello" => Some(Self::Hello),
            _ => path
                .strip_prefix("/v1/models/")
                .filter(|id| !id.is_empty() && !id.contains('/'))
                .map(Self::Model),
        }
    }

    fn allows(self, method: &Method) -> bool {
        match self {
            Self::Messages | Self::CountTokens => method == Method::POST,
            Self::Models | Self::Model(_) => method == Method::GET,
            Self::Hello => method == Method::GET || method == Method::HEAD,
        }
    }
}

/// Answers one request. An error drops the connection without an answer.
pub(crate) async fn serve(
    state: &State,
    reset: ResetSwitch,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    let ordinal = state.arrivals.fetch_add(1, Ordering::Relaxed);
    let _answering = Arc::clone(&state.answering);
    let (parts, body) = request.into_parts();
    let body = read(body).await;
    state
        .log
        .add(ordinal, &parts, body.as_ref().cloned().unwrap_or_default());
    let mut random = random_for(state.config.seed, ordinal, body.as_deref().unwrap_or_default());
    let request_id = digest::id("req_", &mut random);
    let call = Call {
        state,
        request_id: request_id.clone(),
        reset,
        random,
    };
    let outcome = match body {
        Ok(body) => route(call, &parts, &body).await,
        Err(error) => Outcome::Error(error),
    };
    let mut response = match outcome {
        Outcome::Answer(response) => response,
        Outcome::Error(error) => error_response(&error, &request_id),
        Outcome::Hang => return Err(Broken),
    };
    add_headers(response.headers_mut(), state, &request_id);
    Ok(response)
}

/// Reads the body. One that is too large is read on and thrown away, up to a point: a connection that is closed on
/// unread bytes is reset, and the client would never see why.
async fn read(mut body: Incoming) -> Result<Bytes, ApiError> {
    let mut kept = BytesMut::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ApiError::invalid(format!("The request body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= MAX_BODY {
            kept.extend_from_slice(&data);
        } else if seen <= MAX_THROWN_AWAY {
            kept = BytesMut::new();
        } else {
            break;
        }
    }
    if seen > MAX_BODY {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request exceeds the maximum size",
        ));
    }
    Ok(kept.freeze())
}

async fn route(call: Call<'_>, parts: &Parts, body: &Bytes) -> Outcome {
    let path = parts.uri.path();
    let Some(route) = Route::find(path) else {
        return Outcome::Error(ApiError::new(StatusCode::NOT_FOUND, format!("Not Found: {path}")));
    };
    if !route.allows(&parts.method) {
        let message = format!("Method Not Allowed: {} {path}", parts.method);
        return Outcome::Error(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    if route == Route::Hello {
        return Outcome::Answer(json_response(StatusCode::OK, &json!({ "message": "hello" })));
    }
    let state = call.state;
    let version = match authenticate(state, &parts.headers).and_then(|()| version(&parts.headers)) {
        Ok(version) => version,
        Err(error) => return Outcome::Error(error),
    };
    let has_beta = parts
        .headers
        .get_all("anthropic-beta")
        .iter()
        .any(|value| !value.is_empty());
    let terms = Terms {
        version,
        has_beta,
        models: &state.config.models,
    };
    let answer = match route {
        Route::Messages => return call.answer(body, terms).await,
        Route::CountTokens => {
            validate::count_tokens(body, terms).map(|tokens| json!({ "input_tokens": tokens }))
        }
        Route::Models => models::list(&state.config.models, parts.uri.query().unwrap_or("")),
        Route::Model(id) => models::one(&state.config.models, id),
        Route::Hello => Ok(Value::Null),
    };
    match answer {
        Ok(answer) => Outcome::Answer(json_response(StatusCode::OK, &answer)),
        Err(error) => Outcome::Error(error),
    }
}

/// `x-api-key` wins over `authorization` when both are there.
fn authenticate(state: &State, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let bearer = || {
        text("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::trim)
    };
    let refused = |message: &str| Err(ApiError::new(StatusCode::UNAUTHORIZED, message));
    match text("x-api-key").or_else(bearer).filter(|key| !key.is_empty()) {
        None => refused("x-api-key header is required"),
        Some(key)
            if state
                .config
                .revoked_keys
                .iter()
                .any(|revoked| revoked.expose() == key) =>
        {
            refused("invalid x-api-key")
        }
        Some(_) => Ok(()),
    }
}

fn version(headers: &HeaderMap) -> Result<ApiVersion, ApiError> {
    match headers
        .get("anthropic-version")
        .map(|value| value.to_str().unwrap_or("?"))
    {
        None => Err(ApiError::invalid("anthropic-version: header is required")),
        Some("2023-06-01") => Ok(ApiVersion::V2023_06_01),
        Some("2026-10-21") => Ok(ApiVersion::V2026_10_21),
        Some(other) => Err(ApiError::invalid(format!(
            "anthropic-version: {other:?} is not a valid version"
        ))),
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(whole(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn error_response(error: &ApiError, request_id: &str) -> Response<Body> {
    let mut response = json_response(error.status, &error.envelope(request_id));
    let headers = response.headers_mut();
    if let Some(after) = error.retry_after {
        headers.insert("retry-after", seconds(after));
    }
    if error.status.as_u16() == 529 {
        headers.insert("x-should-retry", HeaderValue::from_static("true"));
    }
    response
}

/// Whole seconds where they are whole, else with a fraction, which clients must read too.
fn seconds(duration: Duration) -> HeaderValue {
    let text = format!("{}", (duration.as_secs_f64() * 1000.0).ceil() / 1000.0);
    HeaderValue::try_from(text).expect("a number is a valid header value")
}

fn add_headers(headers: &mut HeaderMap, state: &State, request_id: &str) {
    let fixed = [
        ("request-id".to_owned(), request_id.to_owned()),
        ("anthropic-organization-id".to_owned(), ORGANIZATION.to_owned()),
    ];
    for (name, value) in fixed.into_iter().chain(state.limiter.headers(Instant::now())) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
}
