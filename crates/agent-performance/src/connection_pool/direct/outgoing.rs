//! A request on its way out.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request};
use hyper::body::Body as _;
use tokio::io::AsyncWrite;

use super::super::AnswerError;
use super::super::request_body::RequestBody;

/// How the server finds the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// This many bytes more.
    Length(u64),
    Chunked,
}

/// What is left to be written of a request.
pub(super) struct Outgoing {
    /// Written in this order.
    pieces: [Bytes; 3],
    /// None when all of it is in the pieces.
    body: Option<(RequestBody, Measure)>,
}

/// Writes the request's line and headers to the end of `head`. With all of the body, when that is there.
pub(super) fn write_head(request: &Request<RequestBody>, host: &HeaderValue, head: &mut Vec<u8>) {
    head.extend_from_slice(request.method().as_str().as_bytes());
    head.push(b' ');
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let headers = request.headers();
    line(head, b"host", headers.get(HOST).unwrap_or(host));
    for (name, value) in headers {
        // The body says how long it is.
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
            line(head, name.as_str().as_bytes(), value);
        }
    }
    match measure(request.body()) {
        // Only where a body is expected does a server want to hear that there is none.
        Measure::Length(0) if ![Method::POST, Method::PUT, Method::PATCH].contains(request.method()) => {}
        Measure::Length(length) => {
            write!(head, "content-length: {length}\r\n").ok();
        }
        Measure::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
}

fn line(head: &mut Vec<u8>, name: &[u8], value: &HeaderValue) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn measure(body: &RequestBody) -> Measure {
    match body.size_hint().exact() {
        Some(length) => Measure::Length(length),
        None => Measure::Chunked,
    }
}

impl Outgoing {
    /// What is left when `written` bytes of `head` and the body's first piece are out. `None` when that is nothing.
    pub(super) fn after(head: &[u8], first: Bytes, written: usize, body: RequestBody) -> Option<Box<Self>> {
        let of_head = written.min(head.len());
        let first = first.slice(written - of_head..);
        let rest = body.whole().is_none().then(|| {
            let measure = measure(&body);
            (body, measure)
        });
        if of_head == head.len() && first.is_empty() && rest.is_none() {
            return None;
        }
        Some(Box::new(Outgoing {
            pieces: [Bytes::copy_from_slice(&head[of_head..]), first, Bytes::new()],
            body: rest,
        }))
    }

    /// Writes what it can. Ready when all is out.
    pub(super) fn poll_write(
        &mut self,
        mut io: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AnswerError>> {
        loop {
            while self.pieces.iter().any(|piece| !piece.is_empty()) {
                let slices = self.pieces.each_ref().map(|piece| IoSlice::new(piece));
                let mut written =
                    ready!(io.as_mut().poll_write_vectored(cx, &slices)).map_err(AnswerError::Io)?;
                if written == 0 {
                    return Poll::Ready(Err(AnswerError::Io(io::ErrorKind::WriteZero.into())));
                }
                for piece in &mut self.pieces {
                    let here = written.min(piece.len());
                    piece.advance(here);
                    written -= here;
                }
            }
            if !ready!(self.poll_next(cx))? {
                return io.poll_flush(cx).map_err(AnswerError::Io);
            }
        }
    }

    /// Takes the next part of the body. False when there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, AnswerError>> {
        let Some((body, measure)) = &mut self.body else {
            return Poll::Ready(Ok(false));
        };
        let frame = ready!(Pin::new(body).poll_frame(cx))
            .transpose()
            .map_err(AnswerError::Request)?;
        // Trailers are not sent: nothing here makes any.
        let data = frame.map(|frame| frame.into_data().unwrap_or_default());
        match (measure, data) {
            (Measure::Length(left), Some(data)) => {
                let after = left.checked_sub(data.len() as u64);
                *left = after.ok_or(AnswerError::RequestLength)?;
                self.pieces[0] = data;
            }
            (Measure::Length(0), None) => self.body = None,
            (Measure::Length(_), None) => return Poll::Ready(Err(AnswerError::RequestLength)),
            // A chunk of nothing would be the end.
            (Measure::Chunked, Some(data)) if data.is_empty() => {}
            (Measure::Chunked, Some(data)) => {
                let size = Bytes::from(format!("{:x}\r\n", data.len()));
                self.pieces = [size, data, Bytes::from_static(b"\r\n")];
            }
            (Measure::Chunked, None) => {
                self.pieces[0] = Bytes::from_static(b"0\r\n\r\n");
                self.body = None;
            }
        }
        Poll::Ready(Ok(true))
    }
}
