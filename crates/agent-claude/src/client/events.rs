use std::sync::Arc;

use agent_performance::cache::ReplayBody;
use agent_performance::connection_pool::PooledBody;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::recording::Recording;
use crate::error::{ClaudeError, ClaudeResult};
use crate::stream::{DecodeError, SseDecoder, StreamError, StreamEvent};

/// Reads a response body as events.
pub(super) struct EventReader {
    body: Body,
    recording: Option<Recording>,
    decoder: SseDecoder,
}

/// Where the bytes come from.
pub(super) enum Body {
    Live(PooledBody),
    /// An earlier answer from the cache.
    Replay(ReplayBody),
}

impl EventReader {
    /// What passes is noted in `recording`.
    pub(super) fn new(body: Body, recording: Option<Recording>, max_event_bytes: usize) -> Self {
        EventReader {
            body,
            recording,
            decoder: SseDecoder::with_max_event_bytes(max_event_bytes),
        }
    }

    pub(super) fn is_replay(&self) -> bool {
        matches!(self.body, Body::Replay(_))
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
            let Some(data) = self.chunk().await? else {
                return Ok(None);
            };
            self.decoder.push(&data);
        }
    }

    /// Reads on to the end of the body, so that the connection can serve again. With a proper end, the recording is
    /// kept: to be called only after the last event.
    pub(super) async fn finish(&mut self) {
        loop {
            match self.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return self.forget(),
            }
        }
        if let Some(recording) = self.recording.take() {
            recording.store().await;
        }
    }

    /// Keeps nothing of what passed: the answer failed.
    pub(super) fn forget(&mut self) {
        self.recording = None;
    }

    /// The next bytes; `None` at the end.
    async fn chunk(&mut self) -> ClaudeResult<Option<Bytes>> {
        loop {
            let frame = match &mut self.body {
                Body::Live(body) => body.frame().await.transpose(),
                Body::Replay(body) => match body.frame().await.transpose() {
                    Ok(frame) => Ok(frame),
                    Err(never) => match never {},
                },
            };
            let frame = frame.map_err(|error| ClaudeError::Transport {
                source: Arc::new(error),
            })?;
            match frame.map(|frame| frame.into_data()) {
                None => return Ok(None),
                Some(Ok(data)) => {
                    if let Some(recording) = &mut self.recording {
                        recording.record(&data);
                    }
                    return Ok(Some(data));
                }
                // Trailers say nothing here.
                Some(Err(_)) => {}
            }
        }
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
