//! How many requests someone may make: the generic cell rate algorithm (GCRA).
//!
//! It keeps one number a key, the *theoretical arrival time*: when a client that sends evenly would be due again. No counter is
//! reset at a full minute, so nobody gets twice the rate around one. [`Gcra`] is the rule, [`KeyedGcra`] a bounded map of such
//! numbers, [`GCRA_LUA`] the same rule for a Redis server that several processes share.
//!
//! Times are given, not read: `now` is the time since any moment that stays the same, in whole microseconds.

mod keyed;
mod script;

pub use keyed::KeyedGcra;
pub use script::GCRA_LUA;

use std::num::NonZeroU32;
use std::time::Duration;

/// Evenly `1 / emission_interval` requests, and `burst` at once after silence.
///
/// Counted in microseconds: those of the clock of a Redis server, and few enough that a script's floating-point numbers hold
/// every moment of the next centuries exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    emission_us: u64,
    burst: NonZeroU32,
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may be served.
    pub allowed: bool,
    /// How many more could follow at once.
    pub remaining: u32,
    /// When it is worth trying again. Zero when allowed.
    pub retry_after: Duration,
    /// When the whole burst is there again, if nothing comes until then.
    pub reset_after: Duration,
}

/// The longest time between two requests, so that sums stay far from overflow: a request a day.
const MAX_EMISSION: Duration = Duration::from_secs(24 * 60 * 60);

impl Gcra {
    /// One request each `emission_interval`, and `burst` at once after silence.
    ///
    /// The interval is taken as 1 µs at least and a day at most.
    pub fn new(emission_interval: Duration, burst: NonZeroU32) -> Self {
        // Rounded up: the limit is never exceeded, not even by a fraction.
        let emission_us = emission_interval
            .min(MAX_EMISSION)
            .as_nanos()
            .div_ceil(1000)
            .max(1);
        Self {
            emission_us: u64::try_from(emission_us).unwrap_or(u64::MAX),
            burst,
        }
    }

    /// That many a minute, all of which may come at once after a minute of silence.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self::new(Duration::from_secs(60) / requests.get(), requests)
    }

    /// Time between two requests of an even stream.
    pub fn emission_interval(&self) -> Duration {
        Duration::from_micros(self.emission_us)
    }

    /// Requests at once after silence.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// Time in which [`burst`](Self::burst) requests are allowed: the window that rate-limit headers name.
    pub fn window(&self) -> Duration {
        Duration::from_micros(self.window_us())
    }

    fn window_us(&self) -> u64 {
        self.emission_us.saturating_mul(self.burst.get().into())
    }

    /// Judges a request at `now` of someone whose theoretical arrival time is `tat`; zero for someone who is new. Returns the
    /// decision with the new `tat`, which is the old one when the request was refused.
    pub fn decide(&self, tat: Duration, now: Duration) -> (Decision, Duration) {
        let (decision, tat) = self.decide_us(micros(tat), micros(now));
        (decision, Duration::from_micros(tat))
    }

    fn decide_us(&self, tat: u64, now: u64) -> (Decision, u64) {
        // What was not used up in the past is gone: silence saves up one burst and no more.
        let due = tat.max(now);
        let next = due.saturating_add(self.emission_us);
        let latest = now.saturating_add(self.window_us());
        if next > latest {
            let decision = Decision {
                allowed: false,
                remaining: 0,
                retry_after: Duration::from_micros(next - latest),
                reset_after: Duration::from_micros(due - now),
            };
            return (decision, tat);
        }
        let decision = Decision {
            allowed: true,
            remaining: u32::try_from((latest - next) / self.emission_us).unwrap_or(u32::MAX),
            retry_after: Duration::ZERO,
            reset_after: Duration::from_micros(next - now),
        };
        (decision, next)
    }
}

/// Whole microseconds; the end of time for what has more than fit.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn limit(emission_ms: u64, burst: u32) -> Gcra {
        Gcra::new(
            Duration::from_millis(emission_ms),
            NonZeroU32::new(burst).unwrap(),
        )
    }

    #[test]
    fn a_burst_then_an_even_stream() {
        let gcra = limit(100, 3);
        // (at ms, allowed, remaining, retry after ms, reset after ms)
        let steps = [
            (0, true, 2, 0, 100),
            (0, true, 1, 0, 200),
            (0, true, 0, 0, 300),
            (0, false, 0, 100, 300),
            (99, false, 0, 1, 201),
            (100, true, 0, 0, 300),
            (100, false, 0, 100, 300),
            (350, true, 1, 0, 150),
            (10_000, true, 2, 0, 100),
        ];
        let mut tat = Duration::ZERO;
        for (at, allowed, remaining, retry, reset) in steps {
            let (decision, next) = gcra.decide(tat, Duration::from_millis(at));
            tat = next;
            let expected = Decision {
                allowed,
                remaining,
                retry_after: Duration::from_millis(retry),
                reset_after: Duration::from_millis(reset),
            };
            assert_eq!(decision, expected, "at {at} ms");
        }
    }

    #[test]
    fn odd_limits_are_made_sensible() {
        let seven = Gcra::per_minute(NonZeroU32::new(7).unwrap());
        assert_eq!(seven.emission_interval(), Duration::from_micros(8_571_429));
        assert!(seven.window() >= Duration::from_secs(60));
        assert_eq!(
            Gcra::per_minute(NonZeroU32::MAX).emission_interval(),
            Duration::from_micros(1)
        );
        assert_eq!(
            Gcra::new(Duration::ZERO, NonZeroU32::MIN).emission_interval(),
            Duration::from_micros(1)
        );
        assert_eq!(
            Gcra::new(Duration::MAX, NonZeroU32::MAX).emission_interval(),
            MAX_EMISSION
        );
        let (decision, _) = Gcra::new(Duration::MAX, NonZeroU32::MAX).decide(Duration::MAX, Duration::MAX);
        assert!(
            !decision.allowed || decision.remaining == 0,
            "the end of time overflows nothing"
        );
    }

    proptest! {
        /// In no stretch of time more requests than the burst and what the rate allows; and after `retry_after` it is allowed.
        #[test]
        fn never_more_than_promised(
            emission_ms in 1u64..500,
            burst in 1u32..20,
            gaps in prop::collection::vec(0u64..400, 1..200),
        ) {
            let gcra = limit(emission_ms, burst);
            let mut now = Duration::from_secs(1000);
            let mut tat = Duration::ZERO;
            let mut served: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let (decision, next) = gcra.decide(tat, now);
                prop_assert!(decision.remaining < burst);
                if decision.allowed {
                    served.push(now);
                    prop_assert_eq!(next, tat.max(now) + gcra.emission_interval());
                } else {
                    prop_assert_eq!(next, tat);
                    prop_assert!(gcra.decide(tat, now + decision.retry_after).0.allowed);
                    let early = decision.retry_after - Duration::from_micros(1);
                    prop_assert!(!gcra.decide(tat, now + early).0.allowed);
                }
                tat = next;
            }
            for (at, first) in served.iter().enumerate() {
                for (count, last) in served[at..].iter().enumerate() {
                    let by_rate = (*last - *first).as_micros() / u128::from(emission_ms * 1000);
                    prop_assert!((count as u128) < u128::from(burst) + by_rate + 1);
                }
            }
        }
    }
}
