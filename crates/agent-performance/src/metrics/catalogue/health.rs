//! Health checks.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::histogram(
        "health_check.duration",
        MetricUnit::Milliseconds,
        "Time that one health check took",
        &["check"],
        MILLISECONDS,
    ),
    Declaration::counter(
        "health_check.count",
        "Looks of health checks by what they found",
        &["check", "status"],
    ),
    Declaration::gauge(
        "health.score",
        MetricUnit::Percentage,
        "Share of the health checks that pass; one that warns counts by half",
        &[],
    ),
    Declaration::histogram(
        "health_check.cycle",
        MetricUnit::Milliseconds,
        "Time that all health checks together took, at the same time",
        &[],
        MILLISECONDS,
    ),
];
