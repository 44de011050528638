//! Whether the system's clock runs as time does.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::health::{CheckResult, HealthCheck};

/// Clocks are corrected by fractions of a second all the time; signatures and budgets go wrong by minutes.
const TOLERATED: Duration = Duration::from_secs(5);

/// Warns after the clock jumped: signatures, budgets of a day and backups go by it.
///
/// A machine that slept shows a jump, too, where its steady clock stands still meanwhile.
#[derive(Debug, Default)]
pub struct ClockCheck {
    last: Mutex<Option<(Instant, DateTime<Utc>)>>,
}

impl ClockCheck {
    /// The first look has nothing to compare with.
    pub fn new() -> Self {
        Self::default()
    }

    fn look(&self, steady: Instant, clock: DateTime<Utc>) -> CheckResult {
        let Some((steady_before, clock_before)) = self.last.lock().replace((steady, clock)) else {
            return CheckResult::pass("first look");
        };
        let passed = steady.duration_since(steady_before).as_secs_f64();
        let jump = (clock - clock_before).as_seconds_f64() - passed;
        let result = if jump.abs() > TOLERATED.as_secs_f64() {
            CheckResult::warn(format!(
                "the clock jumped by {jump:.1} s since the last look; is time synchronisation running?"
            ))
        } else {
            CheckResult::pass("the clock is steady")
        };
        result.observing("jump", jump, "s")
    }
}

#[async_trait]
impl HealthCheck for ClockCheck {
    async fn check(&self) -> CheckResult {
        self.look(Instant::now(), Utc::now())
    }

    fn name(&self) -> &str {
        "clock"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::CheckStatus;

    #[tokio::test]
    async fn jumps_in_both_directions_are_told_once() {
        let check = ClockCheck::new();
        let (steady, clock) = (Instant::now(), Utc::now());
        let after = |seconds| {
            (
                steady + Duration::from_secs(seconds),
                Duration::from_secs(seconds),
            )
        };
        assert_eq!(check.look(steady, clock).status, CheckStatus::Pass);
        let (later, passed) = after(30);
        assert_eq!(check.look(later, clock + passed).status, CheckStatus::Pass);
        let (later, passed) = after(60);
        let ahead = chrono::Duration::hours(1);
        assert_eq!(
            check.look(later, clock + passed + ahead).status,
            CheckStatus::Warn
        );
        let (later, passed) = after(90);
        assert_eq!(
            check.look(later, clock + passed + ahead).status,
            CheckStatus::Pass
        );
        let (later, passed) = after(120);
        assert_eq!(check.look(later, clock + passed).status, CheckStatus::Warn);
    }
}
