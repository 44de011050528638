//! Bytes to events, events to a message. Nothing here does I/O.
//!
//! ```text
//! chunk ──push──▶ SseDecoder ──SseEvent──▶ StreamEvent::parse ──push──▶ Accumulator ──finish──▶ Message
//! ```
//!
//! What arrives is hostile until proven otherwise: one event, the number of blocks and the whole message have limits,
//! and every step is linear in the bytes it is given.

mod accumulator;
mod block_builder;
mod decode_error;
mod error;
mod event;
mod json_string;
mod parse;
mod sse;
mod sse_fields;
mod wire;

pub use accumulator::{Accumulator, AccumulatorLimits};
pub use decode_error::DecodeError;
pub use error::StreamError;
pub use event::{Delta, MessageDelta, MessageDeltaFields, StreamEvent};
pub use sse::{DEFAULT_MAX_EVENT_BYTES, SseDecoder};
pub use sse_fields::SseEvent;
