//! Bodies of answers: whole, streamed, late, slow or broken.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use rand::RngExt;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::socket::ResetSwitch;
use crate::answer::{Event, Events};
use crate::digest::Random;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::latency::Latency;

pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// The connection ends here, in the middle of an answer. hyper then drops the socket without a final chunk.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken on purpose")]
pub(crate) struct Broken;

/// Time for the bytes before a break to reach the client: a reset may discard what is still in flight.
const BEFORE_BREAK: Duration = Duration::from_millis(20);
/// The gap between the pings of the fault `pings`. The real service sends fewer; a test has less time.
const PING_GAP: Duration = Duration::from_millis(250);
/// The real service pads up to about this many spaces.
const MAX_PADDING: usize = 12;

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// What shapes a body beside its content.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) fault: Option<Fault>,
    pub(crate) trickle: Option<Duration>,
    pub(crate) token_delay: Latency,
    pub(crate) max_silence: Duration,
    pub(crate) request_id: String,
    pub(crate) reset: ResetSwitch,
    pub(crate) stop: CancellationToken,
    /// Held until the body is sent or given up; see [`Simulator::answers_in_flight`](super::Simulator::answers_in_flight).
    pub(crate) _answering: Arc<()>,
}

/// The document as a body, with the fault's damage.
pub(crate) fn document(json: String, shape: Shape) -> Body {
    let middle = json.floor_char_boundary(json.len() / 2);
    let mut pieces = VecDeque::new();
    match &shape.fault {
        Some(Fault::ResetMid) => pieces.extend([
            Step::Send(json[..middle].to_owned().into()),
            Step::Break { reset: true },
        ]),
        Some(Fault::Truncate) => pieces.push_back(Step::Send(json[..middle].to_owned().into())),
        Some(Fault::Malformed) => pieces.push_back(Step::Send(format!("{}\u{1}{{", &json[..middle]).into())),
        Some(Fault::HugeEvent(size)) => {
            let size = usize::try_from(*size).unwrap_or(usize::MAX);
            pieces.extend([Step::Send(vec![b' '; size].into()), Step::Send(json.into())]);
        }
        _ if shape.trickle.is_none() => return whole(json),
        _ => pieces.push_back(Step::Send(json.into())),
    }
    Feed {
        source: Source::Steps(pieces),
        rest: Bytes::new(),
        shape,
    }
    .into_body()
}

/// The answer as a stream of events, with the fault's damage.
pub(crate) fn events(events: Events, random: Random, shape: Shape) -> Body {
    let source = Source::Events(Box::new(Streaming {
        events,
        random,
        ready: VecDeque::new(),
        struck: false,
        ended: false,
    }));
    Feed {
        source,
        rest: Bytes::new(),
        shape,
    }
    .into_body()
}

/// One thing that a body does.
enum Step {
    Send(Bytes),
    Wait(Duration),
    Break {
        reset: bool,
    },
    /// Pings until nobody listens or the time is over, then a break.
    Ping {
        until: Instant,
    },
}

enum Source {
    Steps(VecDeque<Step>),
    Events(Box<Streaming>),
}

struct Streaming {
    events: Events,
    random: Random,
    ready: VecDeque<Step>,
    struck: bool,
    ended: bool,
}

struct Feed {
    source: Source,
    /// What a trickle has still to send.
    rest: Bytes,
    shape: Shape,
}

