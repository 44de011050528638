//! A turn's events as a stream of server-sent events for one reader.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use super::replay::{self, Next};
use super::turn::Seat;

/// A sign of life while nothing happens: shorter than the 30 to 60 seconds after which proxies give up on a silent
/// connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment: readers don't see it.
const HEARTBEAT_FRAME: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// When a browser connects again after an interruption, instead of the three seconds that are usual.
const OPENING: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// What a stream says about itself, beside the turn's own events.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum StreamNotice {
    /// Events before `first_event` are not kept any more; the stream goes on with that one. What was said is in the
    /// session's messages.
    EventsLost {
        /// The first event that follows.
        first_event: u64,
        /// The same for a person.
        message: String,
    },
    /// This reader took its events too slowly and was sent away; the turn goes on. The last thing in the stream.
    ReaderDropped {
        /// What happened and what to do.
        message: String,
    },
}

struct Reader {
    seat: Seat,
    news: watch::Receiver<()>,
    seen: u64,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Opening,
    /// Nothing was read yet: what is missing was missed before this reader came.
    Fresh,
    Reading,
    Done,
}

/// The events after `seen` (0 for all), until the turn has ended. Memory does not grow with the reader's slowness: it
/// falls behind what is kept and is sent away.
pub(crate) fn stream(seat: Seat, seen: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let reader = Reader {
        news: seat.news(),
        seat,
        seen,
        state: State::Opening,
    };
    unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok(piece), reader))
    })
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Done => return None,
            State::Opening => {
                self.state = State::Fresh;
                return Some(OPENING);
            }
            State::Fresh | State::Reading => {}
        }
        loop {
            // Before looking, so that what happens meanwhile is not slept through.
            self.news.mark_unchanged();
            match self.seat.after(self.seen) {
                Next::Frames(frames, last) => {
                    (self.seen, self.state) = (last, State::Reading);
                    return Some(frames);
                }
                Next::Missed(first) => return Some(self.missed(first)),
                Next::Ended => return None,
                Next::Nothing => {}
            }
            match tokio::time::timeout(HEARTBEAT, self.news.changed()).await {
                Ok(Ok(())) => {}
                // The turn is held by the seat, and holds the sender.
                Ok(Err(_)) => return None,
                Err(_) => return Some(HEARTBEAT_FRAME),
            }
        }
    }

    fn missed(&mut self, first: u64) -> Bytes {
        if self.state == State::Fresh {
            self.seen = first - 1;
            let message =
                format!("events before {first} are not kept any more; GET the session's messages for them");
            return replay::frame(
                Some(first - 1),
                &StreamNotice::EventsLost {
                    first_event: first,
                    message,
                },
            );
        }
        self.state = State::Done;
        let message = format!(
            "events came faster than they were read, and those after {} are not kept any more; the turn goes on. Connect \
             again (with Last-Event-ID) to go on with what is there",
            self.seen
        );
        replay::frame(None, &StreamNotice::ReaderDropped { message })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use agent_core::{AgentEvent, Finished, Outcome, UsageTotals};
    use futures_util::{FutureExt, StreamExt};

    use super::super::replay::MAX_EVENTS;
    use super::super::turn::{MAX_READERS, Turn, TurnId};
    use super::*;

    fn turn() -> Arc<Turn> {
        let session = "0197d5a0-0000-7000-8000-000000000000".parse().unwrap();
        Arc::new(Turn::new(TurnId::generate(), session))
    }

    fn say(turn: &Turn, text: &str) {
        turn.happened(&AgentEvent::TextDelta { text: text.into() });
    }

    fn end(turn: &Turn) {
        turn.ended(Finished {
            outcome: Outcome::Done,
            session_id: String::new(),
            turns: 1,
            text: String::new(),
            usage: UsageTotals::default(),
            cost_usd: None,
            duration_ms: 1,
            error: None,
        });
    }

    async fn all(stream: impl Stream<Item = Result<Bytes, Infallible>>) -> String {
        let pieces: Vec<Bytes> = stream.map(|piece| piece.unwrap()).collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn several_readers_get_the_same_and_late_ones_go_on_where_they_were() {
        let turn = turn();
        say(&turn, "a");
        let first = tokio::join!(
            all(stream(turn.seat().unwrap(), 0)),
            all(stream(turn.seat().unwrap(), 0)),
            async {
                tokio::task::yield_now().await;
                say(&turn, "b");
                end(&turn);
            }
        );
        assert_eq!(first.0, first.1);
        assert!(first.0.contains("id: 1\n") && first.0.contains("id: 3\ndata: {\"type\":\"finished\""));
        let late = all(stream(turn.seat().unwrap(), 1)).await;
        assert!(!late.contains("id: 1\n") && late.contains("id: 2\n"), "{late}");
        assert_eq!(all(stream(turn.seat().unwrap(), 3)).await, "retry: 1000\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_turn_gives_heartbeats() {
        let turn = turn();
        let mut stream = pin!(stream(turn.seat().unwrap(), 0));
        stream.next().await;
        let begun = tokio::time::Instant::now();
        for _ in 0..3 {
            assert_eq!(stream.next().await.unwrap().unwrap(), HEARTBEAT_FRAME);
        }
        assert_eq!(begun.elapsed(), HEARTBEAT * 3);
        assert!(stream.next().now_or_never().is_none());
        say(&turn, "x");
        assert!(stream.next().await.unwrap().unwrap().starts_with(b"id: 1\n"));
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_sent_away_and_can_come_back() {
        let turn = turn();
        say(&turn, "first");
        let mut slow = Box::pin(stream(turn.seat().unwrap(), 0));
        slow.next().await;
        assert!(slow.next().await.unwrap().unwrap().starts_with(b"id: 1\n"));
        for _ in 0..MAX_EVENTS + 5 {
            say(&turn, "more");
        }
        let told = slow.next().await.unwrap().unwrap();
        assert!(
            told.starts_with(b"data: {\"type\":\"reader_dropped\""),
            "{told:?}"
        );
        assert!(slow.next().await.is_none());
        let mut again = Box::pin(stream(turn.seat().unwrap(), 1));
        again.next().await;
        let lost = again.next().await.unwrap().unwrap();
        assert!(
            lost.starts_with(b"id: 6\ndata: {\"type\":\"events_lost\",\"first_event\":7"),
            "{lost:?}"
        );
        assert!(again.next().await.unwrap().unwrap().starts_with(b"id: 7\n"));
    }

    #[tokio::test]
    async fn seats_are_limited_and_given_back() {
        let turn = turn();
        let seats: Vec<Seat> = std::iter::from_fn(|| turn.seat()).collect();
        assert_eq!(seats.len(), MAX_READERS);
        drop(seats);
        assert!(turn.seat().is_some());
    }
}
