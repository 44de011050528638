//! However a stream is cut into chunks, the events are the same, and another decoder agrees on what they are.

use crate::streams::{OwnedEvent, STREAMS, accumulate, cut, decode, parse};
use agent_claude::messages::Content;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;

#[test]
fn every_stream_is_cut_at_every_byte() {
    for (name, bytes) in STREAMS {
        let whole = decode([*bytes]).unwrap();
        assert!(!whole.is_empty(), "{name}");
        for at in 0..=bytes.len() {
            assert_eq!(
                decode([&bytes[..at], &bytes[at..]]).unwrap(),
                whole,
                "{name} cut at {at}"
            );
        }
        assert_eq!(decode(bytes.chunks(1)).unwrap(), whole, "{name} byte by byte");
    }
}

#[test]
fn line_ends_do_not_matter() {
    let text = decode([crate::streams::stream("text")]).unwrap();
    let trimmed = |events: Vec<OwnedEvent>| -> Vec<(Option<String>, String)> {
        events
            .into_iter()
            .map(|event| (event.name, event.data.trim_end().to_owned()))
            .collect()
    };
    let text = trimmed(text);
    for other in ["cr", "crlf"] {
        assert_eq!(
            trimmed(decode([crate::streams::stream(other)]).unwrap()),
            text,
            "{other}"
        );
    }
}

#[tokio::test]
async fn sse_stream_decodes_the_same_events() {
    for (name, bytes) in STREAMS {
        for size in [1, 7, bytes.len()] {
            let chunks = stream::iter(bytes.chunks(size).map(Ok::<_, std::io::Error>));
            let mut theirs = Vec::new();
            let mut decoder = sse_stream::SseByteStream::new(chunks);
            while let Some(event) = decoder.next().await {
                let event = event.unwrap();
                // It also hands out events without data, which the format drops.
                if let Some(data) = event.data {
                    let retry_ms = event.retry.map(u128::from);
                    theirs.push(OwnedEvent {
                        name: event.event,
                        data,
                        id: event.id,
                        retry_ms,
                    });
                }
            }
            assert_eq!(
                decode(bytes.chunks(size)).unwrap(),
                theirs,
                "{name} in chunks of {size}"
            );
        }
    }
}

#[test]
fn events_written_again_are_the_same_events() {
    for (name, bytes) in STREAMS {
        let events = parse(bytes);
        let written: String = events.iter().map(|event| event.to_sse()).collect();
        assert_eq!(parse(written.as_bytes()), events, "{name}");
    }
}

#[test]
fn what_was_received_can_be_stored_and_sent_again_unchanged() {
    for (name, bytes) in STREAMS {
        let Ok(message) = accumulate(&parse(bytes)) else {
            continue;
        };
        let stored = Content::from(message.content.clone()).to_raw();
        assert_eq!(
            Content::Stored(stored).blocks().unwrap(),
            message.content,
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_stream_is_cut_in_many_places(
        which in 0..STREAMS.len(),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let (name, bytes) = STREAMS[which];
        prop_assert_eq!(decode(cut(bytes, &cuts)).unwrap(), decode([bytes]).unwrap(), "{}", name);
    }
}
