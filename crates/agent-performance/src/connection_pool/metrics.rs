use std::time::Duration;

use crate::metrics::{Counter, Gauge, MetricUnit, MetricsCollector, NO_TAGS, Timing};

/// Where a pool records what its connections do; nowhere by default.
#[derive(Debug, Default)]
pub(super) struct PoolMetrics(Option<Handles>);

#[derive(Debug)]
struct Handles {
    open: Gauge,
    in_use: Gauge,
    idle: Gauge,
    opened: Counter,
    reused: Counter,
    refused: Counter,
    wait: Timing,
}

impl PoolMetrics {
    pub(super) fn new(collector: &MetricsCollector) -> Self {
        let gauge = |name| collector.gauge(name, MetricUnit::Count, NO_TAGS);
        let counter = |name| collector.counter(name, NO_TAGS);
        PoolMetrics(Some(Handles {
            open: gauge("connections.open"),
            in_use: gauge("connections.in_use"),
            idle: gauge("connections.idle"),
            opened: counter("connections.opened"),
            reused: counter("connections.reused"),
            refused: counter("connections.refused"),
            wait: collector.duration("connections.wait", NO_TAGS),
        }))
    }

    pub(super) fn opened(&self) {
        self.tell(|handles| {
            handles.opened.increment(1);
            handles.open.add(1.0);
            handles.idle.add(1.0);
        });
    }

    pub(super) fn closed(&self) {
        self.tell(|handles| {
            handles.open.add(-1.0);
            handles.idle.add(-1.0);
        });
    }

    pub(super) fn busy(&self) {
        self.tell(|handles| {
            handles.in_use.add(1.0);
            handles.idle.add(-1.0);
        });
    }

    pub(super) fn free(&self) {
        self.tell(|handles| {
            handles.in_use.add(-1.0);
            handles.idle.add(1.0);
        });
    }

    pub(super) fn reused(&self) {
        self.tell(|handles| handles.reused.increment(1));
    }

    pub(super) fn refused(&self) {
        self.tell(|handles| handles.refused.increment(1));
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.tell(|handles| handles.wait.record(wait));
    }

    fn tell(&self, what: impl FnOnce(&Handles)) {
        if let Some(handles) = &self.0 {
            what(handles);
        }
    }
}
