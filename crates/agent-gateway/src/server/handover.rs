//! Which answers leave the HTTP library, and what is taken along.
//!
//! The library keeps two buffers of 8 KB and as much state again for as long as an answer is under way, which thousands of open
//! streams can't afford. An answer in pieces therefore leaves it: what is left to do is to write chunks, and that is done by
//! [`Streaming`](super::streaming::Streaming).

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;

use super::watched::InFlight;
use crate::pipeline::Outgoing;

/// Room for the heads of most answers, so that they are written without moving.
const HEAD_BYTES: usize = 1024;

/// An answer that leaves.
pub(super) struct Leaving {
    /// Its head, as it goes to the client.
    pub(super) head: Vec<u8>,
    pub(super) body: Outgoing<InFlight>,
    /// Whether the client may ask again on this connection.
    pub(super) keep_alive: bool,
}

/// What a request says of how it may be answered. Looked at before the request is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    may_leave: bool,
    keep_alive: bool,
}

impl Asked {
    /// Older versions know no chunks, HEAD has no body, and a request in chunks ends its connection: they stay.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let stays = [TRANSFER_ENCODING, UPGRADE]
            .iter()
            .any(|name| headers.contains_key(name));
        Asked {
            may_leave: request.version() == Version::HTTP_11
                && !matches!(*request.method(), Method::HEAD | Method::CONNECT)
                && !stays,
            keep_alive: !closes(headers),
        }
    }

    /// Whether the answer leaves: it is a success in pieces, of which nobody knows how many there will be.
    pub(super) fn leaves(self, answer: &Response<Outgoing<InFlight>>) -> bool {
        let headers = answer.headers();
        let framed = [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, UPGRADE, CONNECTION]
            .iter()
            .any(|name| headers.contains_key(name));
        let (status, body) = (answer.status(), answer.body());
        self.may_leave
            && !framed
            && status.is_success()
            && status != StatusCode::NO_CONTENT
            && !body.is_end_stream()
            && body.size_hint().exact().is_none()
    }

    /// What is left to write of an answer that leaves.
    pub(super) fn take(self, answer: Response<Outgoing<InFlight>>) -> Leaving {
        let (head, body) = answer.into_parts();
        Leaving {
            head: written(head.status, &head.headers, self.keep_alive),
            body,
            keep_alive: self.keep_alive,
        }
    }
}

/// Whether the client says that it asks no more.
fn closes(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The head of an answer in chunks. Names and values hold no line ends: their types see to that.
fn written(status: StatusCode, headers: &HeaderMap, keep_alive: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if !keep_alive {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    if !headers.contains_key(DATE) {
        write_date(&mut head);
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The line with the time of day, made anew once a second.
fn write_date(head: &mut Vec<u8>) {
    thread_local!(static LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) });
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    LINE.with_borrow_mut(|(second, line)| {
        if *second != now || line.is_empty() {
            *second = now;
            *line = DateTime::<Utc>::from_timestamp(now as i64, 0)
                .unwrap_or_default()
                .format("date: %a, %d %b %Y %H:%M:%S GMT\r\n")
                .to_string();
        }
        head.extend_from_slice(line.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(change: impl FnOnce(&mut Request<()>)) -> Asked {
        let mut request = Request::new(());
        change(&mut request);
        Asked::of(&request)
    }

    fn says(value: &'static str) -> Asked {
        asked(|request| {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(CONNECTION, value);
        })
    }

    #[test]
    fn only_who_understands_chunks_and_sends_none_is_answered_out_of_the_library() {
        assert!(asked(|_| {}).may_leave);
        assert!(!asked(|request| *request.version_mut() = Version::HTTP_10).may_leave);
        assert!(!asked(|request| *request.version_mut() = Version::HTTP_2).may_leave);
        assert!(!asked(|request| *request.method_mut() = Method::HEAD).may_leave);
        for name in [TRANSFER_ENCODING, UPGRADE] {
            let asked = asked(|request| {
                request.headers_mut().insert(name, HeaderValue::from_static("x"));
            });
            assert!(!asked.may_leave);
        }
    }

    #[test]
    fn the_client_says_whether_it_comes_again() {
        for (value, expected) in [
            ("keep-alive", true),
            ("close", false),
            ("Keep-Alive, CLOSE ", false),
            ("closed", true),
        ] {
            assert_eq!(says(value).keep_alive, expected, "{value}");
        }
        assert!(asked(|_| {}).keep_alive);
    }

    #[test]
    fn heads_tell_how_the_body_is_framed_and_the_time() {
        let mut headers = HeaderMap::new();
        headers.insert("x-one", HeaderValue::from_static("1"));
        headers.append("x-one", HeaderValue::from_static("2"));
        let text = String::from_utf8(written(StatusCode::OK, &headers, false)).unwrap();
        let (before, date) = text.split_once("date: ").unwrap();
        assert_eq!(
            before,
            "HTTP/1.1 200 OK\r\nx-one: 1\r\nx-one: 2\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"
        );
        let date = date.strip_suffix("\r\n\r\n").unwrap();
        let told = DateTime::parse_from_rfc2822(date).unwrap();
        assert!(
            (Utc::now() - told.with_timezone(&Utc)).num_seconds().abs() < 60,
            "{date}"
        );

        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        let text = String::from_utf8(written(StatusCode::OK, &headers, true)).unwrap();
        assert!(text.contains("date: yesterday\r\n") && text.matches("date: ").count() == 1);
        assert!(!text.contains("connection"));
    }
}
