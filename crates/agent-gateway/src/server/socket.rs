//! A connection's stream, watched: what comes and goes is told to [`Watched`], requests that end in two ways are spoiled, and
//! HTTP's own refusals get a body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::framing::Framing;
use super::unparsed::Unparsed;
use super::watched::Watched;
use crate::pipeline::Caller;

/// Bytes thrown away after the answer to a request whose body was not read. A client that sends more gets a reset.
/// Twice the largest body that the Messages API takes: clients that read no answer before they have sent everything,
/// as asynchronous ones in Python, are told what is wrong up to there.
const MAX_LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that are read before anybody asks for them: the begin of the next request, while an answer is on its way. A client
/// that sends more waits for its answer first.
const MAX_READ_AHEAD: usize = 4 * 1024;

/// The first line of an HTTP/2 connection, and what follows it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection runs over.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

pub(super) struct Socket {
    stream: Stream,
    watched: Arc<Watched>,
    caller: Arc<Caller>,
    unparsed: Unparsed,
    framing: Framing,
    /// Read and not given out yet. `framing` has seen it.
    ahead: Bytes,
    shut: bool,
    lingered: usize,
}

/// Calls the same method of whichever stream it is.
macro_rules! on_stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match &mut $socket.stream {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Stream::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl Socket {
    pub(super) fn new(stream: Stream, watched: Arc<Watched>, caller: Arc<Caller>) -> Self {
        Socket {
            stream,
            watched,
            caller,
            unparsed: Unparsed::default(),
            framing: Framing::default(),
            ahead: Bytes::new(),
            shut: false,
            lingered: 0,
        }
    }

    /// Whether the connection is HTTP/2, as its first bytes say. A connection that ends before it has said so is not.
    pub(super) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut begin = [0; PREFACE.len()];
        loop {
            let known = self.ahead.len();
            if known == PREFACE.len() || self.ahead != PREFACE[..known] {
                return Poll::Ready(Ok(self.ahead == PREFACE));
            }
            let mut buffer = ReadBuf::new(&mut begin[known..]);
            ready!(self.poll_stream(cx, &mut buffer))?;
            let came = buffer.filled().len();
            if came == 0 {
                return Poll::Ready(Ok(false));
            }
            begin[..known].copy_from_slice(&self.ahead);
            self.ahead = Bytes::copy_from_slice(&begin[..known + came]);
        }
    }

    /// Gives bytes back that were read and not used. Copied, because they come in a buffer that is much larger, mostly without
    /// any bytes in it.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.ahead = [bytes, &self.ahead].concat().into();
    }

    /// Ready when the client sends no more; what it sends is kept, up to a bound.
    pub(super) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < MAX_READ_AHEAD {
            let mut space = [0; MAX_READ_AHEAD];
            let mut buffer = ReadBuf::new(&mut space[self.ahead.len()..]);
            ready!(self.poll_stream(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let came = buffer.filled();
            self.ahead = [&self.ahead, came].concat().into();
        }
        Poll::Pending
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = on_stream!(self, stream => stream.poll_read(cx, buffer));
        if read.is_ready() {
            self.framing.came(&mut buffer.filled_mut()[before..]);
        }
        read
    }

    fn observed<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &result {
            Poll::Pending => self.watched.write_blocked(),
            Poll::Ready(_) => self.watched.write_went_on(),
        }
        result
    }

    /// Writes out what stands for an answer without a body.
    fn poll_unparsed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unparsed.pending().is_empty() {
            let written = {
                let bytes = self.unparsed.pending();
                on_stream!(self, stream => stream.poll_write(cx, bytes))
            };
            let written = ready!(self.observed(written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unparsed.written(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until the client has closed, so that closing does not destroy the answer on its way.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.lingered < MAX_LINGER_BYTES {
            let mut space = [0; 8192];
            let mut buffer = ReadBuf::new(&mut space);
            let read = on_stream!(self, stream => stream.poll_read(cx, &mut buffer));
            // Whatever ends it, the connection is over.
            if ready!(read).is_err() || buffer.filled().is_empty() {
                break;
            }
            self.lingered += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.ahead.is_empty() {
            ready!(self.poll_stream(cx, buffer))?;
        } else {
            let given = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..given]);
            self.ahead.advance(given);
        }
        let came = &buffer.filled()[before..];
        if !came.is_empty() && self.watched.bytes_came() {
            self.unparsed.head_begins(came);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unparsed.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = on_stream!(self, stream => stream.poll_write(cx, bytes));
        self.observed(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && self.unparsed.replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        let written = on_stream!(self, stream => stream.poll_write_vectored(cx, slices));
        self.observed(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unparsed(cx))?;
        let flushed = on_stream!(self, stream => stream.poll_flush(cx));
        self.observed(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unparsed(cx))?;
        self.watched.closing();
        if !self.shut {
            let shut = on_stream!(self, stream => stream.poll_shutdown(cx));
            ready!(self.observed(shut))?;
            self.shut = true;
        }
        if self.caller.left_a_body_unread() {
            return self.poll_linger(cx);
        }
        Poll::Ready(Ok(()))
    }
}
