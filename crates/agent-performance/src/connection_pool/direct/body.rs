use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};

use super::{Direct, Home, unwoken};

/// An answer's body that drives the connection it comes over. At its end the connection goes home; dropped before that, it
/// is closed.
pub(in super::super) struct DirectBody {
    body: Incoming,
    /// None once it went home.
    connection: Option<Box<Direct>>,
    home: Home,
}

impl DirectBody {
    pub(in super::super) fn new(body: Incoming, connection: Box<Direct>, home: Home) -> Self {
        let mut direct = DirectBody {
            body,
            connection: Some(connection),
            home,
        };
        if direct.body.is_end_stream() {
            direct.go_home();
        }
        direct
    }

    pub(in super::super) fn body(&self) -> &Incoming {
        &self.body
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = self.poll_body();
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(cx);
            frame = self.poll_body();
        }
        match &frame {
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(Some(Ok(_)) | None) => self.go_home(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Pending => {}
        }
        frame
    }

    /// Pieces come while the connection is driven, which is here and nowhere else.
    fn poll_body(&mut self) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        unwoken(|cx| Pin::new(&mut self.body).poll_frame(cx))
    }

    fn go_home(&mut self) {
        if let (Some(connection), Some(home)) = (self.connection.take(), self.home.upgrade()) {
            home.put(connection);
        }
    }
}
