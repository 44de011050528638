use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::access::Access;
use super::places::Place;
use crate::answer::{AnswerBody, BodyFailure};

/// An answer on its way, with what ends when it is out: the request's place, its record, and what the connection holds.
pub(crate) struct Outgoing<G> {
    body: AnswerBody,
    _place: Option<Place>,
    _access: Access,
    _connection: G,
}

impl<G> Outgoing<G> {
    pub(super) fn new(body: AnswerBody, place: Option<Place>, access: Access, connection: G) -> Self {
        Outgoing {
            body,
            _place: place,
            _access: access,
            _connection: connection,
        }
    }
}

impl<G: Unpin> Body for Outgoing<G> {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
