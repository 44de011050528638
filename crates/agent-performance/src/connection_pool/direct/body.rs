use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::SizeHint;

use super::super::AnswerError;
use super::{Direct, Home};

/// An answer's body that drives the connection it comes over. At its end the connection goes home; dropped before that, it
/// is closed.
pub(in super::super) struct DirectBody {
    /// None once it went home, or failed.
    connection: Option<Box<Direct>>,
    home: Home,
    /// The head says how long it is.
    measured: bool,
}

impl DirectBody {
    pub(in super::super) fn new(connection: Box<Direct>, home: Home) -> Self {
        let mut direct = DirectBody {
            measured: connection.incoming.left().is_some(),
            connection: Some(connection),
            home,
        };
        direct.go_home_at_end();
        direct
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        if !self.measured {
            return SizeHint::default();
        }
        let left = self.connection.as_ref().map_or(0, |connection| {
            let ready = connection.ready.len() as u64;
            connection.incoming.left().unwrap_or(0).saturating_add(ready)
        });
        SizeHint::with_exact(left)
    }

    pub(in super::super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, AnswerError>>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        let data = connection.poll_body(cx);
        match &data {
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Ready(_) => self.go_home_at_end(),
            Poll::Pending => {}
        }
        data
    }

    fn go_home_at_end(&mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.is_end())
            && connection.is_reusable()
            && let Some(home) = self.home.upgrade()
        {
            home.put(connection);
        }
    }
}
