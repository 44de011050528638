//! The collector's own series, and what the macros and guards record.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::histogram(
        "timing.{operation}",
        MetricUnit::Milliseconds,
        "Time of an operation; `outcome` is `panic` or `cancelled` where it did not come to its end",
        &["outcome"],
        MILLISECONDS,
    ),
    Declaration::gauge(
        "memory.{component}",
        MetricUnit::Bytes,
        "Memory that a component holds",
        &[],
    ),
    Declaration::histogram(
        "runtime.event_loop_lag",
        MetricUnit::Milliseconds,
        "How much later than asked a timer of the runtime fired",
        &[],
        MILLISECONDS,
    ),
    Declaration::counter(
        "metrics.series_overflowed",
        "Recordings and handles under names and tags that got no series because there were too many",
        &[],
    ),
    Declaration::counter(
        "metrics.values_refused",
        "Values that were not finite, or negative for a counter",
        &[],
    ),
    Declaration::gauge("metrics.series", MetricUnit::Count, "Series that exist", &[]),
    Declaration::gauge(
        "metrics.left_out",
        MetricUnit::Count,
        "Series for which the text for Prometheus had no room; only in that text",
        &[],
    ),
    Declaration::histogram(
        "metrics.overflow",
        MetricUnit::Count,
        "What was recorded under names and tags that got no series, whatever it measured",
        &[],
        &[],
    ),
];
