//! What is common to all connections, and how the HTTP library asks for the answers of one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::handover::{Asked, Leaving};
use super::serving::Serving;
use super::socket::{Socket, Stream};
use super::taken::Taken;
use super::watched::Watched;
use crate::pipeline::{Caller, Pipeline};

/// The largest head of a request, and what an HTTP/1 connection reads of a body at once. Cookies and tokens of whole identity
/// providers fit; more is an attack or a mistake, and this times the connections is what slow heads can hold.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Header lines in a head: what official clients send is about 30.
const MAX_HEADERS: usize = 128;

/// Requests at once on one HTTP/2 connection. Official clients use one for each request in flight.
const MAX_STREAMS: u32 = 128;

/// What one HTTP/2 stream, and one connection, may send ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What is kept of an answer for one HTTP/2 stream whose reader is slow.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// Streams that were reset before they were looked at, and by our own refusals: more is a flood, and ends the connection.
const MAX_RESETS: usize = 20;
const MAX_OWN_RESETS: usize = 256;

/// From one ping on a quiet HTTP/2 connection to the next, and how long the answer may take.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What all connections share.
pub(super) struct Server {
    pipeline: Arc<Pipeline>,
    http1: http1::Builder,
    http2: http2::Builder<Tracked>,
}

/// Runs the streams of HTTP/2 connections; each ends with its connection.
#[derive(Clone, Debug)]
pub(super) struct Tracked(pub(super) TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        drop(self.0.spawn(stream));
    }
}

impl Server {
    pub(super) fn new(pipeline: Arc<Pipeline>, streams: TaskTracker) -> Self {
        let mut first = http1::Builder::new();
        first
            .timer(TokioTimer::new())
            // The sweep does it, for the time between requests as well.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        let mut second = http2::Builder::new(Tracked(streams));
        second
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_OWN_RESETS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Server {
            pipeline,
            http1: first,
            http2: second,
        }
    }

    /// Serves one connection until the client, a limit or the end of the daemon closes it.
    pub(super) fn serve(self: Arc<Self>, stream: Stream, caller: Caller, watched: Arc<Watched>) -> Serving {
        let caller = Arc::new(caller);
        let socket = Socket::new(stream, Arc::clone(&watched), Arc::clone(&caller));
        let connection = Arc::new(Connection {
            server: self,
            caller,
            watched,
            leaving: Mutex::new(None),
        });
        Serving::new(connection, socket)
    }
}

/// What the requests of one connection share.
pub(super) struct Connection {
    server: Arc<Server>,
    caller: Arc<Caller>,
    pub(super) watched: Arc<Watched>,
    /// An answer that leaves the HTTP library, until it has.
    leaving: Mutex<Option<Leaving>>,
}

impl Connection {
    /// The answer that is to be written out of the library, if there is one.
    pub(super) fn leaving(&self) -> Option<Leaving> {
        self.leaving.lock().take()
    }

    pub(super) fn http1(self: &Arc<Self>, socket: Box<Socket>) -> Http1 {
        let answering = Answering(Arc::clone(self));
        self.server
            .http1
            .serve_connection(TokioIo::new(socket), answering)
    }

    pub(super) fn http2(self: &Arc<Self>, socket: Box<Socket>) -> Http2 {
        let answering = Answering(Arc::clone(self));
        self.server
            .http2
            .serve_connection(TokioIo::new(socket), answering)
    }
}

/// Answers the requests of one connection.
pub(super) struct Answering(Arc<Connection>);

pub(super) type Http1 = http1::Connection<TokioIo<Box<Socket>>, Answering>;
pub(super) type Http2 = http2::Connection<TokioIo<Box<Socket>>, Answering, Tracked>;

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<Taken>;
    type Error = Infallible;
    // Boxed, because the connection keeps the room for it: an open stream would hold what only its beginning needed.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Taken>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            let watched = &connection.watched;
            let in_flight = watched.request_began();
            let streams = (request.version() == Version::HTTP_2).then(|| watched.has_streams());
            let asked = Asked::of(&request);
            let pipeline = &connection.server.pipeline;
            let answer = pipeline.serve(&connection.caller, request, in_flight).await;
            // Where somebody still reads the request's body, the library has its end to find.
            if connection.caller.is_reading() || !asked.leaves(&answer) {
                return Ok(answer.map(|body| Taken::new(body, streams)));
            }
            *connection.leaving.lock() = Some(asked.take(answer));
            // Dropped by whoever takes it.
            std::future::pending().await
        })
    }
}
