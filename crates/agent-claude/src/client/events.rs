use std::sync::Arc;

use agent_performance::connection_pool::PooledBody;
use http_body_util::BodyExt;

use crate::error::{ClaudeError, ClaudeResult};
use crate::stream::{DecodeError, SseDecoder, StreamError, StreamEvent};

/// Reads a response body as events.
pub(super) struct EventReader {
    body: PooledBody,
    decoder: SseDecoder,
}

impl EventReader {
    pub(super) fn new(body: PooledBody, max_event_bytes: usize) -> Self {
        EventReader {
            body,
            decoder: SseDecoder::with_max_event_bytes(max_event_bytes),
        }
    }

    /// The next event, or `None` at the end of the body. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> ClaudeResult<Option<StreamEvent>> {
        loop {
            if let Some(event) = self
                .decoder
                .next_event()
                .map_err(|error| unreadable(error.into()))?
            {
                return event.parse().map(Some).map_err(unreadable);
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| ClaudeError::Transport {
                source: Arc::new(error),
            })?;
            if let Ok(data) = frame.into_data() {
                self.decoder.push(&data);
            }
        }
    }

    /// Reads on to the end of the body, so that the connection can serve again.
    pub(super) async fn finish(&mut self) {
        while let Some(Ok(_)) = self.body.frame().await {}
    }
}

fn unreadable(error: StreamError) -> ClaudeError {
    match error {
        StreamError::Decode(DecodeError::EventTooLarge { limit }) => ClaudeError::TooLarge {
            what: "an event of the API's stream",
            limit,
        },
        other => ClaudeError::MalformedStream {
            message: other.to_string(),
        },
    }
}
