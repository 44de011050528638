//! What the manager's two tasks do: a cycle now and then, a look at memory every second.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::manager::CleanupConfig;
use super::pressure::{Gauge, MemoryUse, PressureLevel};
use super::task::{self, Jobs};
use crate::memory::{MemoryPool, PoolStats, give_back_freed_pages};
use crate::metrics::{MetricUnit, MetricsCollector};

/// While memory stays short, responders are asked again this often: they give back what has come idle since.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Part of the interval by which each look at memory is early or late, so that many processes on one machine, or
/// one process and its own timers, don't fall into step.
const JITTER: f64 = 0.1;

/// What a cycle did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CycleReport {
    /// Bytes that tasks and the pool gave back.
    pub freed: u64,
    /// Tasks that ran to their end.
    pub succeeded: usize,
    /// Tasks that failed, by name and with the reason.
    pub failed: Vec<(String, String)>,
    /// Types that look like leaks.
    pub suspects: Vec<String>,
}

/// Shared by the manager and its tasks.
pub(super) struct Worker {
    pub(super) pool: Arc<MemoryPool>,
    pub(super) metrics: Arc<MetricsCollector>,
    pub(super) config: CleanupConfig,
    pub(super) tasks: Jobs,
    pub(super) responders: Jobs,
    pub(super) level: watch::Sender<PressureLevel>,
    pub(super) last_use: Arc<Mutex<MemoryUse>>,
    /// Suspects that were logged; each is logged once, until it is gone.
    pub(super) named: Mutex<HashSet<String>>,
}

