//! What a series remembers: a ring of windows, the recent samples, and totals since its start.

use std::collections::VecDeque;

use super::gather::Gathered;
use super::raw::{RawSamples, Sample};
use super::small_counts::SMALL;
use super::window::{ClosedWindow, Figures, Moved, OpenWindow};

/// Windows in the retention time. The far edge of what the sketch answers is sharp to one of them; each costs a hot
/// series up to about 700 bytes.
const WINDOWS: u64 = 12;

/// Above the limit of raw samples exactness is lost anyway, and a part of them is enough to look at.
const CROWDED_SHARE: usize = 4;

/// Values that are compared with the bounds together: a batch.
const CHUNK: usize = 32;

/// How much a series keeps, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Microseconds.
    pub(crate) retention: u64,
    pub(crate) raw_samples: usize,
    /// Upper bounds of the buckets that are counted since the start, for exporters.
    pub(crate) bounds: &'static [f64],
}

impl Limits {
    fn window(&self) -> u64 {
        (self.retention / WINDOWS).max(1)
    }

    /// The oldest time that still counts.
    pub(crate) fn cutoff(&self, now: u64) -> u64 {
        now.saturating_sub(self.retention)
    }
}

/// True when no moment of window `index` counts any more once `open` has begun. The retention is up to a window longer
/// than the ring's windows together, by division, and begins within a window: so two more than they are remain.
fn is_past(index: u64, open: u64) -> bool {
    index + WINDOWS + 1 < open
}

/// Everything about a series' samples that was taken out of its stripes.
#[derive(Debug)]
pub(crate) struct Archive {
    limits: Limits,
    open: OpenWindow,
    /// In order of time; none older than the retention when it was last written to.
    closed: VecDeque<ClosedWindow>,
    raw: RawSamples,
    /// The small counts at the last look.
    seen: Option<Box<[u64; SMALL]>>,
    total: Figures,
    /// How many values were at or below each of the bounds.
    at_or_below: Box<[u64]>,
}

impl Archive {
    pub(crate) fn new(limits: Limits) -> Self {
        Archive {
            limits,
            open: OpenWindow::new(),
            closed: VecDeque::new(),
            raw: RawSamples::new(limits.retention),
            seen: None,
            total: Figures::NONE,
            at_or_below: vec![0; limits.bounds.len()].into_boxed_slice(),
        }
    }

    /// Takes in samples of one stripe, oldest first.
    pub(crate) fn absorb(&mut self, samples: &[Sample]) {
        let window = self.limits.window();
        let mut rest = samples;
        while let [first, ..] = rest {
            let index = first.at / window;
            let times = index * window..(index + 1).saturating_mul(window);
            let len = rest
                .iter()
                .take_while(|sample| times.contains(&sample.at))
                .count()
                // The last window of all time has no end within it.
                .max(1);
            let (batch, later) = rest.split_at(len);
            self.absorb_window(index, batch);
            rest = later;
        }
    }

    fn absorb_window(&mut self, index: u64, batch: &[Sample]) {
        self.roll(index);
        let values = || batch.iter().map(|sample| sample.value);
        let figures = Figures::of(values());
        self.total.merge(&figures);
        self.count_buckets(batch);
        if index == self.open.index {
            self.open.add(values(), &figures);
        } else {
            self.absorb_late(index, values(), &figures);
        }
        let limit = self.raw_limit();
        self.raw.shrink(limit);
        self.raw.extend(batch, limit);
    }

    /// Bound by bound over values side by side: that is work for vector instructions, and cheaper than a search for each
    /// value.
    fn count_buckets(&mut self, batch: &[Sample]) {
        if self.at_or_below.is_empty() {
            return;
        }
        for chunk in batch.chunks(CHUNK) {
            let mut values = [f64::INFINITY; CHUNK];
            for (value, sample) in values.iter_mut().zip(chunk) {
                *value = sample.value;
            }
            for (count, &bound) in self.at_or_below.iter_mut().zip(self.limits.bounds) {
                *count += values.iter().map(|&value| u64::from(value <= bound)).sum::<u64>();
            }
        }
    }

