//! Pools, tracked resources and cleanup.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "pool.held_bytes",
        MetricUnit::Bytes,
        "Pooled buffers in callers' hands",
        &[],
    ),
    Declaration::gauge(
        "pool.idle_bytes",
        MetricUnit::Bytes,
        "Buffers waiting in the pool",
        &[],
    ),
    Declaration::gauge(
        "pool.held_buffers",
        MetricUnit::Count,
        "Number of pooled buffers in callers' hands",
        &[],
    ),
    Declaration::gauge(
        "pool.idle_buffers",
        MetricUnit::Count,
        "Number of buffers waiting in the pool",
        &[],
    ),
    Declaration::gauge(
        "pool.hit_rate",
        MetricUnit::Percentage,
        "Share of requests for a buffer that an idle one served, since the start",
        &[],
    ),
    Declaration::gauge(
        "pool.refused",
        MetricUnit::Count,
        "Requests for a buffer that the budget refused or that went beyond it, since the start",
        &[],
    ),
    Declaration::gauge(
        "resources.live",
        MetricUnit::Count,
        "Tracked resources that are alive",
        &["type"],
    ),
    Declaration::gauge(
        "resources.bytes",
        MetricUnit::Bytes,
        "What tracked resources hold",
        &["type"],
    ),
    Declaration::gauge(
        "resources.leak_suspects",
        MetricUnit::Count,
        "Types of resources that look like leaks; the log says which and why",
        &[],
    ),
    Declaration::gauge(
        "resources.anomalies",
        MetricUnit::Count,
        "Ends of resources that never began, since the start: mistakes in the program",
        &[],
    ),
    Declaration::gauge(
        "memory.pressure",
        MetricUnit::Count,
        "How short memory is: 0 normal, 1 elevated, 2 critical",
        &[],
    ),
    Declaration::counter(
        "cleanup.freed_bytes",
        "Bytes that clean-up tasks, responders and the pool gave back",
        &[],
    )
    .in_unit(MetricUnit::Bytes),
    Declaration::counter(
        "cleanup.resident_freed_bytes",
        "Bytes by which resident memory shrank during clean-up cycles",
        &[],
    )
    .in_unit(MetricUnit::Bytes),
    Declaration::counter(
        "cleanup.failures",
        "Clean-up tasks that failed, panicked or took too long",
        &["task"],
    ),
    Declaration::histogram(
        "timing.cleanup.cycle",
        MetricUnit::Milliseconds,
        "A whole clean-up cycle",
        &[],
        MILLISECONDS,
    ),
    Declaration::histogram(
        "timing.cleanup.task",
        MetricUnit::Milliseconds,
        "One clean-up task or responder",
        &["task"],
        MILLISECONDS,
    ),
    Declaration::histogram(
        "timing.cleanup.pressure_response",
        MetricUnit::Milliseconds,
        "The answer to a change of memory pressure: all responders and the pool",
        &["level"],
        MILLISECONDS,
    ),
];