impl Worker {
    /// Runs cycles until `stop`, then the final one.
    pub(super) async fn clean(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            loop {
                tokio::time::sleep(self.config.interval).await;
                self.cycle(self.config.task_timeout).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
        if tokio::time::timeout(self.config.final_deadline, self.cycle(self.config.final_deadline))
            .await
            .is_err()
        {
            tracing::warn!(deadline = ?self.config.final_deadline, "the final clean-up did not end in time");
        }
    }

    /// Trims the pool, runs every task, looks for leaks, records the figures.
    pub(super) async fn cycle(&self, task_timeout: Duration) -> CycleReport {
        let begun = Instant::now();
        let resident_before = (self.config.reader)().resident.unwrap_or(0);
        let mut report = CycleReport {
            freed: self.pool.trim().bytes,
            ..CycleReport::default()
        };
        let level = *self.level.borrow();
        self.run_all(&self.tasks, level, task_timeout, &mut report).await;
        report.suspects = self.look_for_leaks();
        let resident_after = (self.config.reader)().resident.unwrap_or(u64::MAX);
        let count = |name: &str, value: u64| self.metrics.record_counter(name, value as f64, HashMap::new());
        count("cleanup.freed_bytes", report.freed);
        // What the process really shrank by; it may well have grown meanwhile, which is no negative freeing.
        count(
            "cleanup.resident_freed_bytes",
            resident_before.saturating_sub(resident_after),
        );
        self.publish();
        self.metrics
            .record_timing("cleanup.cycle", begun.elapsed(), HashMap::new());
        report
    }

    async fn run_all(&self, jobs: &Jobs, level: PressureLevel, limit: Duration, report: &mut CycleReport) {
        for (name, job) in jobs.all() {
            let begun = Instant::now();
            let outcome = task::run(&job, level, limit).await;
            let tags = HashMap::from([("task".to_owned(), name.to_string())]);
            match outcome {
                Ok(freed) => {
                    report.freed = report.freed.saturating_add(freed);
                    report.succeeded += 1;
                }
                Err(failure) => {
                    tracing::warn!(task = %name, %failure, "a clean-up task failed");
                    self.metrics.record_counter("cleanup.failures", 1.0, tags.clone());
                    report.failed.push((name.to_string(), failure.to_string()));
                }
            }
            self.metrics.record_timing("cleanup.task", begun.elapsed(), tags);
        }
    }

    fn look_for_leaks(&self) -> Vec<String> {
        let Some(tracker) = &self.config.tracker else {
            return Vec::new();
        };
        let suspects = tracker.detect_leaks(self.config.leak_threshold);
        let mut named = self.named.lock();
        named.retain(|name| suspects.iter().any(|suspect| suspect.resource_type == *name));
        for suspect in &suspects {
            if named.insert(suspect.resource_type.clone()) {
                tracing::warn!(%suspect, "this looks like a leak");
            }
        }
        suspects
            .into_iter()
            .map(|suspect| suspect.resource_type)
            .collect()
    }

    /// Looks at memory until dropped.
    pub(super) async fn watch_memory(self: Arc<Self>, stop: CancellationToken) {
        let _nobody_looks = EndOfPressure(&self.level);
        let mut gauge = Gauge::new(self.config.pressure);
        let mut asked = Instant::now();
        let mut turn = 0_u32;
        let work = async {
            loop {
                let now = Instant::now();
                let before = *self.level.borrow();
                let level = self.look(&mut gauge, now);
                let short = level > PressureLevel::Normal;
                if level != before || (short && now.duration_since(asked) >= ASK_AGAIN) {
                    asked = now;
                    self.respond(level).await;
                }
                turn = turn.wrapping_add(1);
                tokio::time::sleep(jittered(self.config.pressure_interval, turn)).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// One reading; the level is public before anything is done about it, so new work stops first.
    fn look(&self, gauge: &mut Gauge, now: Instant) -> PressureLevel {
        let reading = (self.config.reader)();
        let level = gauge.observe(&reading, now);
        *self.last_use.lock() = gauge.tightest(&reading);
        self.level.send_if_modified(|current| {
            let changed = *current != level;
            if changed {
                tracing::warn!(from = %current, to = %level, resident = ?reading.resident, "memory pressure changed");
            }
            *current = level;
            changed
        });
        level
    }

    async fn respond(&self, level: PressureLevel) {
        let begun = Instant::now();
        let freed = match level {
            PressureLevel::Normal => 0,
            PressureLevel::Elevated => self.pool.shrink_to(self.pool.get_stats().idle_bytes / 2).bytes,
            PressureLevel::Critical => self.pool.cleanup().bytes,
        };
        let mut report = CycleReport {
            freed,
            ..CycleReport::default()
        };
        self.run_all(
            &self.responders,
            level,
            self.config.responder_timeout,
            &mut report,
        )
        .await;
        if level > PressureLevel::Normal {
            // What was shed must leave resident memory, or the level never falls. It blocks, so not on this thread; that
            // it failed to run could only mean that the runtime is ending.
            tokio::task::spawn_blocking(give_back_freed_pages).await.ok();
        }
        let tags = HashMap::from([("level".to_owned(), level.to_string())]);
        self.metrics
            .record_counter("cleanup.freed_bytes", report.freed as f64, HashMap::new());
        self.metrics
            .record_timing("cleanup.pressure_response", begun.elapsed(), tags);
        self.metrics.record_gauge(
            "memory.pressure",
            level.as_number(),
            MetricUnit::Count,
            HashMap::new(),
        );
    }

    /// The pool's and the tracker's figures as metrics.
    pub(super) fn publish(&self) {
        let gauge =
            |name: &str, value: f64, unit| self.metrics.record_gauge(name, value, unit, HashMap::new());
        let pool: PoolStats = self.pool.get_stats();
        gauge("pool.held_bytes", pool.held_bytes as f64, MetricUnit::Bytes);
        gauge("pool.idle_bytes", pool.idle_bytes as f64, MetricUnit::Bytes);
        gauge("pool.held_buffers", pool.held_buffers as f64, MetricUnit::Count);
        gauge("pool.idle_buffers", pool.idle_buffers as f64, MetricUnit::Count);
        gauge("pool.hit_rate", pool.hit_rate() * 100.0, MetricUnit::Percentage);
        gauge(
            "pool.refused",
            (pool.refused + pool.over_budget) as f64,
            MetricUnit::Count,
        );
        let level = self.level.borrow().as_number();
        gauge("memory.pressure", level, MetricUnit::Count);
        let Some(tracker) = &self.config.tracker else {
            return;
        };
        for (name, info) in tracker.get_resource_info() {
            let tags = HashMap::from([("type".to_owned(), name)]);
            self.metrics.record_gauge(
                "resources.live",
                info.count as f64,
                MetricUnit::Count,
                tags.clone(),
            );
            self.metrics
                .record_gauge("resources.bytes", info.total_size as f64, MetricUnit::Bytes, tags);
        }
        gauge(
            "resources.leak_suspects",
            self.named.lock().len() as f64,
            MetricUnit::Count,
        );
        gauge(
            "resources.anomalies",
            tracker.stats().anomalies as f64,
            MetricUnit::Count,
        );
    }
}

/// Once nobody looks at memory, nobody could end the refusal of new work: the level ends with the watch.
struct EndOfPressure<'a>(&'a watch::Sender<PressureLevel>);

impl Drop for EndOfPressure<'_> {
    fn drop(&mut self) {
        self.0.send_replace(PressureLevel::Normal);
    }
}

/// The interval, a little early or late in a fixed irregular order.
fn jittered(interval: Duration, turn: u32) -> Duration {
    // Multiples of the golden ratio spread evenly and never repeat.
    let spread = (f64::from(turn) * 0.618_033_988_749_895).fract() * 2.0 - 1.0;
    interval.mul_f64(1.0 + JITTER * spread)
}
