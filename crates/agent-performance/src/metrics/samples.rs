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
const BATCH: usize = 64;

/// Samples of a batch that waits no longer for a free archive. A kilobyte times sixteen.
const LARGEST_BATCH: usize = 1024;

#[derive(Debug)]
#[repr(align(64))]
struct Stripe(Mutex<Vec<Sample>>);

/// The samples of one series.
#[derive(Debug)]
pub(crate) struct Samples {
    stripes: [Stripe; STRIPES],
    archives: [Mutex<Archive>; ARCHIVES],
    /// Held by the one who reads, so that a reader never holds more than one archive or stripe in all.
    reader: Mutex<()>,
}

/// What a series amounts to since its start.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) figures: Figures,
    pub(crate) buckets: Vec<u64>,
}

impl Samples {
    pub(crate) fn new(limits: Limits) -> Self {
        Samples {
            stripes: std::array::from_fn(|_| Stripe(Mutex::new(Vec::new()))),
            archives: std::array::from_fn(|_| Mutex::new(Archive::new(limits))),
            reader: Mutex::new(()),
        }
    }

    /// Records a finite value. `stripe` is the caller's own, so that callers rarely meet.
    #[inline]
    pub(crate) fn record(&self, stripe: usize, sample: Sample) {
        loop {
            for step in 0..STRIPES {
                if let Some(mut batch) = self.stripes[(stripe + step) % STRIPES].0.try_lock() {
                    batch.push(sample);
                    if batch.len() >= BATCH {
                        self.hand_on(&mut batch);
                    }
                    return;
                }
            }
            yield_now();
        }
    }

    #[cold]
    fn hand_on(&self, batch: &mut Vec<Sample>) {
        loop {
            for archive in &self.archives {
                if let Some(mut archive) = archive.try_lock() {
                    archive.absorb(batch);
                    batch.clear();
                    batch.shrink_to(BATCH);
                    return;
                }
            }
            if batch.len() < LARGEST_BATCH {
                return;
            }
            yield_now();
        }
    }

    /// Brings all that was recorded before the call into the archives, and `small` as counted by `now`.
    fn settle(&self, now: u64, small: Option<&SmallCounts>) {
        let mut batch = Vec::with_capacity(BATCH);
        for stripe in &self.stripes {
            {
                let mut waiting = stripe.0.lock();
                batch.extend_from_slice(&waiting);
                waiting.clear();
            }
            if !batch.is_empty() {
                self.archives[0].lock().absorb(&batch);
                batch.clear();
            }
        }
        if let Some(small) = small {
            // Read under the reader's lock, so that no look sees less than the one before.
            let totals = small.totals();
            self.archives[0].lock().look(now, totals);
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
            archive.lock().gather(now, into);
        }
    }

    /// The recent samples, oldest first.
    pub(crate) fn recent(&self, now: u64, small: Option<&SmallCounts>) -> Vec<Sample> {
        let _one = self.reader.lock();
        self.settle(now, small);
        let mut samples = Vec::new();
        for archive in &self.archives {
            samples.append(&mut archive.lock().recent(now));
        }
        // Stable: what one thread recorded within a microsecond stays in its order.
        samples.sort_by_key(|sample| sample.at);
        samples
    }

    pub(crate) fn totals(&self, now: u64, small: Option<&SmallCounts>) -> Totals {
        let _one = self.reader.lock();
        self.settle(now, small);
        let mut totals = Totals {
            figures: Figures::NONE,
            buckets: Vec::new(),
        };
        for archive in &self.archives {
            let archive = archive.lock();
            totals.figures.merge(&archive.total());
            totals.buckets.resize(archive.buckets().len(), 0);
            for (sum, count) in totals.buckets.iter_mut().zip(archive.buckets()) {
                *sum += count;
            }
        }
        totals
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
