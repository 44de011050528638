//! The upstream's body on its way to the client, as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use agent_performance::connection_pool::PooledBody;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::Interruption;
use super::cached::Recording;
use super::clock::Clock;
use super::observe::Reading;
use crate::answer::RequestId;

/// Bytes gathered into one piece for the client. Events that are ready together cost one write instead of many; a piece
/// that waits for a slow client takes this much memory at most.
const MAX_GATHERED: usize = 16 << 10;

/// Passes an answer on. Dropping it drops the upstream's request.
pub(super) struct Piped {
    upstream: PooledBody,
    reading: Reading,
    recording: Option<Recording>,
    clock: Clock,
    /// The head promised a length, or an encoding: nothing can be put in.
    closed: bool,
    id: RequestId,
    state: State,
}

enum State {
    Open,
    /// This is still to be told.
    Interrupted(Interruption),
    /// What came before was given a chance to leave; now the connection ends.
    Cut(Interruption),
    Done,
}

/// What a look at the upstream gave.
enum Came {
    Data(Bytes),
    End,
    Break,
}

impl Piped {
    /// `closed` where the head says how the body is measured or encoded.
    pub(super) fn new(
        upstream: PooledBody,
        reading: Reading,
        recording: Option<Recording>,
        clock: Clock,
        closed: bool,
        id: RequestId,
    ) -> Self {
        let mut piped = Piped {
            state: State::Open,
            upstream,
            reading,
            recording,
            clock,
            closed,
            id,
        };
        if piped.upstream.is_end_stream() {
            piped.ended();
        }
        piped
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.upstream).poll_frame(cx));
            match frame {
                None => return Poll::Ready(Came::End),
                Some(Err(error)) => {
                    tracing::debug!(%error, id = %self.id, "an answer of the upstream API broke off");
                    return Poll::Ready(Came::Break);
                }
                // Trailers say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Came::Data(data));
                    }
                }
            }
        }
    }

    /// What is ready, up to a bound. `None` when nothing is.
    fn gather(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let State::Open = self.state {
            match self.poll_upstream(cx) {
                Poll::Pending => break,
                Poll::Ready(Came::Break) => self.state = State::Interrupted(Interruption::Broken),
                Poll::Ready(Came::End) => self.ended(),
                Poll::Ready(Came::Data(data)) => {
                    self.read(&data);
                    if first.is_empty() {
                        first = data;
                    } else {
                        if all.is_empty() {
                            all.reserve(first.len() + 4 * data.len());
                            all.extend_from_slice(&first);
                        }
                        all.extend_from_slice(&data);
                    }
                    if self.upstream.is_end_stream() {
                        self.ended();
                    }
                    if !matches!(self.reading, Reading::Events(_))
                        || first.len().max(all.len()) >= MAX_GATHERED
                    {
                        break;
                    }
                }
            }
        }
        let gathered = if all.is_empty() { first } else { all.freeze() };
        (!gathered.is_empty()).then_some(gathered)
    }

    fn read(&mut self, data: &Bytes) {
        if let Some(recording) = &mut self.recording {
            recording.record(data);
        }
        let progress = match &mut self.reading {
            Reading::Events(events) => events.pass(data),
            Reading::Whole(whole) => {
                whole.pass(data, self.upstream.is_end_stream());
                true
            }
            Reading::Not => true,
        };
        if progress {
            self.clock.progress();
        }
    }

    /// The body came to its end. A stream of events may yet have none.
    fn ended(&mut self) {
        self.state = match &mut self.reading {
            Reading::Events(events) if !events.may_end() => State::Interrupted(Interruption::Truncated),
            Reading::Events(events) => {
                if events.is_complete() {
                    events.observer().succeeded();
                    if let Some(recording) = self.recording.take() {
                        recording.keep();
                    }
                }
                State::Done
            }
            Reading::Whole(whole) => {
                whole.ended();
                State::Done
            }
            Reading::Not => State::Done,
        };
    }

    /// Notes how the answer ended, and gives the client's last word of it, where one can be put in.
    fn interrupted(&mut self, interruption: Interruption) -> Option<Bytes> {
        self.recording = None;
        let observer = match &mut self.reading {
            Reading::Events(events) => Some(events.observer()),
            Reading::Whole(whole) => Some(whole.observer()),
            Reading::Not => None,
        };
        if let Some(observer) = observer {
            observer.failed(interruption.error_type());
        }
        tracing::warn!(%interruption, id = %self.id, "an answer ended before its end");
        match &self.reading {
            Reading::Events(events) if !self.closed && events.between_events() => {
                Some(error_event(interruption, self.id))
            }
            _ => None,
        }
    }
}

/// The API's own way to say that a stream has failed.
fn error_event(interruption: Interruption, id: RequestId) -> Bytes {
    let data = serde_json::json!({
        "type": "error",
        "error": { "type": interruption.kind(), "message": interruption.to_string() },
        "request_id": id.as_str(),
    });
    format!("event: error\ndata: {data}\n\n").into()
}

impl Body for Piped {
    type Data = Bytes;
    type Error = Interruption;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interruption>>> {
        let piped = &mut *self;
        if let Some(data) = piped.gather(cx) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let interruption = match piped.state {
            State::Done => return Poll::Ready(None),
            State::Cut(interruption) => {
                piped.state = State::Done;
                return Poll::Ready(Some(Err(interruption)));
            }
            State::Interrupted(interruption) => interruption,
            State::Open => std::task::ready!(piped.clock.poll_expired(cx)),
        };
        match piped.interrupted(interruption) {
            Some(word) => {
                piped.state = State::Done;
                Poll::Ready(Some(Ok(Frame::data(word))))
            }
            // The server throws away what it has not written when a body fails, so it gets a turn to write first.
            None => {
                piped.state = State::Cut(interruption);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        self.upstream.size_hint()
    }
}
