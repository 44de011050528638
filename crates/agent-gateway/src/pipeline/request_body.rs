//! The body of a request as handlers get it: bounded in size, in time and, together with all others, in memory.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::Caller;
use crate::answer::Refusal;
use crate::routes::Surface;

/// A body must bring this much in every `body_read_timeout`, or end: a client that drips bytes would hold its place for ever.
const MIN_PROGRESS_BYTES: u64 = 4 * 1024;

/// What is set aside on the strength of a declared length: a long prompt is then copied once. Memory that is not written to
/// takes no room, so that who declares much and sends nothing gains nothing; longer bodies grow as they come.
const TRUSTED_LENGTH: u64 = 1 << 20;

/// When a client whose body found no room should come again: about what an upload takes.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What bodies may take, shared by all requests.
#[derive(Debug)]
pub(super) struct BodyBudget {
    max: usize,
    used: AtomicUsize,
}

impl BodyBudget {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(BodyBudget {
            max,
            used: AtomicUsize::new(0),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.max;
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// A request body. As a [`Body`] it passes pieces on and keeps to the limits of size and time; [`whole`](Self::whole) reads
/// it into memory within the budget.
pub(crate) struct RequestBody {
    source: Source,
    intake: Intake,
    read: u64,
    /// Bytes since the timer was set.
    since_timer: u64,
    /// Made when a piece is not there yet: most bodies come with their head and never need it.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The limits of one body.
pub(super) struct Intake {
    pub(super) limit: u64,
    pub(super) timeout: Duration,
    pub(super) budget: Arc<BodyBudget>,
}

enum Source {
    Network(FromNetwork),
    Memory(Whole),
}

/// What is still on the connection, which learns when it is given up.
struct FromNetwork {
    body: Incoming,
    caller: Arc<Caller>,
}

impl Drop for FromNetwork {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.caller.leave_a_body_unread();
        }
        self.caller.body_ends();
    }
}

/// A body that is in memory, and its place in the budget until it is dropped.
pub(crate) struct Whole {
    bytes: Bytes,
    place: Place,
}

/// Bytes of the budget that are given back.
struct Place {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// Longer than its route allows.
    TooLarge { limit: u64 },
    /// Nothing, or too little, came for so long.
    TooSlow { after: Duration },
    /// All bodies together take what they may.
    NoRoom,
    /// The client went away, or its framing is broken.
    Broken(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge { limit } => write!(f, "the request's body is larger than {limit} bytes"),
            BodyError::TooSlow { after } => {
                write!(
                    f,
                    "the request's body did not go on within {} s",
                    after.as_secs_f64()
                )
            }
            BodyError::NoRoom => write!(f, "too many request bodies are being read at once; try again"),
            BodyError::Broken(_) => write!(f, "the request's body broke off or is not framed as HTTP says"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Broken(error) => Some(error),
            _ => None,
        }
    }
}

impl BodyError {
    /// What the client is told. The connection ends: the rest of the body is still on it.
    pub(crate) fn refusal(&self, surface: Surface) -> Refusal {
        let detail = self.to_string();
        match self {
            BodyError::TooLarge { .. } => Refusal::too_large(detail),
            BodyError::TooSlow { .. } => Refusal::new(http::StatusCode::REQUEST_TIMEOUT, detail),
            BodyError::NoRoom => Refusal::overloaded(surface, detail, FULL_RETRY_AFTER),
            BodyError::Broken(_) => Refusal::bad_request(detail),
        }
        .close()
    }
}

impl RequestBody {
    pub(super) fn new(body: Incoming, intake: Intake, caller: &Arc<Caller>) -> Self {
        caller.body_begins();
        RequestBody {
            source: Source::Network(FromNetwork {
                body,
                caller: Arc::clone(caller),
            }),
            intake,
            read: 0,
            since_timer: 0,
            timer: None,
        }
    }

    /// A body that was read already.
    pub(super) fn in_memory(whole: Whole, intake: Intake) -> Self {
        RequestBody {
            source: Source::Memory(whole),
            intake,
            read: 0,
            since_timer: 0,
            timer: None,
        }
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        self.intake.limit = limit;
    }

    /// Reads all of it. What comes in one piece is not copied.
    ///
    /// # Errors
    /// See [`BodyError`]; what was read is given back.
    pub(crate) async fn whole(mut self) -> Result<Whole, BodyError> {
        if let Source::Memory(whole) = &mut self.source {
            return Ok(whole.take());
        }
        let mut place = Place {
            budget: Arc::clone(&self.intake.budget),
            bytes: 0,
        };
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = self.frame().await {
            // Trailers carry nothing that anybody asks for.
            let Ok(piece) = frame?.into_data() else { continue };
            if !place.budget.take(piece.len()) {
                return Err(BodyError::NoRoom);
            }
            place.bytes += piece.len();
            if rest.is_empty() {
                if self.is_end_stream() {
                    // Most bodies come in one piece.
                    first = piece;
                    break;
                }
                // Copied at once, which lets the connection read the next piece into the same memory.
                let left = self
                    .size_hint()
                    .lower()
                    .min(TRUSTED_LENGTH.max(piece.len() as u64));
                rest.reserve(piece.len() + left as usize);
            }
            rest.extend_from_slice(&piece);
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Whole { bytes, place })
    }

    fn account(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.read += bytes as u64;
        self.since_timer += bytes as u64;
        if self.read > self.intake.limit {
            return Err(BodyError::TooLarge {
                limit: self.intake.limit,
            });
        }
        if self.since_timer >= MIN_PROGRESS_BYTES {
            self.timer = None;
        }
        Ok(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let timeout = self.intake.timeout;
        let since = &mut self.since_timer;
        let timer = self.timer.get_or_insert_with(|| {
            *since = 0;
            Box::pin(tokio::time::sleep(timeout))
        });
        timer
            .as_mut()
            .poll(cx)
            .map(|()| BodyError::TooSlow { after: timeout })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        let frame = match &mut body.source {
            Source::Memory(whole) => {
                let bytes = std::mem::take(&mut whole.bytes);
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Source::Network(network) => Pin::new(&mut network.body).poll_frame(cx),
        };
        let Poll::Ready(frame) = frame else {
            return Poll::Ready(Some(Err(ready!(body.poll_timer(cx)))));
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(BodyError::Broken)?;
            if let Some(data) = frame.data_ref() {
                body.account(data.len())?;
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Network(network) => network.body.is_end_stream(),
            Source::Memory(whole) => whole.bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Network(network) => network.body.size_hint(),
            Source::Memory(whole) => SizeHint::with_exact(whole.bytes.len() as u64),
        }
    }
}

impl Whole {
    /// The bytes. Clones keep them in memory beyond the budget: hold the `Whole` for as long as they are needed.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn take(&mut self) -> Whole {
        Whole {
            bytes: std::mem::take(&mut self.bytes),
            place: Place {
                budget: Arc::clone(&self.place.budget),
                bytes: std::mem::take(&mut self.place.bytes),
            },
        }
    }
}

impl std::ops::Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
