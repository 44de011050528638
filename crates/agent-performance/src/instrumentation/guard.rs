//! A timing that is recorded exactly once.

use std::collections::HashMap;
use std::future::Future;
use std::time::Instant;

use crate::metrics::MetricsCollector;

/// The tag that says how an operation ended where it did not come to its end.
const OUTCOME: &str = "outcome";

/// Records the time since it was made in `timing.{operation}` when it is finished or dropped, whichever comes first.
///
/// Dropped while its thread unwinds from a panic, it adds the tag `outcome="panic"`.
#[derive(Debug)]
#[must_use = "dropping it at once records nothing of the operation"]
pub struct TimingGuard {
    collector: MetricsCollector,
    operation: String,
    /// Taken when the timing is recorded.
    tags: Option<HashMap<String, String>>,
    start: Instant,
    /// True for a guard made by a destructor that runs during unwinding: that panic is not its operation's.
    made_in_panic: bool,
    /// What a drop before the end means, where that is known.
    if_dropped: Option<&'static str>,
}

impl TimingGuard {
    /// Starts timing `operation`.
    pub fn new(collector: &MetricsCollector, operation: String, tags: HashMap<String, String>) -> Self {
        TimingGuard {
            collector: collector.clone(),
            operation,
            tags: Some(tags),
            start: Instant::now(),
            made_in_panic: std::thread::panicking(),
            if_dropped: None,
        }
    }

    /// Records the time until now.
    pub fn finish(mut self) {
        self.record(None);
    }

    fn record(&mut self, outcome: Option<&str>) {
        let Some(mut tags) = self.tags.take() else { return };
        let took = self.start.elapsed();
        if let Some(outcome) = outcome {
            tags.insert(OUTCOME.to_owned(), outcome.to_owned());
        }
        self.collector.record_timing(&self.operation, took, tags);
    }
}

impl Drop for TimingGuard {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() && !self.made_in_panic {
            Some("panic")
        } else {
            self.if_dropped
        };
        self.record(outcome);
    }
}

/// Awaits `future` and records how long it took from its first poll, in `timing.{operation}`.
///
/// Dropped before its end, it adds the tag `outcome="cancelled"`: here that can be told from a `?` or a `return`, which
/// end the future as any value does. Never polled, it records nothing.
pub async fn timed<F: Future>(
    collector: &MetricsCollector,
    operation: String,
    tags: HashMap<String, String>,
    future: F,
) -> F::Output {
    let mut guard = TimingGuard::new(collector, operation, tags);
    guard.if_dropped = Some("cancelled");
    let output = future.await;
    guard.finish();
    output
}
