//! One connection, from its handshake to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::connection::{Connection, Http1, Http2};
use super::socket::Socket;
use super::streaming::{Ended, Streaming};
use super::watched::Verdict;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    pub(super) fn new(connection: Arc<Connection>, socket: Socket) -> Self {
        Serving {
            connection,
            state: State::Begins(Box::new(socket)),
            last: None,
            finishing: false,
        }
    }

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
                        State::Http2(Box::pin(self.connection.http2(socket)))
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
                    let Some(leaving) = self.connection.leaving() else {
                        return Poll::Pending;
                    };
                    let State::Http1(library) = std::mem::replace(&mut self.state, State::Over) else {
                        break;
                    };
                    let parts = library.into_parts();
                    let mut socket = parts.io.into_inner();
                    socket.put_back(&parts.read_buf);
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
        State::Http1(Box::new(self.connection.http1(socket)))
    }
}
