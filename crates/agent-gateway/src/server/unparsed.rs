//! What is not HTTP gets an answer with a body, too.
//!
//! The HTTP library answers what it can't parse by itself, before any code of ours is asked, with an empty 400, 414 or 431. Every
//! answer of ours carries a request id, so that one of 4xx without is the library's; it is replaced by the same status in the shape of
//! the surface that the first bytes of the request named.

use bytes::Bytes;
use http::StatusCode;

use crate::answer::{Refusal, RequestId};
use crate::pipeline::REQUEST_ID;
use crate::routes::{Surface, surface_of};

/// Begin of a head that is remembered: a method and the first segment of a path.
const REMEMBERED: usize = 24;

/// The library's own answers are shorter than this.
const LONGEST: usize = 256;

#[derive(Default)]
pub(super) struct Unparsed {
    begin: [u8; REMEMBERED],
    pending: Bytes,
}

impl Unparsed {
    /// `bytes` are the first of a request's head.
    pub(super) fn head_begins(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(REMEMBERED);
        self.begin = [0; REMEMBERED];
        self.begin[..length].copy_from_slice(&bytes[..length]);
    }

    /// Whether `answer` is the library's; its replacement is [`pending`](Self::pending) then.
    pub(super) fn replaces(&mut self, answer: &[u8]) -> bool {
        let Some(status) = library_refusal(answer) else {
            return false;
        };
        self.pending = replacement(status, self.surface());
        true
    }

    /// What is to be written before anything else.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.pending = self.pending.slice(bytes.min(self.pending.len())..);
    }

    fn surface(&self) -> Surface {
        let path = self
            .begin
            .splitn(2, |byte| *byte == b' ')
            .nth(1)
            .unwrap_or_default();
        // Whatever bytes follow, only the first segment is looked at.
        if path.starts_with(b"/v1/") {
            surface_of("/v1/")
        } else {
            surface_of("/")
        }
    }
}

fn library_refusal(answer: &[u8]) -> Option<StatusCode> {
    // The one comparison that every write of every connection pays for.
    if !answer.starts_with(b"HTTP/1.") || answer.get(8..10) != Some(b" 4") || answer.len() >= LONGEST {
        return None;
    }
    let name = REQUEST_ID;
    let name = name.as_str().as_bytes();
    if answer.windows(name.len()).any(|window| window == name) {
        return None;
    }
    StatusCode::from_bytes(answer.get(9..12)?).ok()
}

fn replacement(status: StatusCode, surface: Surface) -> Bytes {
    let detail = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request's head is too large",
        StatusCode::URI_TOO_LONG => "the request's target is too long",
        _ => "this is not a valid HTTP request",
    };
    let id = RequestId::new();
    let mut answer = Refusal::new(status, detail).close().answer(surface, &id);
    let body = answer.body().whole().cloned().unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert(REQUEST_ID, id.header());
    headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    let mut text = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    )
    .into_bytes();
    for (name, value) in answer.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_the_library_are_replaced() {
        let mut unparsed = Unparsed::default();
        let ours = b"HTTP/1.1 400 Bad Request\r\nrequest-id: req_1\r\ncontent-length: 0\r\n\r\n";
        let relayed = [b"HTTP/1.1 404 Not Found\r\nx: ".as_slice(), &[b'y'; 300]].concat();
        for other in [
            ours.as_slice(),
            &relayed,
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1",
            b"",
            b"data: HTTP/1.1 4",
        ] {
            assert!(!unparsed.replaces(other));
        }
        assert!(unparsed.pending().is_empty());
        assert!(
            unparsed.replaces(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n")
        );
        let text = String::from_utf8(unparsed.pending().to_vec()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            "{text}"
        );
        assert!(
            text.contains("application/problem+json") && text.contains("\r\nconnection: close\r\n"),
            "{text}"
        );
        unparsed.written(text.len() - 1);
        assert_eq!(unparsed.pending(), b"}");
    }

    #[test]
    fn the_begin_of_the_request_tells_the_surface() {
        let check = |begin: &[u8], expected| {
            let mut unparsed = Unparsed::default();
            unparsed.head_begins(begin);
            assert_eq!(
                unparsed.surface(),
                expected,
                "{:?}",
                begin.escape_ascii().to_string()
            );
        };
        check(b"POST /v1/messages HTTP/1.1\r\nbad header", Surface::Gateway);
        check(b"GET /v1/", Surface::Gateway);
        check(b"GET /v10/", Surface::Agent);
        check(b"GET /api/v1/sessions", Surface::Agent);
        check(b"\x16\x03\x01\x02\x00", Surface::Agent);
        check(b"", Surface::Agent);
    }
}
