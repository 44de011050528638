use std::time::Instant;

use super::SharedError;
use crate::metrics::{Counter, Gauge, MetricUnit, MetricsCollector, NO_TAGS, Timing};

/// Where a link records what it does; nowhere by default.
#[derive(Debug, Default)]
pub(super) struct LinkMetrics(Option<Handles>);

#[derive(Debug)]
struct Handles {
    up: Gauge,
    connects: Counter,
    ok: Counter,
    refused: Counter,
    timed_out: Counter,
    failed: Counter,
    skipped: Counter,
    duration: Timing,
}

impl LinkMetrics {
    pub(super) fn new(collector: &MetricsCollector) -> Self {
        let outcome = |outcome| collector.counter("shared.commands", &[("outcome", outcome)]);
        let up = collector.gauge("shared.up", MetricUnit::Count, NO_TAGS);
        up.set(0.0);
        LinkMetrics(Some(Handles {
            up,
            connects: collector.counter("shared.connects", NO_TAGS),
            ok: outcome("ok"),
            refused: outcome("refused"),
            timed_out: outcome("timed_out"),
            failed: outcome("failed"),
            skipped: outcome("skipped"),
            duration: collector.duration("shared.command_duration", NO_TAGS),
        }))
    }

    pub(super) fn connected(&self) {
        if let Some(handles) = &self.0 {
            handles.connects.increment(1);
            handles.up.set(1.0);
        }
    }

    pub(super) fn disconnected(&self) {
        if let Some(handles) = &self.0 {
            handles.up.set(0.0);
        }
    }

    pub(super) fn ended<T>(&self, sent: Instant, outcome: &Result<T, SharedError>) {
        let Some(handles) = &self.0 else { return };
        let counter = match outcome {
            Ok(_) => &handles.ok,
            Err(SharedError::Refused(_)) => &handles.refused,
            Err(SharedError::TimedOut { .. }) => &handles.timed_out,
            Err(SharedError::Failed(_)) => &handles.failed,
            Err(SharedError::Down) => {
                handles.skipped.increment(1);
                return;
            }
        };
        counter.increment(1);
        handles.duration.record_since(sent);
    }
}
