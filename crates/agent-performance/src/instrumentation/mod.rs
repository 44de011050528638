//! Measuring code with one line; figures of the process and its machine.
//!
//! * [`TimingGuard`], [`timed`] and [`time_operation!`](crate::time_operation) record how long something took, exactly
//!   once, however it ends.
//! * [`record_memory!`](crate::record_memory) records what a component holds.
//! * [`SpanTimings`] turns spans of `tracing` into timings.
//! * [`Tracer`] takes spans of work, each within another, where someone wants them; [`SpanContext`] is how that travels.
//! * [`SystemMetrics`] reads the machine, [`EventLoopLag`] the runtime. Nothing of it runs unless it is started.

mod event_loop;
mod guard;
mod macros;
mod spans;
mod system;
mod trace_context;
mod traces;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use event_loop::EventLoopLag;
pub use guard::{TimingGuard, timed};
#[doc(hidden)]
pub use macros::bytes_of;
pub use spans::{MAX_SPAN_NAMES, SpanTimings};
pub use system::{CgroupFigures, MemoryFigures, SystemMetrics};
pub use trace_context::{SpanContext, current, under, within};
pub use traces::{FinishedSpan, MAX_WAITING, Span, SpanKind, SpanValue, Tracer};

/// A time between nine tenths of `interval` and all of it.
fn jittered(interval: Duration) -> Duration {
    use std::hash::BuildHasher;
    let random = std::hash::RandomState::new().hash_one(0u8);
    interval.mul_f64(0.9 + 0.1 * (random as f64 / u64::MAX as f64))
}
