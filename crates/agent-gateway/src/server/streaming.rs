//! An answer in chunks, written by ourselves (see [`super::handover`]).
//!
//! A piece of the body is written as it is, between the line that tells its length and the line end behind it; the next is asked
//! for when it is out. A slow client therefore holds one piece of memory.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::handover::Leaving;
use super::socket::Socket;
use super::watched::InFlight;
use crate::pipeline::Outgoing;

/// What ends a head, and what ends one after which nothing is asked.
const HEAD_END: &[u8] = b"\r\n\r\n";
const CLOSE: &[u8] = b"connection: close\r\n\r\n";

/// What ends a chunk, the last chunk, and both where the end is known with the last piece.
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const CHUNK_AND_LAST: &[u8] = b"\r\n0\r\n\r\n";

/// The longest line before a chunk: sixteen digits and a line end.
const LENGTH_LINE: usize = 18;

pub(super) struct Streaming {
    socket: Box<Socket>,
    /// Kept until all of it is out, because what the answer holds goes with it.
    body: Outgoing<InFlight>,
    piece: Piece,
    ended: bool,
    keep_alive: bool,
}

/// What is being written: four slices, of which any may be empty.
#[derive(Default)]
struct Piece {
    /// The head of the answer, before its first chunk.
    head: Vec<u8>,
    length: LengthLine,
    data: Bytes,
    tail: &'static [u8],
    /// Bytes of all of this that are out.
    written: usize,
}

/// How long a chunk is, as it is told before it.
#[derive(Clone, Copy, Default)]
struct LengthLine {
    text: [u8; LENGTH_LINE],
    length: u8,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is out, and the client may ask again.
    KeepAlive,
    /// It is out, and the connection closed.
    Closed,
}

impl Streaming {
    pub(super) fn new(socket: Box<Socket>, leaving: Leaving) -> Self {
        Streaming {
            socket,
            body: leaving.body,
            piece: Piece {
                head: leaving.head,
                ..Piece::default()
            },
            ended: false,
            keep_alive: leaving.keep_alive,
        }
    }

    /// The connection is to close after this answer, whose head says so if nothing of it is out.
    pub(super) fn finish(&mut self) {
        if self.keep_alive && self.piece.written == 0 && self.piece.head.ends_with(HEAD_END) {
            self.piece.head.truncate(self.piece.head.len() - CHUNK_END.len());
            self.piece.head.extend_from_slice(CLOSE);
        }
        self.keep_alive = false;
    }

    /// What it was written to, with what the client said meanwhile.
    pub(super) fn into_socket(self) -> Box<Socket> {
        self.socket
    }

    /// Writes until the answer is out. Fails when the client has gone or the body broke off: the connection then ends without
    /// the last chunk, so that nobody takes what came for the whole.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ended>> {
        loop {
            if !self.ended && self.piece.has_room() && self.poll_piece(cx)?.is_pending() {
                // A head that is still to go waits for no body.
                if self.piece.head.is_empty() {
                    return self.poll_gone(cx).map(Err);
                }
            }
            ready!(self.poll_out(cx))?;
            if self.ended {
                break;
            }
        }
        if self.keep_alive {
            return Poll::Ready(Ok(Ended::KeepAlive));
        }
        Pin::new(self.socket.as_mut())
            .poll_shutdown(cx)
            .map_ok(|()| Ended::Closed)
    }

    /// Ready when there is a piece to write.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.ended = true;
                self.piece.tail = LAST_CHUNK;
                return Poll::Ready(Ok(()));
            };
            // What is no data is trailers, which nobody announced.
            let data = frame.map_err(io::Error::other)?.into_data();
            // An empty chunk would be the last.
            if let Ok(data) = data
                && !data.is_empty()
            {
                self.ended = self.body.is_end_stream();
                self.piece.hold(data, self.ended);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ready when what is held is with the system.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.piece.left() > 0 {
            let written = self.piece.poll_write(Pin::new(self.socket.as_mut()), cx);
            let Poll::Ready(written) = written else {
                // Who takes nothing may yet leave.
                return self.poll_gone(cx).map(Err);
            };
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.piece.written += written,
            }
        }
        ready!(Pin::new(self.socket.as_mut()).poll_flush(cx))?;
        self.piece = Piece::default();
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has gone. What it says before the answer is out is kept for later.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let gone = ready!(self.socket.poll_read_ahead(cx));
        Poll::Ready(gone.err().unwrap_or(io::ErrorKind::UnexpectedEof.into()))
    }
}

impl Piece {
    /// Whether a chunk can be put in: nothing was, but for a head of which nothing is out.
    fn has_room(&self) -> bool {
        self.data.is_empty() && self.written == 0
    }

    fn hold(&mut self, data: Bytes, is_last: bool) {
        self.length = LengthLine::of(data.len());
        self.data = data;
        self.tail = if is_last { CHUNK_AND_LAST } else { CHUNK_END };
    }

    fn slices(&self) -> [&[u8]; 4] {
        [&self.head, self.length.bytes(), &self.data, self.tail]
    }

    fn left(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum::<usize>() - self.written
    }

    fn poll_write(&self, socket: Pin<&mut Socket>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut out = self.written;
        let slices = self.slices().map(|slice| {
            let rest = &slice[out.min(slice.len())..];
            out -= slice.len() - rest.len();
            IoSlice::new(rest)
        });
        socket.poll_write_vectored(cx, &slices)
    }
}

impl LengthLine {
    fn of(length: usize) -> Self {
        let mut line = LengthLine::default();
        let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1) as usize;
        for (place, digit) in line.text[..digits].iter_mut().enumerate() {
            let value = length >> (4 * (digits - 1 - place)) & 15;
            *digit = b"0123456789abcdef"[value];
        }
        line.text[digits..digits + 2].copy_from_slice(CHUNK_END);
        line.length = digits as u8 + 2;
        line
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_hexadecimal_without_zeros_before_them() {
        for length in [1, 9, 15, 16, 255, 256, 4096, 0xabc_def, usize::MAX] {
            let line = LengthLine::of(length);
            assert_eq!(line.bytes(), format!("{length:x}\r\n").as_bytes());
        }
        assert_eq!(LengthLine::default().bytes(), b"");
    }
}
