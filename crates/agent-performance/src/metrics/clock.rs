//! The collector's time: microseconds since it was made, from the machine or from a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands still until it is told otherwise, for tests and simulations. Clones share their time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time on by `step`, to the microsecond.
    pub fn advance(&self, step: Duration) {
        self.0.fetch_add(micros(step), Ordering::Relaxed);
    }
}

/// Where a collector's time comes from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    Machine(Instant),
    Manual(ManualClock),
}

impl Clock {
    pub(crate) fn machine() -> Self {
        Clock::Machine(Instant::now())
    }

    /// Microseconds since the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Machine(start) => micros(start.elapsed()),
            Clock::Manual(clock) => clock.0.load(Ordering::Relaxed),
        }
    }

    /// The moment `instant` in this clock's terms; a manual clock knows only its own time.
    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        match self {
            Clock::Machine(start) => micros(instant.saturating_duration_since(*start)),
            Clock::Manual(_) => self.now(),
        }
    }
}

/// Whole microseconds; half a million years and more all become the same.
#[inline]
pub(crate) fn micros(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(duration.subsec_micros()))
}
