use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use super::storable;

/// First bytes of an encoded response. The digit changes with the layout.
pub(super) const MAGIC: &[u8; 4] = b"ACR1";

/// Headers that describe the body, and so belong to it wherever it goes. Everything else is about the connection, the
/// moment or the caller's limits, and would be untrue on a replay.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE];

/// Headers kept of one response. A head has a few that describe its body; with more, it is not kept.
const MAX_HEADERS: usize = 64;

/// A complete answer of status 200: what it said of itself, and its body with the boundaries of the chunks that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedResponse {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// Where each chunk ends, rising, the last at the end of the body. Empty for an empty body.
    ends: Vec<u32>,
    streamed: bool,
}

impl CachedResponse {
    /// A whole answer with its whole body. `None` if it [may not be stored](storable), or its length is not what its head
    /// says. Keeps the headers that describe the body, and those named in `keep`.
    pub fn whole(status: StatusCode, headers: &HeaderMap, keep: &[HeaderName], body: Bytes) -> Option<Self> {
        let kept = kept_headers(status, headers, keep)?;
        if expected_length(headers).is_some_and(|length| length != body.len() as u64) {
            return None;
        }
        let end = u32::try_from(body.len()).ok()?;
        Some(CachedResponse {
            headers: kept,
            body,
            ends: if end == 0 { Vec::new() } else { vec![end] },
            streamed: false,
        })
    }

    pub(super) fn stream(headers: Vec<(HeaderName, HeaderValue)>, body: Bytes, ends: Vec<u32>) -> Self {
        CachedResponse {
            headers,
            body,
            ends,
            streamed: true,
        }
    }

    /// Always 200: nothing else is kept.
    pub fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    /// The headers kept, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    /// The whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The headers kept, in their order, and the whole body.
    pub fn into_parts(self) -> (Vec<(HeaderName, HeaderValue)>, Bytes) {
        (self.headers, self.body)
    }

    /// True when it came as a stream.
    pub fn is_stream(&self) -> bool {
        self.streamed
    }

    /// The body in the chunks that it came in. No copies: each is a view of the stored bytes.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, &end)| self.body.slice(start as usize..end as usize))
    }

    /// The answer anew: a stream comes as a stream, chunk by chunk. `x-cache` and `age` are the caller's to add.
    pub fn into_response(self) -> Response<ReplayBody> {
        let mut response = Response::new(ReplayBody {
            body: self.body,
            ends: self.ends.into_iter(),
            sent: 0,
            streamed: self.streamed,
        });
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }

    /// As bytes, for a cache that holds nothing else.
    pub fn encode(&self) -> Bytes {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| 6 + name.as_str().len() + value.len())
            .sum();
        let size = MAGIC.len() + 11 + headers + 4 * self.ends.len() + self.body.len();
        let mut out = BytesMut::with_capacity(size);
        out.put_slice(MAGIC);
        out.put_u8(u8::from(self.streamed));
        // All of these fit: headers are counted, names and values bounded by HTTP, the body by the constructors.
        out.put_u16(self.headers.len() as u16);
        out.put_u32(self.ends.len() as u32);
        out.put_u32(self.body.len() as u32);
        for (name, value) in &self.headers {
            out.put_u16(name.as_str().len() as u16);
            out.put_slice(name.as_str().as_bytes());
            out.put_u32(value.len() as u32);
            out.put_slice(value.as_bytes());
        }
        for end in &self.ends {
            out.put_u32(*end);
        }
        out.put_slice(&self.body);
        out.freeze()
    }

    /// `None` for anything that [`encode`](Self::encode) did not make. The body shares the memory of `from`.
    pub fn decode(mut from: Bytes) -> Option<Self> {
        let magic = take(&mut from, MAGIC.len())?;
        if magic != MAGIC[..] {
            return None;
        }
        let streamed = from.try_get_u8().ok()? != 0;
        let headers = usize::from(from.try_get_u16().ok()?);
        let ends = from.try_get_u32().ok()? as usize;
        let length = from.try_get_u32().ok()? as usize;
        let mut decoded = Vec::with_capacity(headers.min(MAX_HEADERS));
        for _ in 0..headers {
            let size = usize::from(from.try_get_u16().ok()?);
            let name = HeaderName::from_bytes(&take(&mut from, size)?).ok()?;
            let size = from.try_get_u32().ok()? as usize;
            let value = HeaderValue::from_maybe_shared(take(&mut from, size)?).ok()?;
            decoded.push((name, value));
        }
        let mut table = take(&mut from, ends.checked_mul(4)?)?;
        let ends: Vec<u32> = std::iter::from_fn(|| table.try_get_u32().ok()).collect();
        let rising = ends.first() != Some(&0) && ends.windows(2).all(|pair| pair[0] < pair[1]);
        let whole = ends.last().map_or(0, |&end| end as usize) == length && from.len() == length;
        (rising && whole).then_some(CachedResponse {
            headers: decoded,
            body: from,
            ends,
            streamed,
        })
    }
}

fn take(from: &mut Bytes, count: usize) -> Option<Bytes> {
    (count <= from.len()).then(|| from.split_to(count))
}

/// What of a head is kept; `None` when its answer may not be.
pub(super) fn kept_headers(
    status: StatusCode,
    headers: &HeaderMap,
    keep: &[HeaderName],
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    if !storable(status, headers) {
        return None;
    }
    let kept = headers
        .iter()
        .filter(|(name, _)| KEPT.contains(name) || keep.contains(name));
    let kept: Vec<_> = kept
        .take(MAX_HEADERS + 1)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (kept.len() <= MAX_HEADERS).then_some(kept)
}

/// The length that a head promises. One that cannot be read is a promise that cannot be kept.
pub(super) fn expected_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(http::header::CONTENT_LENGTH)?;
    Some(
        length
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(u64::MAX),
    )
}

/// The body of a cached answer. Of a stream each chunk is a frame of its own, as it was.
#[derive(Debug)]
pub struct ReplayBody {
    body: Bytes,
    ends: std::vec::IntoIter<u32>,
    sent: u32,
    streamed: bool,
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(end) = self.ends.next() else {
            return Poll::Ready(None);
        };
        let size = end - self.sent;
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(self.body.split_to(size as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ends.len() == 0
    }

    /// A stream does not tell its length, as it did not before.
    fn size_hint(&self) -> SizeHint {
        if self.streamed {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.body.len() as u64)
        }
    }
}
