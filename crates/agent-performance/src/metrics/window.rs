//! One stretch of a series' time: its exact figures and the sketch of its values.

use super::gather::Gathered;
use super::sketch::{Packed, Sketch, bucket_of, middle_of};
use super::small_counts::SMALL;

/// The exact figures of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figures {
    pub(crate) const NONE: Figures = Figures {
        count: 0,
        sum: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut figures = Figures::NONE;
        values.for_each(|value| figures.add(value, 1));
        figures
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64, times: u64) {
        self.count += times;
        self.sum += value * times as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub(crate) fn merge(&mut self, other: &Figures) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Increments of a counter's fast path within a window, and when they were last seen to have moved.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) times: [u64; SMALL],
    pub(crate) at: u64,
}

/// The window that samples go to.
#[derive(Debug)]
pub(crate) struct OpenWindow {
    pub(crate) index: u64,
    pub(crate) figures: Figures,
    sketch: Sketch,
    pub(crate) moved: Option<Box<Moved>>,
}

impl OpenWindow {
    pub(crate) fn new() -> Self {
        OpenWindow {
            index: 0,
            figures: Figures::NONE,
            sketch: Sketch::default(),
            moved: None,
        }
    }

    /// Takes in values whose figures are `figures`.
    pub(crate) fn add(&mut self, values: impl Iterator<Item = f64>, figures: &Figures) {
        self.figures.merge(figures);
        values.for_each(|value| self.sketch.add(bucket_of(value), 1));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.figures.count == 0 && self.moved.is_none()
    }

    /// What this window held, packed; it is then empty and stands for `index`.
    pub(crate) fn close(&mut self, index: u64) -> ClosedWindow {
        let closed = ClosedWindow {
            index: self.index,
            figures: self.figures,
            packed: Packed::from_sketch(&self.sketch),
            moved: self.moved.take(),
        };
        self.sketch.clear();
        self.figures = Figures::NONE;
        self.index = index;
        closed
    }

    pub(crate) fn gather(&self, exact_samples: bool, into: &mut Gathered) {
        if !exact_samples {
            gather(&self.figures, self.sketch.iter(), into);
        }
        gather_moved(self.moved.as_deref(), into);
    }
}

/// A window that time has left behind.
#[derive(Debug)]
pub(crate) struct ClosedWindow {
    pub(crate) index: u64,
    pub(crate) figures: Figures,
    packed: Packed,
    pub(crate) moved: Option<Box<Moved>>,
}

impl ClosedWindow {
    /// A window of samples that came late.
    pub(crate) fn of(index: u64, values: impl Iterator<Item = f64>, figures: &Figures) -> Self {
        let mut open = OpenWindow::new();
        open.index = index;
        open.add(values, figures);
        open.close(index)
    }

    /// Takes up a window of the same time.
    pub(crate) fn merge(&mut self, other: &ClosedWindow) {
        let mut sketch = Sketch::default();
        for (bucket, count) in self.packed.iter().chain(other.packed.iter()) {
            sketch.add(bucket, count);
        }
        self.packed = Packed::from_sketch(&sketch);
        self.figures.merge(&other.figures);
    }

    pub(crate) fn gather(&self, exact_samples: bool, into: &mut Gathered) {
        if !exact_samples {
            gather(&self.figures, self.packed.iter(), into);
        }
        gather_moved(self.moved.as_deref(), into);
    }
}

fn gather(figures: &Figures, buckets: impl Iterator<Item = (i32, u32)>, into: &mut Gathered) {
    into.figures.merge(figures);
    for (bucket, count) in buckets {
        // The exact extremes bound the estimate: a constant comes out as itself.
        let value = middle_of(bucket).clamp(figures.min, figures.max);
        into.values.push((value, u64::from(count)));
    }
}

fn gather_moved(moved: Option<&Moved>, into: &mut Gathered) {
    let Some(moved) = moved else { return };
    for (size, &times) in moved.times.iter().enumerate().filter(|&(_, &times)| times > 0) {
        into.figures.add(size as f64, times);
        into.values.push((size as f64, times));
    }
}
