//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio_util::task::TaskTracker;

use super::socket::{Socket, Stream};
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
    protocol: auto::Builder<Tracked>,
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
        let mut protocol = auto::Builder::new(Tracked(streams));
        protocol
            .http1()
            .timer(TokioTimer::new())
            // The sweep does it, for the time between requests as well.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        protocol
            .http2()
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
        Server { pipeline, protocol }
    }

    /// Serves one connection until the client, a limit or the end of the daemon closes it.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream, caller: Caller, watched: Arc<Watched>) {
        let caller = Arc::new(caller);
        let connection = Arc::new(Connection {
            server: Arc::clone(&self),
            caller: Arc::clone(&caller),
            watched: Arc::clone(&watched),
        });
        let socket = Socket::new(stream, Arc::clone(&watched), caller);
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let connection = Arc::clone(&connection);
            // Boxed, because the connection keeps the room for it: an open stream would hold what only its beginning needed.
            Box::pin(async move {
                let watched = &connection.watched;
                let in_flight = watched.request_began();
                let streams = (request.version() == http::Version::HTTP_2).then(|| watched.has_streams());
                let pipeline = &connection.server.pipeline;
                let answer = pipeline.serve(&connection.caller, request, in_flight).await;
                Ok::<_, Infallible>(answer.map(|body| Taken::new(body, streams)))
            })
        });
        let mut serving = pin!(self.protocol.serve_connection(TokioIo::new(socket), service));
        let mut last = None;
        let mut finishing = false;
        let ended = std::future::poll_fn(|cx| {
            match watched.poll_verdict(cx, &mut last) {
                Verdict::Cut => return Poll::Ready(None),
                Verdict::Finish if !finishing => {
                    finishing = true;
                    serving.as_mut().graceful_shutdown();
                }
                Verdict::Finish | Verdict::GoOn => {}
            }
            serving.as_mut().poll(cx).map(Some)
        })
        .await;
        match ended {
            None => tracing::debug!("a connection was cut"),
            Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Some(Ok(())) => {}
        }
    }
}

/// What the requests of one connection share.
struct Connection {
    server: Arc<Server>,
    caller: Arc<Caller>,
    watched: Arc<Watched>,
}
