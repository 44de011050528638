//! The monitor's own figures.

use std::time::Duration;

use agent_performance::metrics::{MetricUnit, MetricsCollector, NO_TAGS};

use super::status::CheckResult;

pub(super) fn check(metrics: &MetricsCollector, name: &str, result: &CheckResult) {
    metrics
        .duration("health_check.duration", &[("check", name)])
        .record(result.duration);
    metrics.increment(
        "health_check.count",
        &[("check", name), ("status", result.status.as_str())],
        1,
    );
}

pub(super) fn cycle(metrics: &MetricsCollector, taken: Duration, score: f64) {
    metrics.duration("health_check.cycle", NO_TAGS).record(taken);
    metrics
        .gauge("health.score", MetricUnit::Percentage, NO_TAGS)
        .set(score);
}
