//! The pool that callers see.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::shelves::Shelves;
use super::stats::{Freed, PoolStats};
use super::tracker::{ResourceKind, ResourceTracker, Tracked};
use super::{PooledBuffer, class};
use crate::clock::{Clock, millis};

/// The resource type under which buffers in callers' hands are tracked.
const TRACKED_AS: &str = "pooled_buffers";

/// How a pool behaves. The default keeps 100 buffers a class, 64 MiB in all, for a minute.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Idle buffers kept in each class.
    pub max_buffers_per_class: usize,
    /// Bytes that callers hold and bytes that lie idle, together.
    pub budget: u64,
    /// How long a buffer may lie idle before [`MemoryPool::trim`] gives it back.
    pub max_idle_time: Duration,
    /// Which buffers are overwritten when they come back.
    pub zeroing: Zeroing,
    /// By what time buffers age.
    pub clock: Clock,
    /// Where buffers in callers' hands are reported, so that one never returned is found.
    pub tracker: Option<ResourceTracker>,
}

/// Which buffers are overwritten with zeros when they come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeroing {
    /// Those on which [`PooledBuffer::mark_secret`] was called.
    #[default]
    MarkedSecret,
    /// All.
    Always,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            max_buffers_per_class: 100,
            // A full pool of every class would be 134 MiB; half of that serves bursts of 64 of the largest.
            budget: 64 * 1024 * 1024,
            max_idle_time: Duration::from_secs(60),
            zeroing: Zeroing::default(),
            clock: Clock::system(),
            tracker: None,
        }
    }
}

/// The budget leaves no room for a buffer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no buffer for {asked} bytes: callers hold {held} of the pool's budget of {budget} bytes; \
     try again when buffers have come back, or raise the budget"
)]
pub struct PoolExhausted {
    /// Bytes that were asked for.
    pub asked: usize,
    /// Bytes in callers' hands at that moment.
    pub held: u64,
    /// The pool's budget, in bytes.
    pub budget: u64,
}

/// Byte buffers that are used again. Clones share one pool.
///
/// A pool pays where many buffers are alive at once; one buffer at a time is as fast from the allocator. The
/// benchmark `performance` has the figures.
#[derive(Clone)]
pub struct MemoryPool {
    core: Arc<Core>,
}

/// What every buffer on loan refers to.
pub(super) struct Core {
    pub(super) shelves: Shelves<BytesMut>,
    pub(super) clock: Clock,
    tracked: Option<ResourceKind>,
    zeroing: Zeroing,
    max_idle_ms: u64,
}

impl Core {
    pub(super) fn track(&self, bytes: u64) -> Option<Tracked> {
        self.tracked.as_ref().map(|kind| kind.track(bytes))
    }

    pub(super) fn wipes_all(&self) -> bool {
        self.zeroing == Zeroing::Always
    }
}

impl MemoryPool {
    /// A pool with the default configuration.
    pub fn new() -> Self {
        Self::with_config(PoolConfig::default())
    }

    /// A pool of one's own making.
    pub fn with_config(config: PoolConfig) -> Self {
        MemoryPool {
            core: Arc::new(Core {
                shelves: Shelves::new(config.max_buffers_per_class, config.budget),
                clock: config.clock,
                tracked: config.tracker.map(|tracker| tracker.kind(TRACKED_AS)),
                zeroing: config.zeroing,
                max_idle_ms: millis(config.max_idle_time),
            }),
        }
    }

    /// An empty buffer that holds `min_size` bytes without growing. Never refuses: when the budget is used up the
    /// buffer is made all the same, and counted as `over_budget`.
    ///
    /// Above [`MAX_REQUEST`](super::MAX_REQUEST) nothing is set aside: the buffer begins without capacity, and grows
    /// by what is really written to it.
    pub fn get_buffer(&self, min_size: usize) -> PooledBuffer {
        let Some((shelf, capacity)) = class::for_request(min_size) else {
            return PooledBuffer::detached();
        };
        if let Some(buffer) = self.idle(shelf) {
            return buffer;
        }
        self.core.shelves.admit(shelf, capacity as u64);
        self.fresh(shelf, capacity)
    }

    /// As [`get_buffer`](Self::get_buffer), but within the budget.
    ///
    /// # Errors
    /// Callers hold so much of the budget that the rest is too little, or the request is above
    /// [`MAX_REQUEST`](super::MAX_REQUEST).
    pub fn try_get_buffer(&self, min_size: usize) -> Result<PooledBuffer, PoolExhausted> {
        let exhausted = || PoolExhausted {
            asked: min_size,
            held: self.core.shelves.snapshot().counts.held_bytes,
            budget: self.core.shelves.budget(),
        };
        let (shelf, capacity) = class::for_request(min_size).ok_or_else(exhausted)?;
        if let Some(buffer) = self.idle(shelf) {
            return Ok(buffer);
        }
        if !self.core.shelves.try_admit(shelf, capacity as u64) {
            return Err(exhausted());
        }
        Ok(self.fresh(shelf, capacity))
    }

    fn idle(&self, shelf: usize) -> Option<PooledBuffer> {
        let (buffer, bytes) = self.core.shelves.take(shelf)?;
        Some(PooledBuffer::new(Arc::clone(&self.core), shelf, buffer, bytes))
    }

    /// A buffer that the shelf's books have already.
    fn fresh(&self, shelf: usize, capacity: usize) -> PooledBuffer {
        let buffer = BytesMut::with_capacity(capacity);
        PooledBuffer::new(Arc::clone(&self.core), shelf, buffer, capacity as u64)
    }

    /// Gives a buffer back now. The same as dropping it: a buffer of another pool goes back to that one.
    pub fn return_buffer(&self, buffer: PooledBuffer) {
        drop(buffer);
    }

    /// The figures of this moment.
    pub fn get_stats(&self) -> PoolStats {
        let snapshot = self.core.shelves.snapshot();
        let counts = snapshot.counts;
        PoolStats {
            allocations: counts.hits + counts.misses,
            deallocations: counts.returned,
            cache_hits: counts.hits,
            cache_misses: counts.misses,
            total_allocated_bytes: counts.held_bytes + counts.idle_bytes,
            peak_allocated_bytes: snapshot.peak,
            held_bytes: counts.held_bytes,
            held_buffers: counts.held,
            idle_bytes: counts.idle_bytes,
            idle_buffers: counts.idle,
            discarded: counts.discarded,
            trimmed: counts.trimmed,
            refused: snapshot.refused,
            over_budget: snapshot.over_budget,
            budget: self.core.shelves.budget(),
        }
    }

    /// Frees all idle buffers. What callers hold stays theirs.
    pub fn cleanup(&self) -> Freed {
        self.shrink_to(0)
    }

    /// Frees the buffers that have been idle for the configured time.
    pub fn trim(&self) -> Freed {
        match self.core.clock.about_now_ms().checked_sub(self.core.max_idle_ms) {
            Some(cutoff) => free(self.core.shelves.take_idle_since(cutoff)),
            None => Freed::default(),
        }
    }

    /// Frees idle buffers, the largest first, until at most `bytes` of them are left.
    pub fn shrink_to(&self, bytes: u64) -> Freed {
        free(self.core.shelves.take_idle_beyond(bytes))
    }
}

fn free((buffers, bytes): (Vec<BytesMut>, u64)) -> Freed {
    Freed {
        buffers: buffers.len() as u64,
        bytes,
    }
}

impl Default for MemoryPool {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryPool").field(&self.get_stats()).finish()
    }
}
