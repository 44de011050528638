#![no_main]

#[path = "body.rs"]
mod body;

use libfuzzer_sys::fuzz_target;

// The first byte says how many of the next ones are chunk sizes; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    if let Some((count, rest)) = input.split_first() {
        let (cuts, stream) = rest.split_at(usize::from(*count).min(rest.len()));
        body::check(cuts, stream);
    }
});
