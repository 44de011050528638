//! How long requests took, by route and status: every label comes from a closed set, and every series is looked up once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use agent_performance::metrics::{MetricsCollector, Timing};
use http::StatusCode;

use crate::routes::ROUTES;

const DURATION: &str = "http.server.request.duration";

/// Statuses that get a series of their own; others share one for each hundred.
const STATUSES: [u16; 26] = [
    200, 201, 202, 204, 206, 304, 400, 401, 402, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 431, 499,
    500, 502, 503, 504, 529,
];

const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

const SLOTS: usize = STATUSES.len() + CLASSES.len();

/// The status under which requests are counted whose client went away before the answer, as nginx has it.
const CLIENT_GONE: u16 = 499;

/// Records requests. Without a collector it only counts those in flight.
pub(crate) struct AccessMetrics {
    collector: Option<MetricsCollector>,
    /// One row of slots for each route, and a last one for paths that are none.
    timings: Box<[[OnceLock<Timing>; SLOTS]]>,
    active: AtomicUsize,
}

impl AccessMetrics {
    pub(super) fn new(collector: Option<MetricsCollector>) -> Arc<Self> {
        Arc::new(AccessMetrics {
            collector,
            timings: (0..=ROUTES.len()).map(|_| Default::default()).collect(),
            active: AtomicUsize::new(0),
        })
    }

    /// Requests in flight.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    pub(super) fn began(self: &Arc<Self>, at: Instant) -> Access {
        self.active.fetch_add(1, Relaxed);
        Access {
            metrics: Arc::clone(self),
            route: ROUTES.len(),
            status: CLIENT_GONE,
            at,
        }
    }

    fn record(&self, route: usize, status: u16, at: Instant) {
        let Some(collector) = &self.collector else { return };
        let (slot, label) = slot(status);
        self.timings[route][slot]
            .get_or_init(|| {
                let (method, pattern) = labels(route);
                let code = status.to_string();
                let tags = [
                    ("http.request.method", method),
                    ("http.response.status_code", label.unwrap_or(&code)),
                    ("http.route", pattern),
                ];
                collector.duration(DURATION, &tags)
            })
            .record_since(at);
    }
}

fn labels(route: usize) -> (&'static str, &'static str) {
    ROUTES
        .get(route)
        .map_or(("_OTHER", "none"), |route| (route.method.as_str(), route.pattern))
}

/// The place of a status among the slots, and its label where that is not the number.
fn slot(status: u16) -> (usize, Option<&'static str>) {
    match STATUSES.iter().position(|known| *known == status) {
        Some(slot) => (slot, None),
        None => {
            let class = usize::from(status / 100).clamp(2, 5) - 2;
            (STATUSES.len() + class, Some(CLASSES[class]))
        }
    }
}

/// One request, until its answer is out or its client gone; recorded then.
pub(super) struct Access {
    metrics: Arc<AccessMetrics>,
    route: usize,
    status: u16,
    at: Instant,
}

impl Access {
    /// The request goes to the route with this place in the table.
    pub(super) fn routed(&mut self, route: usize) {
        self.route = route;
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.metrics.active.fetch_sub(1, Relaxed);
        self.metrics.record(self.route, self.status, self.at);
        // The pattern, not the path: what a client puts there may be a secret.
        let (method, route) = labels(self.route);
        let milliseconds = || self.at.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(
            method,
            route,
            status = self.status,
            milliseconds = milliseconds(),
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_recorded_under_closed_labels() {
        let collector = MetricsCollector::new();
        let metrics = AccessMetrics::new(Some(collector.clone()));
        for (route, status) in [(0, 200), (0, 200), (0, 418), (usize::MAX, 404), (0, 999)] {
            let mut access = metrics.began(Instant::now());
            assert_eq!(metrics.active(), 1);
            if route < ROUTES.len() {
                access.routed(route);
            }
            access.answered(StatusCode::from_u16(status).unwrap());
        }
        drop(metrics.began(Instant::now()));
        assert_eq!(metrics.active(), 0);
        let recorded = &collector.get_metrics(Some(DURATION))[DURATION];
        let count = |route: &str, status: &str| {
            recorded
                .iter()
                .filter(|sample| {
                    sample.tags["http.route"] == route && sample.tags["http.response.status_code"] == status
                })
                .count()
        };
        assert_eq!(count("/v1/messages", "200"), 2);
        assert_eq!(count("/v1/messages", "4xx"), 1);
        assert_eq!(count("/v1/messages", "5xx"), 1);
        assert_eq!(count("none", "404"), 1);
        assert_eq!(count("none", "499"), 1, "the client went away");
    }
}
