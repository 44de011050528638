#![no_main]

// What reads answers is no part of the crate's face, and needs nothing of it.
#[path = "../../src/connection_pool/direct/wire/mod.rs"]
mod wire;

mod body;

use libfuzzer_sys::fuzz_target;

// The first byte says how many of the next ones are the sizes of pieces; the rest is what the server sends.
fuzz_target!(|input: &[u8]| {
    if let Some((count, rest)) = input.split_first() {
        let (cuts, sent) = rest.split_at(usize::from(*count).min(rest.len()));
        body::check(cuts, sent);
    }
});
