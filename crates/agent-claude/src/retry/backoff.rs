use std::time::Duration;

/// The first retry waits up to this: long enough for a hiccup to pass, short enough not to be noticed.
const BASE: Duration = Duration::from_millis(500);

/// No retry waits longer of its own accord: beyond this, a person should be told instead.
const CAP: Duration = Duration::from_secs(8);

/// The wait before retry number `retry` (from 0): exponential, with full jitter.
///
/// `random` is in 0..1. All of the interval is used, because clients that failed together must not return together.
pub(crate) fn delay(retry: u32, random: f64) -> Duration {
    let ceiling = BASE.saturating_mul(2_u32.saturating_pow(retry)).min(CAP);
    ceiling.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_to_the_cap_and_jitter_uses_all_of_them() {
        let ceilings = [500, 1000, 2000, 4000, 8000, 8000];
        for (retry, ceiling) in (0..).zip(ceilings) {
            assert_eq!(delay(retry, 1.0), Duration::from_millis(ceiling));
            assert_eq!(delay(retry, 0.5), Duration::from_millis(ceiling / 2));
            assert_eq!(delay(retry, 0.0), Duration::ZERO);
        }
        assert_eq!(delay(u32::MAX, 1.0), CAP);
    }
}
