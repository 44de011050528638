//! Buffers that are used again, and an account of what is alive.
//!
//! * [`MemoryPool`] keeps byte buffers in six size classes under one budget, and knows at every moment how many
//!   bytes its callers hold and how many lie idle.
//! * [`ResourceTracker`] counts live resources by type and names those that look like leaks, with the evidence.
//!
//! Nothing here runs by itself: [`crate::cleanup`] calls what has to happen now and then.

mod allocator;
mod buffer;
mod class;
mod pool;
mod shelves;
mod stats;
mod sync;
mod tracker;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

pub(crate) use allocator::give_back_freed_pages;
pub use buffer::PooledBuffer;
pub use class::{LARGEST_CLASS, MAX_REQUEST, SIZE_CLASSES};
pub use pool::{MemoryPool, PoolConfig, PoolExhausted, Zeroing};
pub use stats::{Freed, PoolStats};
pub use tracker::{
    ExpectedLimit, Growth, LeakEvidence, LeakSuspect, OVERFLOW_TYPE, ResourceInfo, ResourceKind,
    ResourceTracker, Tracked, TrackerConfig, TrackerStats, Untouched,
};
