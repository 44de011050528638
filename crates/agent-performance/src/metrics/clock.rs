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
    Machine(Machine),
    Manual(ManualClock),
}

/// The machine's clock, and when the collector was made by it.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    start: Instant,
    #[cfg(target_os = "linux")]
    coarse_start: Duration,
}

#[cfg(target_os = "linux")]
fn coarse() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::try_from(time).unwrap_or_default()
}

impl Clock {
    pub(crate) fn machine() -> Self {
        Clock::Machine(Machine {
            start: Instant::now(),
            #[cfg(target_os = "linux")]
            coarse_start: coarse(),
        })
    }

    /// The time to about a hundredth of a second, for what is recorded more often than that. Half the cost of
    /// [`now`](Self::now) on Linux, where the kernel keeps it ready.
    #[inline]
    pub(crate) fn about_now(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if let Clock::Machine(machine) = self {
            return micros(coarse().saturating_sub(machine.coarse_start));
        }
        self.now()
    }

    /// Microseconds since the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Machine(machine) => micros(machine.start.elapsed()),
            Clock::Manual(clock) => clock.0.load(Ordering::Relaxed),
        }
    }

    /// The moment `instant` in this clock's terms; a manual clock knows only its own time.
    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        match self {
            Clock::Machine(machine) => micros(instant.saturating_duration_since(machine.start)),
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
