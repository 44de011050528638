//! Allocations for each delta of a stream. Apart from the other benchmarks, for the counting allocator is slow.
//!
//! Prints one JSON object a line, in the form of the decoder's benchmark.

mod support;

use std::hint::black_box;

use agent_claude::stream::SseDecoder;
use support::{Figure, Need, answer, print};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let chunks = answer();
    // A warm decoder: its buffer is made once for each stream.
    let mut decoder = SseDecoder::new();
    decoder.push(&chunks[0]);
    while let Some(event) = decoder.next_event().expect("the stream is well formed") {
        black_box(event);
    }
    let _profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    let mut events = 0;
    for chunk in &chunks[1..] {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event().expect("the stream is well formed") {
            _ = black_box(event.parse());
            events += 1;
        }
    }
    let ours = (dhat::HeapStats::get().total_blocks - before) as f64 / f64::from(events);
    print(Figure {
        group: "allocations",
        name: "allocations for each delta",
        ours,
        baseline: 1.0,
        unit: "allocations",
        need: Some(Need::AtMost(1.0)),
        includes: "bytes to StreamEvent, with escapes in some of the texts; the one is the delta's own text",
        ratio: ours,
    });
}
