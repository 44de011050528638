//! HTTP/1.1 connections that are driven by whoever reads from them.
//!
//! A connection with a task of its own hands each piece of a body over to the reader's task, one at a time: for a stream of
//! small events that is two wake-ups and a write for each, and buffers that stay for as long as the stream is open. Driven by
//! its reader, a connection gives all that is ready at once, and holds nothing while nothing comes. What it takes: idle
//! connections have nobody to notice that the server closed them, so one keeper for all of a client's does.

mod body;
mod idle;
mod outgoing;
mod scratch;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

pub(super) use body::DirectBody;
pub(super) use idle::Idle;

use super::AnswerError;
use super::io::PooledIo;
use super::request_body::RequestBody;
use super::stats::ConnectionUses;
use outgoing::Outgoing;
use wire::{Asked, Incoming};

/// A connection with nothing on it, or with one request.
pub(super) struct Direct {
    io: PooledIo,
    incoming: Incoming,
    /// What is still to be sent of the request.
    outgoing: Option<Box<Outgoing>>,
    /// A part of the body that was read and not given yet.
    ready: Bytes,
    /// What was not sent of the request will not be: its answer came all the same, or nothing does.
    cut: Option<AnswerError>,
    pub(super) uses: ConnectionUses,
}

/// Why a request had no answer.
pub(super) struct Failed {
    pub(super) error: AnswerError,
    /// The request, when none of it was sent.
    pub(super) unsent: Option<Box<Request<RequestBody>>>,
}

impl Direct {
    pub(super) fn new(io: PooledIo) -> Box<Self> {
        Box::new(Direct {
            uses: io.uses(),
            io,
            incoming: Incoming::new(Asked::Body),
            outgoing: None,
            ready: Bytes::new(),
            cut: None,
        })
    }

    /// Sends `request`, and gives the head of its answer. Its body comes from [`poll_body`](Self::poll_body), and what is left
    /// of the request goes out meanwhile.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        host: &HeaderValue,
    ) -> Result<Response<()>, Failed> {
        self.incoming = Incoming::new(Asked::from(request.method()));
        let mut request = Some(request);
        let begun = std::future::poll_fn(|cx| self.poll_begin(&mut request, host, cx)).await;
        if let Err(error) = begun {
            return Err(Failed {
                error: AnswerError::Io(error),
                unsent: request.map(Box::new),
            });
        }
        let head = std::future::poll_fn(|cx| self.poll_head(cx)).await;
        head.map_err(|error| Failed { error, unsent: None })
    }

    /// Makes the first write, of all that is there. `request` is taken when that succeeds.
    fn poll_begin(
        &mut self,
        request: &mut Option<Request<RequestBody>>,
        host: &HeaderValue,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        scratch::writing(|head| {
            let mut first = Bytes::new();
            if let Some(request) = request {
                outgoing::write_head(request, host, head);
                first = request.body().whole().cloned().unwrap_or_default();
            }
            let slices = [IoSlice::new(head), IoSlice::new(&first)];
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(sent) = request.take() {
                self.outgoing = Outgoing::after(head, first, written, sent.into_body());
            }
            Poll::Ready(Ok(()))
        })
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, AnswerError>> {
        self.drive_request(cx);
        // A body that its maker could not finish has no answer worth waiting for.
        if let Some(AnswerError::Request(_) | AnswerError::RequestLength) = &self.cut {
            return Poll::Ready(Err(self.cut.take().unwrap_or(AnswerError::Closed)));
        }
        loop {
            let Direct {
                io, incoming, ready, ..
            } = self;
            let head = ready!(poll_read(io, cx, |bytes| {
                let Some((head, at)) = incoming.head(bytes)? else {
                    return Ok(None);
                };
                let kept = incoming.body(&mut bytes[at..]);
                *ready = Bytes::copy_from_slice(&bytes[at..at + kept]);
                Ok(Some(head))
            }));
            match head {
                Ok(Read::Data(Ok(Some(head)))) => return Poll::Ready(Ok(head)),
                Ok(Read::Data(Ok(None))) => {}
                Ok(Read::Data(Err(malformed))) => return Poll::Ready(Err(AnswerError::Malformed(malformed))),
                Ok(Read::End) => return Poll::Ready(Err(self.cut.take().unwrap_or(AnswerError::Closed))),
                Err(error) => return Poll::Ready(Err(self.cut.take().unwrap_or(AnswerError::Io(error)))),
            }
        }
    }

    /// The next part of the body; `None` at its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerError>>> {
        self.drive_request(cx);
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.ready))));
            }
            if self.incoming.is_done() {
                return Poll::Ready(None);
            }
            if let Some(malformed) = self.incoming.failed() {
                return Poll::Ready(Some(Err(AnswerError::Malformed(malformed))));
            }
            let Direct {
                io, incoming, ready, ..
            } = self;
            let read = ready!(poll_read(io, cx, |bytes| {
                let kept = incoming.body(bytes);
                *ready = Bytes::copy_from_slice(&bytes[..kept]);
            }));
            match read {
                Ok(Read::Data(())) => {}
                Ok(Read::End) if self.incoming.closed() => {}
                Ok(Read::End) => return Poll::Ready(Some(Err(AnswerError::Closed))),
                Err(error) => return Poll::Ready(Some(Err(AnswerError::Io(error)))),
            }
        }
    }

    /// Sends on. A server that does not want the rest of a request may answer it all the same, so that a failure counts only
    /// when there is no answer.
    fn drive_request(&mut self, cx: &mut Context<'_>) {
        if let Some(outgoing) = &mut self.outgoing
            && let Poll::Ready(sent) = outgoing.poll_write(Pin::new(&mut self.io), cx)
        {
            self.outgoing = None;
            self.cut = sent.err();
        }
    }

    fn is_end(&self) -> bool {
        self.ready.is_empty() && self.incoming.is_done()
    }

    /// True when request and answer are over, and another may follow.
    fn is_reusable(&self) -> bool {
        self.incoming.is_reusable() && self.outgoing.is_none() && self.cut.is_none()
    }

    /// True while the server has neither closed the connection nor sent what nobody asked for.
    fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        Pin::new(&mut self.io)
            .poll_read(cx, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

/// What a look at a socket gave.
enum Read<T> {
    Data(T),
    End,
}

/// Reads what is there, and has `take` look at it.
fn poll_read<T>(
    io: &mut PooledIo,
    cx: &mut Context<'_>,
    take: impl FnOnce(&mut [u8]) -> T,
) -> Poll<io::Result<Read<T>>> {
    scratch::reading(|buffer| {
        ready!(Pin::new(io).poll_read(cx, buffer))?;
        Poll::Ready(Ok(match buffer.filled_mut() {
            [] => Read::End,
            bytes => Read::Data(take(bytes)),
        }))
    })
}

/// Where a connection goes when its request is done with.
pub(super) type Home = std::sync::Weak<Idle>;

/// Counts as home while the client lives.
pub(super) fn home(idle: &Arc<Idle>) -> Home {
    Arc::downgrade(idle)
}
