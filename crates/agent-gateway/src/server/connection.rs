//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::handover::{Asked, Leaving};
use super::socket::{Socket, Stream};
use super::streaming::{Ended, Streaming};
use super::taken::Taken;
use super::watched::{Verdict, Watched};
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

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
        Serving {
            connection,
            state: State::Begins(Box::new(socket)),
            last: None,
            finishing: false,
        }
    }
}

/// What the requests of one connection share.
pub(super) struct Connection {
    server: Arc<Server>,
    caller: Arc<Caller>,
    watched: Arc<Watched>,
    /// An answer that leaves the HTTP library, until it has.
    leaving: Mutex<Option<Leaving>>,
}

/// Answers the requests of one connection.
struct Answering(Arc<Connection>);

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
            if connection.caller.is_reading() {
                // The rest of the request's body is the library's to find the end of.
                return Ok(answer.map(|body| Taken::new(body, streams)));
            }
            match asked.take(answer) {
                Err(answer) => Ok(answer.map(|body| Taken::new(body, streams))),
                Ok(leaving) => {
                    *connection.leaving.lock() = Some(leaving);
                    // Dropped by whoever takes it.
                    std::future::pending().await
                }
            }
        })
    }
}

type Http1 = http1::Connection<TokioIo<Box<Socket>>, Answering>;
type Http2 = http2::Connection<TokioIo<Box<Socket>>, Answering, Tracked>;

/// One connection, driven by a task of its own.
pub(super) struct Serving {
    connection: Arc<Connection>,
    state: State,
    last: Option<Verdict>,
    finishing: bool,
}

/// Each in a box, so that an open stream takes no more than it needs.
enum State {
    /// It is not known yet what the client speaks.
    Begins(Box<Socket>),
    Http1(Box<Http1>),
    Http2(Pin<Box<Http2>>),
    /// An answer is written in chunks, out of the HTTP library.
    Streams(Box<Streaming>),
    Over,
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let serving = &mut *self;
        match serving.connection.watched.poll_verdict(cx, &mut serving.last) {
            Verdict::Cut => {
                tracing::debug!("a connection was cut");
                serving.state = State::Over;
                return Poll::Ready(());
            }
            Verdict::Finish if !serving.finishing => {
                serving.finishing = true;
                serving.finish();
            }
            Verdict::Finish | Verdict::GoOn => {}
        }
        let ended = ready!(serving.poll_state(cx));
        serving.state = State::Over;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        Poll::Ready(())
    }
}

impl Serving {
    /// Closes when nothing is in flight.
    fn finish(&mut self) {
        match &mut self.state {
            State::Begins(_) => self.state = State::Over,
            State::Http1(library) => Pin::new(library.as_mut()).graceful_shutdown(),
            State::Http2(library) => library.as_mut().graceful_shutdown(),
            State::Streams(streaming) => streaming.finish(),
            State::Over => {}
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            self.state = match &mut self.state {
                State::Begins(socket) => {
                    let is_http2 = ready!(socket.poll_is_http2(cx))?;
                    let State::Begins(socket) = std::mem::replace(&mut self.state, State::Over) else {
                        break;
                    };
                    if is_http2 {
                        self.http2(socket)
                    } else {
                        self.http1(socket)
                    }
                }
                State::Http1(library) => {
                    if let Poll::Ready(ended) = Pin::new(library.as_mut()).poll(cx) {
                        return Poll::Ready(ended.map_err(Into::into));
                    }
                    // What the library still has to write, an answer before this one, goes first. It tries to after every step;
                    // that the socket took everything means that it holds nothing.
                    if self.connection.watched.is_blocked() {
                        return Poll::Pending;
                    }
                    let Some(leaving) = self.connection.leaving.lock().take() else {
                        return Poll::Pending;
                    };
                    let State::Http1(library) = std::mem::replace(&mut self.state, State::Over) else {
                        break;
                    };
                    let parts = library.into_parts();
                    let mut socket = parts.io.into_inner();
                    socket.put_back(parts.read_buf);
                    let mut streaming = Streaming::new(socket, leaving);
                    if self.finishing {
                        streaming.finish();
                    }
                    State::Streams(Box::new(streaming))
                }
                State::Http2(library) => return library.as_mut().poll(cx).map_err(Into::into),
                State::Streams(streaming) => {
                    if ready!(streaming.poll(cx))? == Ended::Closed {
                        break;
                    }
                    let State::Streams(streaming) = std::mem::replace(&mut self.state, State::Over) else {
                        break;
                    };
                    self.http1(streaming.into_socket())
                }
                State::Over => break,
            };
        }
        Poll::Ready(Ok(()))
    }

    fn http1(&self, socket: Box<Socket>) -> State {
        let answering = Answering(Arc::clone(&self.connection));
        let library = &self.connection.server.http1;
        State::Http1(Box::new(
            library.serve_connection(TokioIo::new(socket), answering),
        ))
    }

    fn http2(&self, socket: Box<Socket>) -> State {
        let answering = Answering(Arc::clone(&self.connection));
        let library = &self.connection.server.http2;
        State::Http2(Box::pin(
            library.serve_connection(TokioIo::new(socket), answering),
        ))
    }
}
