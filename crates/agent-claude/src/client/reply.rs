//! Reads replies that come whole, errors among them: bounded in size and in time.

use std::sync::Arc;
use std::time::Duration;

use agent_performance::connection_pool::PooledBody;
use bytes::{Bytes, BytesMut};
use chrono::Utc;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{ClaudeError, ClaudeResult, TimeoutStage, kind_of_status};
use crate::messages::ApiErrorBody;
use crate::retry::headers::{retry_after, should_retry};

/// Largest error body read. The API's are below 1 kB; a proxy's page may be long, and its start says enough.
const MAX_ERROR_BODY: usize = 64 << 10;

/// How long an error body may take: the status is known already, and worth more than the words.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// Characters shown of a body that is not the API's.
const EXCERPT_CHARS: usize = 300;

/// Reads a whole body of at most `limit` bytes, each piece within `idle`.
pub(super) async fn read_whole(mut body: PooledBody, limit: usize, idle: Duration) -> ClaudeResult<Bytes> {
    let mut whole = BytesMut::new();
    loop {
        let frame = timeout(idle, body.frame())
            .await
            .map_err(|_| ClaudeError::Timeout {
                stage: TimeoutStage::Idle,
                after: idle,
            })?;
        let Some(frame) = frame else {
            return Ok(whole.freeze());
        };
        let frame = frame.map_err(|error| ClaudeError::Transport {
            source: Arc::new(error),
        })?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(ClaudeError::TooLarge {
                    what: "the API's reply",
                    limit,
                });
            }
            whole.extend_from_slice(&data);
        }
    }
}

/// As much of a body as comes within a short time and a small limit; what is missing is missing.
async fn read_start(body: &mut PooledBody) -> BytesMut {
    let deadline = Instant::now() + ERROR_BODY_TIME;
    let mut start = BytesMut::new();
    while start.len() < MAX_ERROR_BODY {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            start.extend_from_slice(&data);
        }
    }
    start.truncate(MAX_ERROR_BODY);
    start
}

/// The reply itself when it is a success, else the error that it is.
pub(super) async fn check_status(response: Response<PooledBody>) -> ClaudeResult<Response<PooledBody>> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (head, mut body) = response.into_parts();
    let body = read_start(&mut body).await;
    let (kind, message, id) = match serde_json::from_slice::<ApiErrorBody>(&body) {
        Ok(body) => (body.error.kind, body.error.message, body.request_id),
        Err(_) => (
            kind_of_status(head.status.as_u16()).to_owned(),
            foreign(head.status, &head.headers, &body),
            None,
        ),
    };
    Err(ClaudeError::Api {
        status: head.status.as_u16(),
        kind,
        message,
        request_id: request_id(&head.headers).or(id),
        retry_after: retry_after(&head.headers, Utc::now()),
        should_retry: should_retry(&head.headers),
    })
}

/// The reply itself when it is a stream of events, else an error with the start of what it is instead.
pub(super) async fn check_stream(response: Response<PooledBody>) -> ClaudeResult<Response<PooledBody>> {
    let content_type = content_type(response.headers());
    if content_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
    {
        return Ok(response);
    }
    let message = format!(
        "a stream of events was asked for and `{content_type}` came; is there a proxy in between, or is the base URL \
         wrong? It begins: {}",
        excerpt(&read_start(&mut response.into_body()).await)
    );
    Err(ClaudeError::MalformedStream { message })
}

pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("request-id")?.to_str().ok()?.to_owned())
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map(|value| excerpt(value.as_bytes()));
    value.unwrap_or_else(|| "(no content type)".to_owned())
}

/// Words for a body that is not the API's: some proxy's page, or nothing.
fn foreign(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    if status.is_redirection() {
        let target = headers
            .get(LOCATION)
            .map_or("elsewhere".to_owned(), |to| excerpt(to.as_bytes()));
        return format!(
            "a redirect to {target}, which is not followed; set the base URL to the final address"
        );
    }
    if body.is_empty() {
        return status
            .canonical_reason()
            .unwrap_or("no explanation came with it")
            .to_owned();
    }
    format!(
        "not the API's own error but `{}`: {}",
        content_type(headers),
        excerpt(body)
    )
}

/// The start of foreign text, on one line and without characters that steer a terminal.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    // Four bytes are the longest character, and one more tells whether something was left out.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * EXCERPT_CHARS + 4)]);
    let mut words = String::new();
    let mut count = 0;
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        let separator = usize::from(!words.is_empty());
        let left = EXCERPT_CHARS.saturating_sub(count + separator);
        if left == 0 {
            return words + "…";
        }
        if separator == 1 {
            words.push(' ');
        }
        let length = word.chars().count();
        words.extend(word.chars().take(left));
        if length > left {
            return words + "…";
        }
        count += length + separator;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(
            excerpt(b"<html>\r\n  <b>Bad\x1b[2J gateway</b>\n"),
            "<html> <b>Bad [2J gateway</b>"
        );
        assert_eq!(excerpt(b""), "");
        let long = excerpt("ä".repeat(5000).as_bytes());
        assert_eq!(long.chars().count(), EXCERPT_CHARS + 1);
        assert!(long.ends_with('…'));
        assert!(excerpt("ab ".repeat(5000).as_bytes()).chars().count() <= EXCERPT_CHARS + 1);
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
