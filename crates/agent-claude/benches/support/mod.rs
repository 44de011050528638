//! What the benchmarks of this crate share: the stream they decode, and how they print a figure.

use std::hint::black_box;
use std::ops::RangeInclusive;

use agent_claude::stream::{Delta, SseDecoder, SseEvent, StreamEvent};
use bytes::Bytes;
use serde_json::json;

/// What one read of a socket yields.
const CHUNK: usize = 16 * 1024;

/// One comparison.
pub(crate) struct Figure {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) ours: f64,
    pub(crate) baseline: f64,
    pub(crate) unit: &'static str,
    /// What the ratio has to be.
    pub(crate) need: RangeInclusive<f64>,
    pub(crate) includes: &'static str,
    /// The baseline divided by ours (how many times as fast), or ours by the baseline (how many times the cost).
    pub(crate) ratio: f64,
}

#[allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
pub(crate) fn print(figure: Figure) {
    let need = match (figure.need.start(), figure.need.end()) {
        (least, &f64::INFINITY) => format!("ratio >= {least:.1}"),
        (_, most) => format!("ratio <= {most:.1}"),
    };
    let ok = figure.need.contains(&figure.ratio);
    let line = json!({
        "group": figure.group, "name": figure.name, "ours": figure.ours, "baseline": figure.baseline, "unit": figure.unit,
        "ratio": figure.ratio, "need": need, "ok": ok, "includes": figure.includes,
    });
    println!("{line}");
}

/// A text delta as it goes over the wire.
pub(crate) fn delta(text: &str) -> String {
    StreamEvent::ContentBlockDelta {
        index: 0,
        delta: Delta::Text(text.to_owned()),
    }
    .to_sse()
}

/// 20,000 deltas of a few words, as a long answer has them.
pub(crate) fn answer() -> Vec<Bytes> {
    let words = [
        "Hello",
        " there,",
        " this is",
        "\n\n- a list",
        " with \"quotes\"",
        " and caf\u{e9} \u{1F600}",
        ".",
    ];
    let text: String = (0..20_000).map(|n| delta(words[n % words.len()])).collect();
    chunks(Bytes::from(text))
}

pub(crate) fn chunks(bytes: Bytes) -> Vec<Bytes> {
    (0..bytes.len())
        .step_by(CHUNK)
        .map(|at| bytes.slice(at..bytes.len().min(at + CHUNK)))
        .collect()
}

/// Decodes with a decoder of its own; how many events there were.
pub(crate) fn decode(chunks: &[Bytes], mut each: impl FnMut(SseEvent)) -> usize {
    let mut decoder = SseDecoder::new();
    let mut events = 0;
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event().expect("the stream is well formed") {
            each(event);
            events += 1;
        }
    }
    events
}

/// Decodes to typed events that own their text.
pub(crate) fn to_typed(chunks: &[Bytes]) -> usize {
    decode(chunks, |event| {
        _ = black_box(event.parse().expect("the events are well formed"))
    })
}
