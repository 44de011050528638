//! Where samples are recorded: batches by thread in front of the archive.
//!
//! A recorder never waits on a lock that a reader holds. It takes whichever of eight stripes is free, and a reader
//! holds one at a time, for the copying of one batch. A full batch goes to whichever of two archives is free, and a
//! reader holds one at a time. So a recorder that finds everything taken waits for other recorders only.

use super::archive::{Archive, Limits};
use super::gather::Gathered;
use super::raw::Sample;
use super::small_counts::SmallCounts;
use super::sync::{Mutex, yield_now};
use super::window::Figures;

/// Batches of a series; see [`super::small_counts::SHARDS`].
const STRIPES: usize = 8;

/// Archives of a series: the second takes over while the first is read or written, and stays empty otherwise.
const ARCHIVES: usize = 2;

/// Samples of a batch that is handed on, so that the archive's work is shared by this many.
const BATCH: usize = 32;

/// Samples of a batch that waits no longer for a free archive. A kilobyte times sixteen.
const LARGEST_BATCH: usize = 1024;

#[derive(Debug)]
#[repr(align(64))]
struct Stripe(Mutex<Batch>);

/// Samples on their way to an archive.
#[derive(Debug, Default)]
struct Batch {
    waiting: Vec<Sample>,
    /// True once the first archive was taken when this batch was full. Every other stripe then moves to the second for
    /// good, so that an archive's memory stays with one processor; a series without such a crowd fills one archive.
    crowded: bool,
}

/// The samples of one series.
#[derive(Debug)]
pub(crate) struct Samples {
    stripes: [Stripe; STRIPES],
    limits: Limits,
    /// Made when first written to.
    archives: [Mutex<Option<Box<Archive>>>; ARCHIVES],
    /// Held by the one who reads, so that a reader never holds more than one archive or stripe in all.
    reader: Mutex<()>,
}

/// What a series amounts to since its start.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) figures: Figures,
    pub(crate) at_or_below: Vec<u64>,
}

impl Totals {
    pub(crate) fn new() -> Self {
        Totals {
            figures: Figures::NONE,
            at_or_below: Vec::new(),
        }
    }
}

impl Samples {
    pub(crate) fn new(limits: Limits) -> Self {
        Samples {
            stripes: std::array::from_fn(|_| Stripe(Mutex::new(Batch::default()))),
            limits,
            archives: std::array::from_fn(|_| Mutex::new(None)),
            reader: Mutex::new(()),
        }
    }

    /// Records a finite value. `stripe` is the caller's own, so that callers rarely meet.
    #[inline]
    pub(crate) fn record(&self, stripe: usize, sample: Sample) {
        loop {
            for step in 0..STRIPES {
                if let Some(mut batch) = self.stripes[(stripe + step) % STRIPES].0.try_lock() {
                    batch.waiting.push(sample);
                    if batch.waiting.len() >= BATCH {
                        self.hand_on((stripe + step) % STRIPES, &mut batch);
                    }
                    return;
                }
            }
            yield_now();
        }
    }

    #[cold]
    fn hand_on(&self, stripe: usize, batch: &mut Batch) {
        loop {
            let first = if batch.crowded { stripe % ARCHIVES } else { 0 };
            for step in 0..ARCHIVES {
                if let Some(mut archive) = self.archives[(first + step) % ARCHIVES].try_lock() {
                    self.write_to(&mut archive).absorb(&batch.waiting);
                    batch.waiting.clear();
                    batch.waiting.shrink_to(BATCH);
                    return;
                }
                batch.crowded = true;
            }
            if batch.waiting.len() < LARGEST_BATCH {
                return;
            }
            yield_now();
        }
    }

    fn write_to<'a>(&self, archive: &'a mut Option<Box<Archive>>) -> &'a mut Archive {
        archive.get_or_insert_with(|| Box::new(Archive::new(self.limits)))
    }

    /// Brings all that was recorded before the call into the archives, and `small` as counted by `now`.
    fn settle(&self, now: u64, small: Option<&SmallCounts>) {
        let mut batch = Vec::new();
        for stripe in &self.stripes {
            {
                let mut own = stripe.0.lock();
                if own.waiting.is_empty() {
                    continue;
                }
                batch.extend_from_slice(&own.waiting);
                own.waiting.clear();
            }
            self.write_to(&mut self.archives[0].lock()).absorb(&batch);
            batch.clear();
        }
        if let Some(small) = small {
            // Read under the reader's lock, so that no look sees less than the one before.
            let totals = small.totals();
            self.write_to(&mut self.archives[0].lock()).look(now, totals);
        }
    }

    /// Settles without reading, so that samples which came slowly are filed in their time.
    pub(crate) fn maintain(&self, now: u64, small: Option<&SmallCounts>) {
        let _one = self.reader.lock();
        self.settle(now, small);
    }

    pub(crate) fn gather(&self, now: u64, small: Option<&SmallCounts>, into: &mut Gathered) {
        let _one = self.reader.lock();
        self.settle(now, small);
        for archive in &self.archives {
            if let Some(archive) = &*archive.lock() {
                archive.gather(now, into);
            }
        }
    }

    /// The recent samples, oldest first.
    pub(crate) fn recent(&self, now: u64, small: Option<&SmallCounts>) -> Vec<Sample> {
        let _one = self.reader.lock();
        self.settle(now, small);
        let mut samples = Vec::new();
        for archive in &self.archives {
            if let Some(archive) = &*archive.lock() {
                samples.append(&mut archive.recent(now));
            }
        }
        // Stable: what one thread recorded within a microsecond stays in its order.
        samples.sort_by_key(|sample| sample.at);
        samples
    }

    /// The totals, written over those of another series: a reader of thousands needs one.
    pub(crate) fn totals_into(&self, now: u64, small: Option<&SmallCounts>, totals: &mut Totals) {
        let _one = self.reader.lock();
        self.settle(now, small);
        totals.figures = Figures::NONE;
        totals.at_or_below.clear();
        for archive in &self.archives {
            let archive = archive.lock();
            let Some(archive) = &*archive else { continue };
            totals.figures.merge(&archive.total());
            totals.at_or_below.resize(archive.at_or_below().len(), 0);
            for (sum, count) in totals.at_or_below.iter_mut().zip(archive.at_or_below()) {
                *sum += count;
            }
        }
    }
}

#[cfg(test)]
impl Samples {
    /// Runs `work` while the named stripe and archive are locked, as a reader would.
    pub(crate) fn while_held(&self, stripe: Option<usize>, archive: Option<usize>, work: impl FnOnce()) {
        let _reader = self.reader.lock();
        let _stripe = stripe.map(|stripe| self.stripes[stripe].0.lock());
        let _archive = archive.map(|archive| self.archives[archive].lock());
        work();
    }
}
