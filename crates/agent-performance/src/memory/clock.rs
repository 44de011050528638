//! The time by which idle buffers and live resources age: the system's, or a test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Milliseconds since the clock was made, and what the wall clock said then.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    began_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
enum Source {
    System { origin: u64 },
    Simulated(Arc<AtomicU64>),
}

/// The hand that moves a simulated [`Clock`].
#[derive(Clone, Debug)]
pub struct SimulatedTime(Arc<AtomicU64>);

impl Clock {
    /// The operating system's monotonic clock.
    pub fn system() -> Self {
        Clock {
            source: Source::System {
                origin: monotonic_ms(),
            },
            began_at: Utc::now(),
        }
    }

    /// A clock that moves only when told to.
    pub fn simulated() -> (Self, SimulatedTime) {
        let now = Arc::new(AtomicU64::new(0));
        let clock = Clock {
            source: Source::Simulated(Arc::clone(&now)),
            began_at: DateTime::UNIX_EPOCH,
        };
        (clock, SimulatedTime(now))
    }

    /// Milliseconds since this clock was made; a few of them coarse.
    pub fn now_ms(&self) -> u64 {
        match &self.source {
            Source::System { origin } => monotonic_ms().saturating_sub(*origin),
            Source::Simulated(now) => now.load(Ordering::Relaxed),
        }
    }

    /// The wall time of a moment of this clock.
    pub(crate) fn wall(&self, at_ms: u64) -> DateTime<Utc> {
        let passed = i64::try_from(at_ms).ok().and_then(TimeDelta::try_milliseconds);
        passed
            .and_then(|passed| self.began_at.checked_add_signed(passed))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl SimulatedTime {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::Relaxed);
    }
}

/// Whole milliseconds, as many as fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The coarse clock costs 6 ns where the exact one costs 25, and nothing here needs better than 10 ms.
#[cfg(target_os = "linux")]
fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn monotonic_ms() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    millis(BEGAN.elapsed())
}
