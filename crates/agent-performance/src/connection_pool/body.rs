use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::AnswerError;
use super::direct::DirectBody;
use super::stats::RequestInFlight;

/// A response body that keeps the request's place in the pool until it ends or is dropped.
pub struct PooledBody {
    source: Source,
    place: Option<Place>,
}

enum Source {
    /// Its connection has a task of its own.
    Fed(Incoming),
    /// Drives its connection itself.
    Driving(DirectBody),
}

/// A request's place: one of `max_connections_per_host`.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _in_flight: Option<RequestInFlight>,
}

impl PooledBody {
    pub(super) fn fed(body: Incoming, place: Place) -> Self {
        Self::new(Source::Fed(body), place)
    }

    pub(super) fn driving(body: DirectBody, place: Place) -> Self {
        Self::new(Source::Driving(body), place)
    }

    fn new(source: Source, place: Place) -> Self {
        let place = (!source.is_end_stream()).then_some(place);
        PooledBody { source, place }
    }
}

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Source::Fed(body) => body.is_end_stream(),
            Source::Driving(body) => body.is_end_stream(),
        }
    }
}

impl fmt::Debug for PooledBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBody")
            .field("size", &self.size_hint())
            .finish_non_exhaustive()
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let frame = match &mut self.source {
            Source::Fed(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(AnswerError::Shared))
            }
            Source::Driving(body) => ready!(body.poll_data(cx)).map(|data| data.map(Frame::data)),
        };
        // After the connection went home: who waits for the place finds it there.
        if !matches!(frame, Some(Ok(_))) || self.is_end_stream() {
            self.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Fed(body) => body.size_hint(),
            Source::Driving(body) => body.size_hint(),
        }
    }
}
