use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// Why the body of an answer broke off. The connection then ends without an orderly close, so that no client takes what it has
/// for the whole.
pub(crate) type BodyFailure = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: nothing, a whole, or what comes as it comes.
pub(crate) struct AnswerBody(Kind);

enum Kind {
    Whole(Bytes),
    Streamed(Pin<Box<dyn Body<Data = Bytes, Error = BodyFailure> + Send>>),
}

impl AnswerBody {
    pub(crate) const fn empty() -> Self {
        AnswerBody(Kind::Whole(Bytes::new()))
    }

    /// Passes frames on as `body` has them.
    pub(crate) fn streamed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyFailure>,
    {
        AnswerBody(Kind::Streamed(Box::pin(body.map_err(Into::into))))
    }

    /// The bytes, where they are all there already: what may be compressed or measured.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes),
            Kind::Streamed(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for AnswerBody {
    fn from(bytes: T) -> Self {
        AnswerBody(Kind::Whole(bytes.into()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}
