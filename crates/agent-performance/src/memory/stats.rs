//! What the pool tells about itself.

use serde::Serialize;

/// The pool at one moment. All figures were read together: `allocations` is always `cache_hits + cache_misses`, and
/// `total_allocated_bytes` always `held_bytes + idle_bytes`.
///
/// A buffer counts with the capacity it had when it was handed out; what it grows by in a caller's hands becomes
/// known when it comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolStats {
    /// Buffers handed out since the start.
    pub allocations: u64,
    /// Buffers that came back or left the pool for good, since the start.
    pub deallocations: u64,
    /// Requests served with an idle buffer.
    pub cache_hits: u64,
    /// Requests for which memory had to be allocated.
    pub cache_misses: u64,
    /// Bytes allocated now: held by callers or idle.
    pub total_allocated_bytes: u64,
    /// The most that was allocated at one time, in bytes.
    pub peak_allocated_bytes: u64,
    /// Bytes in callers' hands now.
    pub held_bytes: u64,
    /// Buffers in callers' hands now.
    pub held_buffers: u64,
    /// Bytes waiting in the pool now.
    pub idle_bytes: u64,
    /// Buffers waiting in the pool now.
    pub idle_buffers: u64,
    /// Buffers that came back and were not kept: outgrown, shrunk, shared, or their class was full.
    pub discarded: u64,
    /// Idle buffers given back to the allocator.
    pub trimmed: u64,
    /// `try_get_buffer` calls that the budget refused.
    pub refused: u64,
    /// `get_buffer` calls that were served although the budget was used up.
    pub over_budget: u64,
    /// The budget, in bytes.
    pub budget: u64,
}

impl PoolStats {
    /// The share of requests served with an idle buffer, 0 to 1; 0 before the first request.
    pub fn hit_rate(&self) -> f64 {
        if self.allocations == 0 {
            return 0.0;
        }
        self.cache_hits as f64 / self.allocations as f64
    }
}

/// What was given back to the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[must_use = "it tells what was really freed"]
pub struct Freed {
    /// Buffers dropped.
    pub buffers: u64,
    /// Their capacity, in bytes.
    pub bytes: u64,
}
