use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::stats::RequestInFlight;

/// A response body that keeps the request's place in the pool until it ends or is dropped.
#[derive(Debug)]
pub struct PooledBody {
    body: Incoming,
    place: Option<Place>,
}

/// A request's place: one of `max_connections_per_host`.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _in_flight: Option<RequestInFlight>,
}

impl PooledBody {
    pub(super) fn new(body: Incoming, place: Place) -> Self {
        let place = (!body.is_end_stream()).then_some(place);
        PooledBody { body, place }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
