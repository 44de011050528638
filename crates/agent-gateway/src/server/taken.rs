//! Whether the client takes an answer, for HTTP/2: there a connection goes on while one of its streams has a reader that takes
//! nothing, so that what is seen of the socket tells nothing of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::watched::{InFlight, Watched};
use crate::pipeline::Outgoing;

/// An answer's body that tells when a piece of it lies ready and is not asked for again: the client has no room for it.
pub(super) struct Taken {
    body: Outgoing<InFlight>,
    /// Given on HTTP/2 only.
    waiting: Option<Waiting>,
}

/// The part of an answer that waits for its client.
struct Waiting {
    watched: Arc<Watched>,
    waits: bool,
}

impl Taken {
    /// `streams` is the connection, where it has several answers at once.
    pub(super) fn new(body: Outgoing<InFlight>, streams: Option<Arc<Watched>>) -> Self {
        let waiting = streams.map(|watched| {
            watched.answer_waits();
            let waits = true;
            Waiting { watched, waits }
        });
        Taken { body, waiting }
    }
}

impl Waiting {
    fn set(&mut self, waits: bool) {
        match (self.waits, waits) {
            (false, true) => self.watched.answer_waits(),
            (true, false) => self.watched.answer_went_on(),
            _ => {}
        }
        self.waits = waits;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl Body for Taken {
    type Data = Bytes;
    type Error = <Outgoing<InFlight> as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(waiting) = &mut self.waiting {
            // Being asked is progress, even if the same is ready again.
            waiting.set(false);
            waiting.set(matches!(frame, Poll::Ready(Some(Ok(_)))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
