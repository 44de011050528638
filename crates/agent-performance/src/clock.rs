//! The time by which figures are filed, buffers lie idle and resources age: the machine's, or a test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Time since it was made, and what the calendar said then. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    began_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
enum Source {
    Machine(Machine),
    Simulated(SimulatedTime),
}

/// The machine's clock, and when it was first read.
#[derive(Clone, Debug)]
struct Machine {
    start: Instant,
    #[cfg(target_os = "linux")]
    coarse_start: Duration,
}

#[cfg(target_os = "linux")]
#[inline]
fn coarse() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Duration::try_from(time).unwrap_or_default()
}

impl Clock {
    /// The machine's monotonic clock.
    pub fn system() -> Self {
        Clock {
            source: Source::Machine(Machine {
                start: Instant::now(),
                #[cfg(target_os = "linux")]
                coarse_start: coarse(),
            }),
            began_at: Utc::now(),
        }
    }

    /// A clock that stands still until it is told otherwise, for tests and simulations; it begins with the year 1970.
    pub fn simulated() -> (Self, SimulatedTime) {
        let time = SimulatedTime(Arc::default());
        let clock = Clock {
            source: Source::Simulated(time.clone()),
            began_at: DateTime::UNIX_EPOCH,
        };
        (clock, time)
    }

    /// When the clock began.
    pub fn began_at(&self) -> DateTime<Utc> {
        self.began_at
    }

    /// Microseconds since the clock began.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match &self.source {
            Source::Machine(machine) => micros(machine.start.elapsed()),
            Source::Simulated(clock) => clock.0.load(Ordering::Relaxed),
        }
    }

    /// The same to about a hundredth of a second, for what happens more often than that: the kernel of Linux keeps it
    /// ready, which costs 6 ns instead of 25.
    #[inline]
    pub(crate) fn about_now(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if let Source::Machine(machine) = &self.source {
            return micros(coarse().saturating_sub(machine.coarse_start));
        }
        self.now()
    }

    /// [`about_now`](Self::about_now) in whole milliseconds.
    #[inline]
    pub(crate) fn about_now_ms(&self) -> u64 {
        self.about_now() / 1_000
    }

    /// The moment `instant` in this clock's microseconds; a simulated clock knows only its own time.
    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        match &self.source {
            Source::Machine(machine) => micros(instant.saturating_duration_since(machine.start)),
            Source::Simulated(_) => self.now(),
        }
    }

    /// The calendar's word for the moment `micros` of this clock.
    pub(crate) fn wall(&self, micros: u64) -> DateTime<Utc> {
        let since = TimeDelta::microseconds(i64::try_from(micros).unwrap_or(i64::MAX));
        self.began_at
            .checked_add_signed(since)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// The hand that moves a simulated [`Clock`]. Clones move the same one.
#[derive(Clone, Debug)]
pub struct SimulatedTime(Arc<AtomicU64>);

impl SimulatedTime {
    /// Moves the time on by `step`, to the microsecond.
    pub fn advance(&self, step: Duration) {
        self.0.fetch_add(micros(step), Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
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

/// Whole milliseconds, as many as fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_when_told_and_all_its_clones_with_it() {
        let (clock, hand) = Clock::simulated();
        let other = clock.clone();
        hand.advance(Duration::from_micros(1_500_001));
        assert_eq!((clock.now(), other.about_now_ms()), (1_500_001, 1_500));
        assert_eq!(clock.at(Instant::now()), clock.now());
        assert_eq!(clock.wall(clock.now()).timestamp_micros(), 1_500_001);
        assert_eq!(clock.wall(u64::MAX), DateTime::<Utc>::MAX_UTC);
        hand.advance(Duration::MAX);
    }

    #[test]
    fn the_machine_s_readings_agree() {
        let clock = Clock::system();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        let (exact, coarse, at) = (clock.now(), clock.about_now(), clock.at(Instant::now()));
        assert!(exact >= 30_000 && at >= exact, "{exact} {at}");
        // A tick of the kernel is at most 10 ms.
        assert!(exact.abs_diff(coarse) < 25_000, "{exact} {coarse}");
    }
}
