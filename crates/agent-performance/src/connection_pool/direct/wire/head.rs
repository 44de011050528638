//! The head of an answer, and what it says of the body's end.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::Malformed;

/// Header lines of one answer. The real API sends about 30.
const MAX_HEADERS: usize = 128;

/// A head that is all there.
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// How a body ends, when there can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
    /// Where the connection ends.
    Open,
}

/// Reads the head that `bytes` begins with, and where it ends. `None` when more has to come.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    // Where old servers put empty lines in front, a parser would skip any number of them.
    if bytes.first().is_some_and(|byte| *byte != b'H') {
        return Err(Malformed::Head(httparse::Error::Version));
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    let end = match response.parse(bytes).map_err(Malformed::Head)? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    // One allocation for all values.
    let shared = Bytes::copy_from_slice(&bytes[..end]);
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes())
            .map_err(|_| Malformed::Head(httparse::Error::HeaderName))?;
        let from = line.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value = shared.slice(from..from + line.value.len());
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| Malformed::Head(httparse::Error::HeaderValue))?;
        headers.append(name, value);
    }
    let head = Head {
        version: if response.version == Some(0) {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        },
        status: status.ok_or(Malformed::Head(httparse::Error::Status))?,
        headers,
    };
    Ok(Some((head, end)))
}

impl Head {
    /// What the headers say of the body, whether or not there is one.
    pub(super) fn length(&self) -> Result<Length, Malformed> {
        let mut known = None;
        for line in self.headers.get_all(CONTENT_LENGTH) {
            for number in line.as_bytes().split(|byte| *byte == b',') {
                let number = decimal(number.trim_ascii()).ok_or(Malformed::Length)?;
                if known.is_some_and(|known| known != number) {
                    return Err(Malformed::Length);
                }
                known = Some(number);
            }
        }
        let mut codings = self.headers.get_all(TRANSFER_ENCODING).into_iter();
        match (known, codings.next()) {
            (None, None) => Ok(Length::Open),
            (Some(length), None) => Ok(Length::Known(length)),
            (Some(_), Some(_)) => Err(Malformed::TwoLengths),
            (None, Some(coding)) => {
                let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
                // A server that speaks 1.0 has no codings; one that has two is understood by nobody.
                if is_chunked && codings.next().is_none() && self.version == Version::HTTP_11 {
                    Ok(Length::Chunked)
                } else {
                    Err(Malformed::Coding)
                }
            }
        }
    }

    /// True when the server will read another request on the connection.
    pub(super) fn keeps_open(&self) -> bool {
        let says = |word: &str| {
            let lines = self.headers.get_all(CONNECTION).into_iter();
            lines
                .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
                .any(|said| said.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        !says("close") && (self.version == Version::HTTP_11 || says("keep-alive"))
    }
}

/// Digits and nothing else; `u64::from_str` would take a plus sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
