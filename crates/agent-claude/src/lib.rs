//! The Messages API: typed requests and replies, streaming, a client with retries, models and prices.
//!
//! Three layers that know nothing of the ones after them:
//!
//! * [`messages`] — what goes over the wire. Fields and block types that this crate has never heard of are kept,
//!   so that a new server feature does not break an old client.
//! * [`stream`] — bytes to events ([`stream::SseDecoder`]), events to a message ([`stream::Accumulator`]). No I/O.
//! * [`keys`] — which API key is sent, and where it may be sent.
//! * [`client`] — sends and receives, with timers, cancellation and retries ([`retry`]); failures are [`error`].
//!
//! [`models`] and [`pricing`] answer what a model can hold and what a reply cost.

pub mod client;
pub mod error;
pub mod keys;
pub mod messages;
pub mod models;
pub mod pricing;
pub mod retry;
pub mod stream;
