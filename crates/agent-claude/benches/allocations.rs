//! Allocations for each delta of a stream. Apart from the other benchmarks, for the counting allocator is slow.
//!
//! Prints one JSON object a line, in the form of the decoder's benchmark.

mod support;

use bytes::Bytes;
use support::{Figure, answer, print, to_typed};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let chunks = answer();
    // A buffer is made once for each stream, not for each delta: what a short stream allocates is subtracted.
    let _profiler = dhat::Profiler::builder().testing().build();
    let (few, few_allocations) = count(&chunks[..10]);
    let (all, all_allocations) = count(&chunks);
    let ours = (all_allocations - few_allocations) as f64 / (all - few) as f64;
    print(Figure {
        group: "allocations",
        name: "allocations for each delta",
        ours,
        baseline: 1.0,
        unit: "allocations",
        need: 0.0..=1.0,
        includes: "bytes to StreamEvent, with escapes in some of the texts; the one is the delta's own text",
        ratio: ours,
    });
}

/// Decodes and parses; how many events there were, and how many allocations.
fn count(chunks: &[Bytes]) -> (usize, u64) {
    let before = dhat::HeapStats::get().total_blocks;
    let events = to_typed(chunks);
    (events, dhat::HeapStats::get().total_blocks - before)
}
