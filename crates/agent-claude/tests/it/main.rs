//! The message types and the stream decoder, from outside.

mod accumulator;
mod decoder_fuzz_body;
mod recut;
mod round_trip;
mod sse_decoder;
mod streams;
