//! The most recent samples, kept as they are.

use std::collections::VecDeque;

/// A value and when it came, in microseconds of the collector's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) at: u64,
}

/// Samples of the retention window, in order of arrival, twelve bytes each.
///
/// Times are kept as 32-bit steps from `base`; a step is small enough for a sample's place in the retention window
/// and large enough that four windows fit, after which `base` moves on.
#[derive(Debug)]
pub(crate) struct RawSamples {
    retention: u64,
    step: u64,
    base: u64,
    values: VecDeque<f64>,
    times: VecDeque<u32>,
    /// The latest time of a sample that was dropped while it might still have counted.
    dropped_until: Option<u64>,
}

impl RawSamples {
    pub(crate) fn new(retention: u64) -> Self {
        RawSamples {
            retention,
            step: retention.div_ceil(1 << 30).max(1),
            base: 0,
            values: VecDeque::new(),
            times: VecDeque::new(),
            dropped_until: None,
        }
    }

    /// Keeps `sample`, and at most `limit` in all: the oldest go first.
    pub(crate) fn push(&mut self, sample: Sample, limit: usize) {
        if limit == 0 {
            self.note_dropped(sample.at);
            return;
        }
        while self.values.len() >= limit {
            self.drop_oldest();
        }
        if self.times.is_empty() || (sample.at.saturating_sub(self.base)) / self.step > u64::from(u32::MAX) {
            self.rebase(sample.at.saturating_sub(self.retention));
        }
        if self.values.len() == self.values.capacity() {
            // Doubling would overshoot the limit, and the limit is what the memory is planned for.
            let more = self.values.len().max(4).min(limit - self.values.len());
            self.values.reserve_exact(more);
            self.times.reserve_exact(more);
        }
        self.values.push_back(sample.value);
        self.times
            .push_back((sample.at.saturating_sub(self.base) / self.step) as u32);
    }

    /// Gives back the room above `limit`.
    pub(crate) fn shrink(&mut self, limit: usize) {
        while self.values.len() > limit {
            self.drop_oldest();
        }
        self.values.shrink_to(limit);
        self.times.shrink_to(limit);
    }

    /// Drops what is older than `cutoff` from the old end. Each sample is looked at once when it goes.
    pub(crate) fn expire(&mut self, cutoff: u64) {
        while self.times.front().is_some_and(|&time| self.time(time) < cutoff) {
            self.values.pop_front();
            self.times.pop_front();
        }
    }

    /// True when nothing that came at `cutoff` or later is missing.
    pub(crate) fn is_complete_since(&self, cutoff: u64) -> bool {
        self.dropped_until.is_none_or(|time| time < cutoff)
    }

    pub(crate) fn since(&self, cutoff: u64) -> impl Iterator<Item = Sample> + '_ {
        self.values
            .iter()
            .zip(&self.times)
            .map(|(&value, &time)| Sample {
                value,
                at: self.time(time),
            })
            .filter(move |sample| sample.at >= cutoff)
    }

    fn time(&self, steps: u32) -> u64 {
        self.base + u64::from(steps) * self.step
    }

    fn drop_oldest(&mut self) {
        self.values.pop_front();
        if let Some(time) = self.times.pop_front() {
            self.note_dropped(self.time(time));
        }
    }

    fn note_dropped(&mut self, at: u64) {
        self.dropped_until = Some(self.dropped_until.map_or(at, |before| before.max(at)));
    }

    fn rebase(&mut self, base: u64) {
        self.expire(base);
        let old = self.base;
        for time in &mut self.times {
            let at = old + u64::from(*time) * self.step;
            *time = (at.saturating_sub(base) / self.step) as u32;
        }
        self.base = base;
    }
}
