//! HTTP/1.1 connections that are driven by whoever reads from them.
//!
//! A connection with a task of its own hands each piece of a body over to the reader's task, one at a time: for a stream of
//! small events that is two wake-ups and a write for each. Driven by its reader, a connection gives all that is ready
//! at once, and costs no task's memory. What it takes: idle connections have nobody to notice that the server closed them,
//! so one keeper for all of a client's does.

mod body;
mod idle;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

pub(super) use body::DirectBody;
pub(super) use idle::Idle;

use super::io::PooledIo;
use super::request_body::RequestBody;
use super::stats::ConnectionUses;

/// A connection with nothing on it, or with one request.
pub(super) struct Direct {
    sender: http1::SendRequest<RequestBody>,
    connection: http1::Connection<TokioIo<PooledIo>, RequestBody>,
    /// The connection has ended, and must not be polled again.
    ended: bool,
    pub(super) uses: ConnectionUses,
}

/// Why a request had no answer.
pub(super) struct Failed {
    pub(super) error: hyper::Error,
    /// The request, when none of it was sent.
    pub(super) unsent: Option<Box<Request<RequestBody>>>,
}

impl Direct {
    pub(super) async fn begin(io: TokioIo<PooledIo>) -> Result<Box<Self>, hyper::Error> {
        let uses = io.inner().uses();
        let (sender, connection) = http1::Builder::new().handshake(io).await?;
        Ok(Box::new(Direct {
            sender,
            connection,
            ended: false,
            uses,
        }))
    }

    /// Sends `request`, and gives the head of its answer. Its body comes as the connection is driven on.
    pub(super) async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Failed> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        let answer = std::future::poll_fn(|cx| {
            if !*ended {
                // What it ends with is the answer's error, too.
                *ended = Pin::new(&mut *connection).poll(cx).is_ready();
            }
            answer.as_mut().poll(cx)
        });
        answer.await.map_err(|mut error| Failed {
            unsent: error.take_message().map(Box::new),
            error: error.into_error(),
        })
    }

    /// Lets the connection do what it can. False once it has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended {
            self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
        !self.ended
    }

    /// True when the next request can be sent.
    fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx) && self.sender.is_ready()
    }
}

/// Makes a request with a whole address one for a server: the path alone, and the host in a header.
pub(super) fn for_server(request: &mut Request<RequestBody>, host: &HeaderValue) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
}

/// Where a connection goes when its request is done with.
pub(super) type Home = std::sync::Weak<Idle>;

/// Counts as home while the client lives.
pub(super) fn home(idle: &Arc<Idle>) -> Home {
    Arc::downgrade(idle)
}

/// A context that wakes nobody: for what only happens while its own connection is driven.
fn unwoken<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(std::task::Waker::noop()))
}
