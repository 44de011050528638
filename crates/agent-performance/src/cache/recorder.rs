use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::CachedResponse;
use super::response::{expected_length, kept_headers};

/// How much of a stream is recorded before the recording is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Bytes of the body.
    pub bytes: usize,
    /// Chunks that it comes in.
    pub chunks: usize,
}

impl Default for RecordLimits {
    /// 4 MiB and 65,536 chunks: twice what the longest answers come to, a token or so in each chunk.
    fn default() -> Self {
        RecordLimits {
            bytes: 4 << 20,
            chunks: 65_536,
        }
    }
}

/// Remembers a stream while it passes. It sees each chunk and never holds one up; over its limits it lets go of what it has
/// and records nothing more.
#[derive(Debug)]
pub struct StreamRecorder {
    limits: RecordLimits,
    expected: Option<u64>,
    /// `None` once given up.
    tape: Option<Tape>,
}

#[derive(Debug)]
struct Tape {
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Copied: slices of read buffers would keep whole buffers alive, uncounted.
    body: BytesMut,
    ends: Vec<u32>,
}

impl StreamRecorder {
    /// For the answer with this head. `None` if it [may not be stored](super::storable). Keeps the headers that describe the
    /// body, and those named in `keep`.
    pub fn new(
        status: StatusCode,
        headers: &HeaderMap,
        keep: &[HeaderName],
        limits: RecordLimits,
    ) -> Option<Self> {
        let kept = kept_headers(status, headers, keep)?;
        Some(StreamRecorder {
            limits: RecordLimits {
                // Boundaries are kept in 32 bits.
                bytes: limits.bytes.min(u32::MAX as usize),
                chunks: limits.chunks.min(u32::MAX as usize),
            },
            expected: expected_length(headers),
            tape: Some(Tape {
                headers: kept,
                body: BytesMut::new(),
                ends: Vec::new(),
            }),
        })
    }

    /// Notes the next chunk. An empty one is nothing on the wire, and nothing here.
    pub fn record(&mut self, chunk: &Bytes) {
        let Some(tape) = &mut self.tape else { return };
        if chunk.is_empty() {
            return;
        }
        let size = tape.body.len().saturating_add(chunk.len());
        if size > self.limits.bytes || tape.ends.len() >= self.limits.chunks {
            self.tape = None;
            return;
        }
        tape.body.extend_from_slice(chunk);
        // Within `limits.bytes`, which fits.
        tape.ends.push(size as u32);
    }

    /// Records nothing more: the stream broke, or showed that it must not be kept.
    pub fn give_up(&mut self) {
        self.tape = None;
    }

    /// False once given up.
    pub fn is_recording(&self) -> bool {
        self.tape.is_some()
    }

    /// What was recorded so far; empty once given up.
    pub fn recorded(&self) -> &[u8] {
        self.tape.as_ref().map_or(&[], |tape| &tape.body)
    }

    /// The stream, if all of it was recorded. To be called only when it came to its proper end: the recorder sees bytes, and
    /// cannot tell a last chunk from the last before a failure.
    pub fn finish(self) -> Option<CachedResponse> {
        let tape = self.tape?;
        if self
            .expected
            .is_some_and(|length| length != tape.body.len() as u64)
        {
            return None;
        }
        Some(CachedResponse::stream(
            tape.headers,
            tape.body.freeze(),
            tape.ends,
        ))
    }
}