    /// Makes `index` the open window if it is later than the open one, and drops what is then too old.
    fn roll(&mut self, index: u64) {
        if index <= self.open.index {
            return;
        }
        if self.open.is_empty() {
            self.open.index = index;
        } else {
            let closed = self.open.close(index);
            // No more than there can be: a hundred bytes of each of ten thousand series are a megabyte.
            if self.closed.len() == self.closed.capacity() {
                self.closed.reserve_exact(4);
            }
            self.closed.push_back(closed);
        }
        while self
            .closed
            .front()
            .is_some_and(|oldest| is_past(oldest.index, index))
        {
            self.closed.pop_front();
        }
        self.raw
            .expire((index * self.limits.window()).saturating_sub(self.limits.retention));
        let limit = self.raw_limit();
        self.raw.shrink(limit);
    }

    /// Samples that waited in their stripe while others opened a later window.
    fn absorb_late(&mut self, index: u64, values: impl Iterator<Item = f64>, figures: &Figures) {
        if is_past(index, self.open.index) {
            return;
        }
        let late = ClosedWindow::of(index, values, figures);
        match self.closed.binary_search_by_key(&index, |closed| closed.index) {
            Ok(place) => self.closed[place].merge(&late),
            Err(place) => self.closed.insert(place, late),
        }
    }

    /// How many raw samples to keep now: all that are allowed, unless more than that lie in windows that are wholly
    /// within the retention time.
    fn raw_limit(&self) -> usize {
        let limit = self.limits.raw_samples;
        let whole = self.open.index.saturating_sub(WINDOWS - 1);
        let closed = self.closed.iter().rev();
        let closed = closed.take_while(|closed| closed.index >= whole);
        let certain: u64 = closed.map(|closed| closed.figures.count).sum();
        if certain + self.open.figures.count > limit as u64 {
            limit / CROWDED_SHARE
        } else {
            limit
        }
    }

    /// Takes in what a counter's fast path counted since the last look, as of `now`.
    pub(crate) fn look(&mut self, now: u64, totals: [u64; SMALL]) {
        let seen = self.seen.get_or_insert_default();
        if **seen == totals {
            return;
        }
        let before = std::mem::replace(&mut **seen, totals);
        self.roll(now / self.limits.window());
        let moved = self.open.moved.get_or_insert_with(|| {
            Box::new(Moved {
                times: [0; SMALL],
                at: now,
            })
        });
        moved.at = now;
        for (size, (total, before)) in totals.iter().zip(before).enumerate() {
            let times = total - before;
            moved.times[size] += times;
            if times > 0 {
                self.total.add(size as f64, times);
            }
        }
    }

    /// Adds what lies in the retention window that ends at `now`.
    pub(crate) fn gather(&self, now: u64, into: &mut Gathered) {
        let cutoff = self.limits.cutoff(now);
        let exact = self.raw.is_complete_since(cutoff);
        if exact {
            for sample in self.raw.since(cutoff) {
                into.figures.add(sample.value, 1);
                into.values.push((sample.value, 1));
            }
        }
        let window = self.limits.window();
        let counts = |index: u64| (index + 1).saturating_mul(window) > cutoff;
        for closed in self.closed.iter().filter(|closed| counts(closed.index)) {
            closed.gather(exact, into);
        }
        if counts(self.open.index) {
            self.open.gather(exact, into);
        }
    }

    /// The recent samples in no order; what a counter's fast path counted comes as one sum for each window.
    pub(crate) fn recent(&self, now: u64) -> Vec<Sample> {
        let cutoff = self.limits.cutoff(now);
        let moved = self.closed.iter().map(|closed| closed.moved.as_deref());
        let moved = moved.chain([self.open.moved.as_deref()]).flatten();
        let sums = moved.map(|moved| Sample {
            value: (0u32..)
                .zip(moved.times)
                .map(|(size, times)| f64::from(size) * times as f64)
                .sum(),
            at: moved.at,
        });
        let sums = sums.filter(|sum| sum.at >= cutoff);
        self.raw.since(cutoff).chain(sums).collect()
    }

    /// The figures since the start.
    pub(crate) fn total(&self) -> Figures {
        self.total
    }

    /// How many samples since the start were at or below each of the bounds; empty without bounds.
    pub(crate) fn at_or_below(&self) -> &[u64] {
        &self.at_or_below
    }
}
