//! A deterministic estimate of token counts, and the prompt as a list of cacheable segments.
//!
//! About four bytes of JSON or text are one token; pictures cost a flat price, since their base64 is no text.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::digest::Digest;

/// Bytes a token, for English and code.
const BYTES_PER_TOKEN: usize = 4;
/// The flat price of one picture, of one document sent as base64, and the turn markers around a message.
const IMAGE_TOKENS: u64 = 1600;
const DOCUMENT_TOKENS: u64 = 3000;
const MESSAGE_TOKENS: u64 = 4;

/// The tokens of a text; an empty text has none.
pub(crate) fn of_text(text: &str) -> u64 {
    of_bytes(text.len())
}

fn of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// One piece of the prompt that caching can end after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Identifies everything up to and including this piece.
    pub(crate) prefix: u64,
    /// Tokens from the start of the prompt to the end of this piece.
    pub(crate) tokens: u64,
    /// How long a cache entry that ends here lives; `None` where no marker stands.
    pub(crate) marker: Option<Duration>,
}

/// The prompt in the order in which it is cached: tools, system, messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) segments: Vec<Segment>,
}

impl Prompt {
    /// Reads the prompt out of a validated body; whatever has another shape counts nothing.
    pub(crate) fn of(body: &Value) -> Self {
        let mut builder = Builder {
            digest: Digest::keyed(1),
            tokens: 0,
            segments: Vec::new(),
        };
        builder.hash(body.get("model").unwrap_or(&Value::Null));
        for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
            builder.push(tool);
        }
        builder.content(body.get("system").unwrap_or(&Value::Null));
        for message in body
            .get("messages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            builder.hash(message.get("role").unwrap_or(&Value::Null));
            builder.tokens += MESSAGE_TOKENS;
            builder.content(message.get("content").unwrap_or(&Value::Null));
        }
        if let (Some(last), Some(marker)) = (builder.segments.last_mut(), body.get("cache_control")) {
            last.marker = last.marker.or(lifetime(marker));
        }
        Self {
            segments: builder.segments,
        }
    }

    /// The tokens of the whole prompt, at least one.
    pub(crate) fn tokens(&self) -> u64 {
        self.segments.last().map_or(1, |segment| segment.tokens.max(1))
    }
}

struct Builder {
    digest: Digest,
    tokens: u64,
    segments: Vec<Segment>,
}

impl Builder {
    /// A string and the one text block that it stands for are the same prompt.
    fn content(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.push(&json!({ "type": "text", "text": text })),
            Value::Array(blocks) => blocks.iter().for_each(|block| self.push(block)),
            _ => {}
        }
    }

    fn push(&mut self, block: &Value) {
        let bytes = self.hash(block);
        self.tokens += match block.get("type").and_then(Value::as_str) {
            Some("image") => IMAGE_TOKENS,
            Some("document") if block.pointer("/source/type") == Some(&json!("base64")) => DOCUMENT_TOKENS,
            Some("text") => of_text(block.get("text").and_then(Value::as_str).unwrap_or("")),
            _ => of_bytes(bytes),
        };
        let marker = block.get("cache_control").and_then(lifetime);
        self.segments.push(Segment {
            prefix: self.digest.finish(),
            tokens: self.tokens,
            marker,
        });
    }

    /// Markers wander from turn to turn, so they are no part of what is cached.
    fn hash(&mut self, value: &Value) -> usize {
        let mut sink = Sink {
            digest: &mut self.digest,
            bytes: 0,
        };
        let written = match value {
            Value::Object(object) => object
                .iter()
                .filter(|(key, _)| *key != "cache_control")
                .try_for_each(|(key, value)| {
                    serde_json::to_writer(&mut sink, key)
                        .and_then(|()| serde_json::to_writer(&mut sink, value))
                }),
            other => serde_json::to_writer(&mut sink, other),
        };
        written.expect("writing a JSON value into a hash cannot fail");
        sink.bytes
    }
}

fn lifetime(marker: &Value) -> Option<Duration> {
    let hour = marker.get("ttl").and_then(Value::as_str) == Some("1h");
    marker
        .is_object()
        .then(|| Duration::from_secs(if hour { 3600 } else { 300 }))
}

struct Sink<'d> {
    digest: &'d mut Digest,
    bytes: usize,
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.push(bytes);
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_prompt_is_the_same_whatever_its_markers_and_spelling() {
        let plain =
            Prompt::of(&json!({ "model": "m", "messages": [{ "role": "user", "content": "hello there" }] }));
        let marked = Prompt::of(&json!({ "model": "m", "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "hello there", "cache_control": { "type": "ephemeral", "ttl": "1h" } },
        ] }] }));
        assert_eq!(plain.segments[0].prefix, marked.segments[0].prefix);
        assert_eq!(plain.tokens(), marked.tokens());
        assert_eq!(marked.segments[0].marker, Some(Duration::from_secs(3600)));
        let other =
            Prompt::of(&json!({ "model": "n", "messages": [{ "role": "user", "content": "hello there" }] }));
        assert_ne!(plain.segments[0].prefix, other.segments[0].prefix);
    }

    #[test]
    fn four_bytes_are_a_token_and_a_picture_has_a_flat_price() {
        assert_eq!(of_text(""), 0);
        assert_eq!(of_text("12345"), 2);
        let data = "A".repeat(1 << 20);
        let picture = json!({ "messages": [{ "role": "user", "content": [
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } },
        ] }] });
        assert_eq!(Prompt::of(&picture).tokens(), IMAGE_TOKENS + MESSAGE_TOKENS);
    }
}
