use std::sync::Arc;

use agent_performance::metrics::{Counter, Gauge, MetricUnit, MetricsCollector};

use crate::pipeline::AccessMetrics;

/// What the accept loop tells of its connections, through series looked up once.
pub(super) struct Figures {
    series: Option<Series>,
    access: Arc<AccessMetrics>,
}

struct Series {
    open: Gauge,
    active: Gauge,
    accepted: Counter,
    timed_out: Counter,
}

const NO_TAGS: &[(&str, &str)] = &[];

impl Figures {
    pub(super) fn new(collector: Option<&MetricsCollector>, access: Arc<AccessMetrics>) -> Self {
        let series = collector.map(|collector| Series {
            open: collector.gauge("http.server.connections", MetricUnit::Count, NO_TAGS),
            active: collector.gauge("http.server.active_requests", MetricUnit::Count, NO_TAGS),
            accepted: collector.counter("http.server.connections.accepted", NO_TAGS),
            timed_out: collector.counter("http.server.connections.timed_out", NO_TAGS),
        });
        Figures { series, access }
    }

    pub(super) fn accepted(&self, open: usize) {
        if let Some(series) = &self.series {
            series.accepted.increment(1);
            series.open.set(open as f64);
        }
    }

    pub(super) fn open(&self, open: usize) {
        if let Some(series) = &self.series {
            series.open.set(open as f64);
        }
    }

    /// Told once a sweep: setting a gauge for each request would cost more than counting it.
    pub(super) fn active(&self) {
        if let Some(series) = &self.series {
            series.active.set(self.access.active() as f64);
        }
    }

    pub(super) fn timed_out(&self) {
        if let Some(series) = &self.series {
            series.timed_out.increment(1);
        }
    }
}