impl Feed {
    fn into_body(self) -> Body {
        let frames = unfold(Some(self), |feed| async move {
            let mut feed = feed?;
            match feed.next().await? {
                Ok(bytes) => Some((Ok(Frame::data(bytes)), Some(feed))),
                Err(broken) => Some((Err(broken), None)),
            }
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if !self.rest.is_empty() {
                sleep(self.shape.trickle.unwrap_or_default()).await;
                return Some(Ok(self.rest.split_to(1)));
            }
            let step = match &mut self.source {
                Source::Steps(steps) => steps.pop_front(),
                Source::Events(streaming) => streaming.step(&self.shape),
            };
            match step? {
                Step::Send(bytes) if self.shape.trickle.is_some() => self.rest = bytes,
                Step::Send(bytes) => return Some(Ok(bytes)),
                Step::Wait(delay) => sleep(delay).await,
                Step::Break { reset } => {
                    sleep(BEFORE_BREAK).await;
                    if reset {
                        self.shape.reset.turn_on();
                    }
                    return Some(Err(Broken));
                }
                Step::Ping { until } => {
                    if Instant::now() >= until || self.shape.stop.is_cancelled() {
                        return Some(Err(Broken));
                    }
                    tokio::select! {
                        () = sleep(PING_GAP) => {}
                        () = self.shape.stop.cancelled() => return Some(Err(Broken)),
                    }
                    if let Source::Events(streaming) = &mut self.source {
                        streaming.ready.push_back(Step::Ping { until });
                    }
                    return Some(Ok(Event::ping().to_bytes(0)));
                }
            }
        }
    }
}

impl Streaming {
    fn step(&mut self, shape: &Shape) -> Option<Step> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Some(step);
            }
            if self.ended {
                return None;
            }
            let Some(event) = self.events.next() else {
                self.ended = true;
                continue;
            };
            self.send(&event, shape);
            if let Some(fault) = shape.fault.as_ref().filter(|_| !self.struck) {
                self.damage(fault, &event, shape);
            }
        }
    }

    fn send(&mut self, event: &Event, shape: &Shape) {
        if event.is_content() {
            let delay = shape.token_delay.sample(&mut self.random);
            if !delay.is_zero() {
                self.ready.push_back(Step::Wait(delay));
            }
        }
        let padding = self.random.random_range(0..=MAX_PADDING);
        self.ready.push_back(Step::Send(event.to_bytes(padding)));
    }

    /// Most faults wait for the first piece of content, so that the client has begun to show something. An
    /// answer without content is struck at its `message_delta`, before the end.
    fn damage(&mut self, fault: &Fault, event: &Event, shape: &Shape) {
        let in_content = event.is_content() || event.name == "message_delta";
        self.struck = true;
        match fault {
            Fault::Pings if event.name == "ping" => {
                self.end_with(Step::Ping { until: Instant::now() + shape.max_silence });
            }
            Fault::HugeEvent(size) if event.name == "ping" => self.ready.push_back(Step::Send(huge_ping(*size))),
            Fault::ResetMid if in_content => self.end_with(Step::Break { reset: true }),
            Fault::Truncate if in_content => self.ended = true,
            Fault::Malformed if in_content => self.ready.push_back(Step::Send(Bytes::from_static(
                b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"ty\n\n",
            ))),
            Fault::ErrorEvent(kind) if in_content => {
                let mut error = ApiError::new(http::StatusCode::OK, message_for(kind));
                error.kind.clone_from(kind);
                let data = error.envelope(&shape.request_id);
                self.end_with(Step::Send(Event { name: "error", data }.to_bytes(0)));
            }
            _ => self.struck = false,
        }
    }

    fn end_with(&mut self, step: Step) {
        self.ready.push_back(step);
        self.ended = true;
    }
}

/// A ping that a client may ignore if it can hold it.
fn huge_ping(size: u64) -> Bytes {
    let filling = "x".repeat(usize::try_from(size).unwrap_or(usize::MAX));
    Event {
        name: "ping",
        data: json!({ "type": "ping", "filling": filling }),
    }
    .to_bytes(0)
}

/// What the API says with an error of this type.
pub(crate) fn message_for(kind: &str) -> &'static str {
    match kind {
        "overloaded_error" => "Overloaded",
        "api_error" => "Internal server error",
        "rate_limit_error" => "This request would exceed your organization's rate limit",
        "timeout_error" => "Request timed out",
        "authentication_error" => "invalid x-api-key",
        "permission_error" => "Your API key does not have permission to use the specified resource",
        "billing_error" => "Your credit balance is too low to access the API",
        "request_too_large" => "Request exceeds the maximum size",
        "not_found_error" => "Not found",
        _ => "Error simulated on purpose",
    }
}
