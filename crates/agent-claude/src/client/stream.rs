use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use agent_performance::cache::CachedResponse;
use agent_performance::connection_pool::PooledBody;
use http::Response;
use tokio::time::{Instant, timeout, timeout_at};

use super::bounds::Bounds;
use super::concurrency::Turn;
use super::events::{Body, EventReader};
use super::measure::Operation;
use super::rate_limits::RateLimits;
use super::recording::Recording;
use super::{ClaudeConfig, reply};
use crate::error::{ClaudeError, ClaudeResult, TimeoutStage};
use crate::stream::StreamEvent;

/// Events kept back while waiting for the first content. A stream has one there, `message_start`; more come only from
/// a newer API.
const MAX_EVENTS_BEFORE_CONTENT: usize = 64;

/// How long the end of the body may lag behind `message_stop`. Longer, and a new connection is cheaper.
const END_LAG: Duration = Duration::from_millis(100);

/// An answer as it comes. Dropping it cancels the request.
pub struct MessageStream {
    events: EventReader,
    state: State,
    /// Read already, while waiting for the first content.
    before_content: VecDeque<StreamEvent>,
    bounds: Bounds,
    idle: Duration,
    /// When the silence now waited through is too long. Set by the first wait after an event, so that a slow reader
    /// is not taken for a slow server, and kept over pings and dropped waits.
    idle_deadline: Option<Instant>,
    request_id: Option<String>,
    rate_limits: RateLimits,
    operation: Operation,
    /// None for a replay, which sends no request.
    _turn: Option<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// `message_stop` came; the body has not ended yet.
    Stopped,
    Done,
}

impl MessageStream {
    pub(super) fn new(
        response: Response<PooledBody>,
        config: &ClaudeConfig,
        bounds: Bounds,
        turn: Turn,
        recording: Option<Recording>,
    ) -> Self {
        let request_id = reply::request_id(response.headers());
        let rate_limits = RateLimits::from_headers(response.headers());
        let body = Body::Live(response.into_body());
        let events = EventReader::new(body, recording, config.max_event_bytes);
        MessageStream {
            request_id,
            rate_limits,
            _turn: Some(turn),
            ..Self::reading(events, config, bounds)
        }
    }

    /// An earlier answer once more.
    pub(super) fn replay(answer: CachedResponse, config: &ClaudeConfig, bounds: Bounds) -> Self {
        let body = Body::Replay(answer.into_response().into_body());
        let events = EventReader::new(body, None, config.max_event_bytes);
        Self::reading(events, config, bounds)
    }

    fn reading(events: EventReader, config: &ClaudeConfig, bounds: Bounds) -> Self {
        MessageStream {
            request_id: None,
            rate_limits: RateLimits::default(),
            events,
            state: State::Open,
            before_content: VecDeque::new(),
            bounds,
            idle: config.timeouts.idle,
            idle_deadline: None,
            operation: Operation::default(),
            _turn: None,
        }
    }

    /// The same stream as the answer that `operation` waits for. What came of it before came now.
    pub(super) fn with_operation(mut self, mut operation: Operation) -> Self {
        for event in &self.before_content {
            operation.saw(event);
        }
        self.operation = operation;
        self
    }

    /// The next event; `None` after `message_stop` or an error.
    ///
    /// Dropping the future loses nothing; call again. Pings are given too, and do not reset the idle timer.
    ///
    /// # Errors
    /// [`TruncatedStream`](ClaudeError::TruncatedStream) when the body ends early, [`Api`](ClaudeError::Api) for an
    /// error event, timeouts, cancellation, and what the connection or the decoder says.
    pub async fn next(&mut self) -> Option<ClaudeResult<StreamEvent>> {
        if let Some(event) = self.before_content.pop_front() {
            return Some(Ok(event));
        }
        match self.state {
            State::Open => Some(self.read().await),
            State::Stopped => {
                // Either way the stream is over; the end only makes the connection usable again.
                let _ended = timeout(END_LAG, self.events.finish()).await.is_ok();
                self.state = State::Done;
                None
            }
            State::Done => None,
        }
    }

    /// True for an answer from the cache: it was paid for when it first came, and its usage is not to be paid again.
    pub fn is_replay(&self) -> bool {
        self.events.is_replay()
    }

    /// The id that names this request to the API's support; none for a replay, which is no request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What this reply said is left of the API's rate limits.
    pub fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
    }

    /// Reads until content begins, keeping what comes before. Until then, a failed request can be repeated unseen.
    pub(super) async fn wait_for_content(&mut self) -> ClaudeResult<()> {
        while self.before_content.len() < MAX_EVENTS_BEFORE_CONTENT {
            let event = self.read().await?;
            match event {
                StreamEvent::Ping => {}
                StreamEvent::MessageStart { .. } | StreamEvent::Unknown { .. } => {
                    self.before_content.push_back(event);
                }
                _ => {
                    self.before_content.push_back(event);
                    break;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> ClaudeResult<StreamEvent> {
        let result = self.read_event().await;
        match &result {
            Ok(StreamEvent::Ping) => {}
            Ok(event) => {
                self.idle_deadline = None;
                self.operation.saw(event);
                if matches!(event, StreamEvent::MessageStop) {
                    self.operation.succeeded();
                    self.state = State::Stopped;
                }
            }
            Err(error) => {
                self.operation.failed(error);
                self.events.forget();
                self.state = State::Done;
            }
        }
        result
    }

    async fn read_event(&mut self) -> ClaudeResult<StreamEvent> {
        let deadline = *self
            .idle_deadline
            .get_or_insert_with(|| Instant::now() + self.idle);
        let event = self.bounds.run(timeout_at(deadline, self.events.next())).await?;
        let event = event.map_err(|_| ClaudeError::Timeout {
            stage: TimeoutStage::Idle,
            after: self.idle,
        })?;
        match event? {
            None => Err(ClaudeError::TruncatedStream),
            Some(StreamEvent::Error(body)) => Err(ClaudeError::from_event(*body, self.request_id())),
            Some(event) => Ok(event),
        }
    }
}

impl fmt::Debug for MessageStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream")
            .field("request_id", &self.request_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
