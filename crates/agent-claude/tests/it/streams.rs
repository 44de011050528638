//! The recorded-like streams, and decoding with cuts.

use agent_claude::messages::Message;
use agent_claude::stream::{Accumulator, DecodeError, SseDecoder, StreamError, StreamEvent};

macro_rules! streams {
    ($($name:literal),+ $(,)?) => {
        /// Every stream of `fixtures/messages`, by name.
        pub(crate) const STREAMS: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../../../fixtures/messages/", $name, ".sse")))),+];
    };
}

streams!(
    "citations",
    "cr",
    "crlf",
    "error_in_the_middle",
    "error_only",
    "late_name",
    "max_tokens",
    "nameless",
    "omitted_thinking",
    "text",
    "thinking_and_tools",
    "unknown",
);

pub(crate) fn stream(name: &str) -> &'static [u8] {
    STREAMS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a stream of that name")
        .1
}

/// An event that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedEvent {
    pub(crate) name: Option<String>,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
    pub(crate) retry_ms: Option<u128>,
}

/// Decodes chunks, taking all events out after each.
pub(crate) fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<OwnedEvent>, DecodeError> {
    let mut decoder = SseDecoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event()? {
            events.push(OwnedEvent {
                name: event.name.map(str::to_owned),
                data: event.data.to_owned(),
                id: event.id.map(str::to_owned),
                retry_ms: event.retry.map(|retry| retry.as_millis()),
            });
        }
    }
    Ok(events)
}

pub(crate) fn parse(bytes: &[u8]) -> Vec<StreamEvent> {
    let events = decode([bytes]).expect("the stream decodes");
    events
        .iter()
        .map(|event| StreamEvent::parse(event.name.as_deref(), &event.data).expect("the event parses"))
        .collect()
}

pub(crate) fn accumulate<'a>(
    events: impl IntoIterator<Item = &'a StreamEvent>,
) -> Result<Message, StreamError> {
    let mut accumulator = Accumulator::new();
    for event in events {
        accumulator.push(event)?;
    }
    accumulator.finish()
}

/// `bytes` cut at `cuts`, in any order.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for cut in cuts {
        chunks.push(&bytes[from..cut]);
        from = cut;
    }
    chunks.push(&bytes[from..]);
    chunks
}
