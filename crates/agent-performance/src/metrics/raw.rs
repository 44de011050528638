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
    /// A step is this power of two of microseconds.
    shift: u32,
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
            shift: (retention >> 30).checked_ilog2().map_or(0, |bits| bits + 1),
            base: 0,
            values: VecDeque::new(),
            times: VecDeque::new(),
            dropped_until: None,
        }
    }

    /// Keeps `samples`, and at most `limit` in all: the oldest go first.
    pub(crate) fn extend(&mut self, samples: &[Sample], limit: usize) {
        let (lost, kept) = samples.split_at(samples.len().saturating_sub(limit));
        if let Some(latest) = lost.iter().map(|sample| sample.at).max() {
            self.note_dropped(latest);
        }
        self.drop_oldest((self.values.len() + kept.len()).saturating_sub(limit));
        let Some(last) = kept.last() else { return };
        if self.times.is_empty() || last.at.saturating_sub(self.base) >> self.shift > u64::from(u32::MAX) {
            self.rebase(last.at.saturating_sub(self.retention));
        }
        let len = self.values.len() + kept.len();
        if len > self.values.capacity() {
            // Doubling would overshoot the limit, and the limit is what the memory is planned for.
            let more = len.next_power_of_two().min(limit) - self.values.len();
            self.values.reserve_exact(more);
            self.times.reserve_exact(more);
        }
        let (base, shift) = (self.base, self.shift);
        self.values.extend(kept.iter().map(|sample| sample.value));
        self.times.extend(
            kept.iter()
                .map(|sample| (sample.at.saturating_sub(base) >> shift) as u32),
        );
    }

    /// Gives back the room above `limit`.
    pub(crate) fn shrink(&mut self, limit: usize) {
        self.drop_oldest(self.values.len().saturating_sub(limit));
        if self.values.capacity() > limit {
            self.values.shrink_to(limit);
            self.times.shrink_to(limit);
        }
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
        self.base + (u64::from(steps) << self.shift)
    }

    fn drop_oldest(&mut self, count: usize) {
        self.values.drain(..count);
        if let Some(latest) = self.times.drain(..count).max() {
            self.note_dropped(self.time(latest));
        }
    }

    fn note_dropped(&mut self, at: u64) {
        self.dropped_until = Some(self.dropped_until.map_or(at, |before| before.max(at)));
    }

    fn rebase(&mut self, base: u64) {
        self.expire(base);
        let old = self.base;
        for time in &mut self.times {
            let at = old + (u64::from(*time) << self.shift);
            *time = (at.saturating_sub(base) >> self.shift) as u32;
        }
        self.base = base;
    }
}
