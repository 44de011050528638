//! The stream decoder's speed, as ratios of two measurements of one run: a figure alone says more about the machine.
//!
//! Prints one JSON object a line. A comparison that does not meet its need says so in `ok`; nothing fails here.

mod support;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use agent_claude::messages::{ContentBlock, Message};
use agent_claude::stream::{Accumulator, Delta, StreamEvent};
use bytes::Bytes;
use futures_util::{Stream, stream};
use support::{Figure, answer, chunks, decode, delta, print, to_typed};

/// Each side is run this often, by turns, so that a busy moment hits both.
const ROUNDS: usize = 25;

fn main() {
    small_events();
    typed_events();
    one_large_event();
    accumulation();
}

/// The median seconds of two pieces of work, run by turns.
fn by_turns(mut ours: impl FnMut(), mut baseline: impl FnMut()) -> (f64, f64) {
    let seconds = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(seconds(&mut ours));
        b.push(seconds(&mut baseline));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    (median(&mut a), median(&mut b))
}

fn decode_with_sse_stream(chunks: &[Bytes], mut each: impl FnMut(sse_stream::Sse)) {
    let input = stream::iter(chunks.iter().cloned().map(Ok::<_, std::io::Error>));
    let mut decoder = pin!(sse_stream::SseByteStream::new(input));
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(event)) = decoder.as_mut().poll_next(&mut context) {
        each(event.expect("the stream is well formed"));
    }
}

/// Decodes to events that borrow their text.
fn to_borrowed(chunks: &[Bytes]) -> usize {
    decode(chunks, |event| _ = black_box(event))
}

fn small_events() {
    let chunks = answer();
    assert_eq!(to_borrowed(&chunks), 20_000);
    let (ours, baseline) = by_turns(
        || _ = black_box(to_borrowed(&chunks)),
        || decode_with_sse_stream(&chunks, |event| _ = black_box(event)),
    );
    print(Figure {
        group: "decoder",
        name: "20,000 small events, against sse-stream",
        ours: ours * 1e9 / 20_000.0,
        baseline: baseline * 1e9 / 20_000.0,
        unit: "ns/event",
        need: 2.0..=f64::INFINITY,
        includes: "bytes in chunks of 16 KiB to events with name and data checked to be UTF-8; ours are borrowed, theirs own their text",
        ratio: baseline / ours,
    });
}

fn typed_events() {
    let chunks = answer();
    let (ours, baseline) = by_turns(
        || _ = black_box(to_typed(&chunks)),
        || {
            decode_with_sse_stream(&chunks, |event| {
                let value: Result<serde_json::Value, _> =
                    serde_json::from_str(&event.data.unwrap_or_default());
                _ = black_box(value);
            });
        },
    );
    print(Figure {
        group: "decoder",
        name: "20,000 small events to typed events, against sse-stream and serde_json::Value",
        ours: ours * 1e9 / 20_000.0,
        baseline: baseline * 1e9 / 20_000.0,
        unit: "ns/event",
        need: 1.0..=f64::INFINITY,
        includes: "bytes to StreamEvent with its own text; the baseline stops at untyped JSON",
        ratio: baseline / ours,
    });
}

/// One stream of a single large event and one of many small ones, with the same number of bytes.
fn one_large_event() {
    const TOTAL: usize = 4 * 1024 * 1024;
    let frame = delta("").len();
    let event = |length: usize| delta(&"plain words, ".repeat(length / 12)[..length - frame]);
    let large = Bytes::from(event(TOTAL));
    let small = Bytes::from(event(1024).repeat(TOTAL / 1024));
    assert_eq!((large.len(), small.len()), (TOTAL, TOTAL));
    let (large, small) = (chunks(large), chunks(small));
    assert_eq!((to_borrowed(&large), to_borrowed(&small)), (1, TOTAL / 1024));

    let compare = |work: fn(&[Bytes]) -> usize, name, most, includes| {
        let (ours, baseline) = by_turns(|| _ = black_box(work(&large)), || _ = black_box(work(&small)));
        print(Figure {
            group: "decoder",
            name,
            ours: ours * 1e9 / TOTAL as f64,
            baseline: baseline * 1e9 / TOTAL as f64,
            unit: "ns/byte",
            need: 0.0..=most,
            includes,
            ratio: ours / baseline,
        });
    };
    compare(
        to_typed,
        "one event of 4 MiB, against 4096 events of 1 KiB",
        1.1,
        "bytes in chunks of 16 KiB to StreamEvent with its own text, buffers made anew for each stream; 0.1 is for noise",
    );
    compare(
        to_borrowed,
        "one event of 4 MiB, against 4096 events of 1 KiB, before parsing",
        1.5,
        "bytes to borrowed events; small ones stay in the processor's nearest cache, where 4 MiB have no room",
    );
}

/// An accumulator that has begun a message of one text block.
fn begun() -> Accumulator {
    let mut accumulator = Accumulator::new();
    let start = StreamEvent::MessageStart {
        message: Box::new(Message::new("msg_1", "m")),
    };
    let block = StreamEvent::ContentBlockStart {
        index: 0,
        block: Box::new(ContentBlock::text("")),
    };
    for event in [start, block] {
        accumulator.push(&event).expect("the events are in order");
    }
    accumulator
}

/// Ends the message of [`begun`].
fn end(mut accumulator: Accumulator) {
    for event in [
        StreamEvent::ContentBlockStop { index: 0 },
        StreamEvent::MessageStop,
    ] {
        accumulator.push(&event).expect("the events are in order");
    }
    _ = black_box(accumulator.finish());
}

fn accumulation() {
    let delta = StreamEvent::ContentBlockDelta {
        index: 0,
        delta: Delta::Text("a few words, ".to_owned()),
    };
    let message = |deltas: usize| {
        let mut accumulator = begun();
        for _ in 0..deltas {
            accumulator.push(&delta).expect("the events are in order");
        }
        end(accumulator);
    };
    let (ours, baseline) = by_turns(|| message(100_000), || (0..100).for_each(|_| message(1000)));
    print(Figure {
        group: "decoder",
        name: "accumulating 100,000 deltas, against 1,000",
        ours: ours * 1e9 / 100_000.0,
        baseline: baseline * 1e9 / 100_000.0,
        unit: "ns/delta",
        need: 0.0..=1.3,
        includes: "typed events to a finished message; the baseline makes 100 messages of 1,000 deltas",
        ratio: ours / baseline,
    });
}
