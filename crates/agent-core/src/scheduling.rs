//! When each tool of one answer may run: conflicting ones in the order of the request, the others together.
//!
//! Knows nothing of tools: it is given which pairs conflict and hands out turns.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The turns of the jobs `0..n` of one answer.
pub(crate) struct Schedule {
    /// For each job the earlier ones that must have ended.
    after: Vec<Vec<usize>>,
    /// One latch a job, fired when it has ended.
    ended: Vec<CancellationToken>,
    permits: Semaphore,
}

impl Schedule {
    /// Plans `jobs` jobs, of which at most `parallel` run at once. `conflict(a, b)` is asked for a < b.
    pub(crate) fn new(jobs: usize, parallel: usize, conflict: impl Fn(usize, usize) -> bool) -> Self {
        let after = (0..jobs).map(|job| (0..job).filter(|earlier| conflict(*earlier, job)).collect());
        Self {
            after: after.collect(),
            ended: (0..jobs).map(|_| CancellationToken::new()).collect(),
            permits: Semaphore::new(parallel.max(1)),
        }
    }

    /// Says that `job` has ended when the returned value is dropped; held through its whole life, so that a job
    /// that is denied or dropped lets the next ones go on.
    pub(crate) fn until_dropped(&self, job: usize) -> DropGuard {
        self.ended[job].clone().drop_guard()
    }

    /// True when `job` has to wait for others.
    pub(crate) fn has_predecessors(&self, job: usize) -> bool {
        !self.after[job].is_empty()
    }

    /// Waits until all that `job` conflicts with has ended.
    pub(crate) async fn predecessors(&self, job: usize) {
        for earlier in &self.after[job] {
            self.ended[*earlier].cancelled().await;
        }
    }

    /// Waits for room to run. To be called after [`predecessors`](Self::predecessors): a job that held room while
    /// it waits for another could keep that one from ever running.
    pub(crate) async fn room(&self) -> SemaphorePermit<'_> {
        self.permits
            .acquire()
            .await
            .expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use parking_lot::Mutex;
    use proptest::prelude::*;
    use std::time::Duration;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Span {
        begin: Duration,
        end: Duration,
    }

    /// Runs jobs of the given lengths on paused time and tells when each ran.
    fn spans(lengths: &[u64], parallel: usize, conflict: impl Fn(usize, usize) -> bool) -> Vec<Span> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let begun = tokio::time::Instant::now();
            let schedule = Schedule::new(lengths.len(), parallel, conflict);
            let spans = Mutex::new(vec![None; lengths.len()]);
            join_all(lengths.iter().enumerate().map(|(job, length)| {
                let (schedule, spans) = (&schedule, &spans);
                async move {
                    let _ended = schedule.until_dropped(job);
                    schedule.predecessors(job).await;
                    let _permit = schedule.room().await;
                    let begin = begun.elapsed();
                    tokio::time::sleep(Duration::from_millis(*length)).await;
                    spans.lock()[job] = Some(Span {
                        begin,
                        end: begun.elapsed(),
                    });
                }
            }))
            .await;
            spans.into_inner().into_iter().map(Option::unwrap).collect()
        })
    }

    #[test]
    fn eight_free_jobs_take_the_time_of_one() {
        let spans = spans(&[5; 8], 8, |_, _| false);
        assert!(spans.iter().all(|span| span.end == Duration::from_millis(5)));
    }

    #[test]
    fn a_dropped_job_lets_the_next_go_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let schedule = Schedule::new(2, 1, |_, _| true);
            drop(schedule.until_dropped(0));
            schedule.predecessors(1).await;
            let _permit = schedule.room().await;
        });
    }

    proptest! {
        #[test]
        fn conflicts_keep_order_and_the_limit_holds(
            lengths in prop::collection::vec(1u64..20, 1..12),
            parallel in 1usize..6,
            pairs in prop::collection::hash_set((0usize..12, 0usize..12), 0..30),
        ) {
            let conflict = |a: usize, b: usize| pairs.contains(&(a, b));
            let spans = spans(&lengths, parallel, conflict);
            for b in 0..lengths.len() {
                for a in 0..b {
                    if conflict(a, b) {
                        prop_assert!(spans[a].end <= spans[b].begin, "{a} must end before {b} begins");
                    }
                }
                let at_once = spans.iter().filter(|s| s.begin <= spans[b].begin && spans[b].begin < s.end).count();
                prop_assert!(at_once <= parallel);
            }
        }
    }
}
