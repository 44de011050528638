//! What is remembered of the checks between looks.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use super::status::{CheckResult, CheckStatus, HealthState, Transition};

/// Changes that are kept. A check that flaps at every look of half a minute fills this in two hours.
pub(super) const MAX_TRANSITIONS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Record {
    results: BTreeMap<String, CheckResult>,
    transitions: VecDeque<Transition>,
}

impl Record {
    /// Takes in what a check said, with what earlier looks add to it.
    pub(super) fn note(&mut self, name: &str, mut result: CheckResult, now: DateTime<Utc>) {
        let before = self.results.get(name);
        if result.status == CheckStatus::Fail {
            result.consecutive_failures = before
                .map_or(0, |last| last.consecutive_failures)
                .saturating_add(1);
            result.last_success = before.and_then(|last| last.last_success);
        } else {
            result.consecutive_failures = 0;
            result.last_success = Some(now);
        }
        let from = before.map(|last| last.status);
        if from != Some(result.status) {
            if self.transitions.len() == MAX_TRANSITIONS {
                self.transitions.pop_front();
            }
            self.transitions.push_back(Transition {
                at: now,
                check: name.to_owned(),
                from,
                to: result.status,
                message: result.message.clone(),
            });
        }
        self.results.insert(name.to_owned(), result);
    }

    /// The state of the whole when `tolerated` failures in a row are too many.
    pub(super) fn state(&self, tolerated: u32) -> HealthState {
        let of = |result: &CheckResult| match result.status {
            CheckStatus::Pass => HealthState::Healthy,
            CheckStatus::Fail if result.consecutive_failures >= tolerated.max(1) => HealthState::Unhealthy,
            CheckStatus::Warn | CheckStatus::Fail => HealthState::Degraded,
        };
        self.results
            .values()
            .map(of)
            .max()
            .unwrap_or(HealthState::Healthy)
    }

    /// From 0 to 100: a check that passes counts in full, one that warns by half.
    pub(super) fn score(&self) -> f64 {
        if self.results.is_empty() {
            return 100.0;
        }
        let points: f64 = self
            .results
            .values()
            .map(|result| match result.status {
                CheckStatus::Pass => 1.0,
                CheckStatus::Warn => 0.5,
                CheckStatus::Fail => 0.0,
            })
            .sum();
        100.0 * points / self.results.len() as f64
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.results.contains_key(name)
    }

    pub(super) fn results(&self) -> &BTreeMap<String, CheckResult> {
        &self.results
    }

    pub(super) fn transitions(&self) -> Vec<Transition> {
        self.transitions.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_count_and_one_success_forgets_them() {
        let mut record = Record::default();
        let first = Utc::now();
        record.note("store", CheckResult::pass("ok"), first);
        for failures in 1..=3 {
            record.note("store", CheckResult::fail("disk full"), Utc::now());
            let result = &record.results()["store"];
            assert_eq!(result.consecutive_failures, failures);
            assert_eq!(result.last_success, Some(first));
            let state = if failures < 3 {
                HealthState::Degraded
            } else {
                HealthState::Unhealthy
            };
            assert_eq!(record.state(3), state);
        }
        record.note("store", CheckResult::warn("slow"), Utc::now());
        assert_eq!(record.results()["store"].consecutive_failures, 0);
        assert_eq!(record.state(3), HealthState::Degraded);
        // What a check says of its own past does not count.
        let boast = CheckResult {
            consecutive_failures: 7,
            ..CheckResult::pass("ok")
        };
        record.note("store", boast, Utc::now());
        assert_eq!(record.results()["store"].consecutive_failures, 0);
        assert_eq!(record.state(3), HealthState::Healthy);
    }

    #[test]
    fn the_worst_check_decides_and_no_tolerance_is_the_first_failure() {
        let mut record = Record::default();
        record.note("a", CheckResult::pass(""), Utc::now());
        record.note("b", CheckResult::fail(""), Utc::now());
        assert_eq!(record.state(0), HealthState::Unhealthy);
        assert_eq!(record.state(2), HealthState::Degraded);
        assert!((record.score() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn only_changes_are_kept_and_a_bounded_number_of_them() {
        let mut record = Record::default();
        for _ in 0..3 {
            record.note("a", CheckResult::pass(""), Utc::now());
        }
        assert_eq!(record.transitions().len(), 1);
        for _ in 0..MAX_TRANSITIONS {
            record.note("a", CheckResult::fail("down"), Utc::now());
            record.note("a", CheckResult::pass("up"), Utc::now());
        }
        let kept = record.transitions();
        assert_eq!(kept.len(), MAX_TRANSITIONS);
        assert_eq!(kept[MAX_TRANSITIONS - 1].to, CheckStatus::Pass);
    }
}
