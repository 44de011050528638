//! The connection pool and the response cache.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "connections.open",
        MetricUnit::Count,
        "Connections that are open",
        &[],
    ),
    Declaration::gauge(
        "connections.in_use",
        MetricUnit::Count,
        "Of the open connections, those that serve a request",
        &[],
    ),
    Declaration::gauge(
        "connections.idle",
        MetricUnit::Count,
        "Of the open connections, those that wait for a request",
        &[],
    ),
    Declaration::counter("connections.opened", "Connections opened", &[]),
    Declaration::counter(
        "connections.reused",
        "Responses over a connection that had served before",
        &[],
    ),
    Declaration::counter(
        "connections.refused",
        "Requests given up because no connection was free in time",
        &[],
    ),
    Declaration::histogram(
        "connections.wait",
        MetricUnit::Milliseconds,
        "Time that a request waited until a connection to its host was free; 0 where it did not have to",
        &[],
        MILLISECONDS,
    ),
    Declaration::counter("cache.hits", "Look-ups answered from the response cache", &[]),
    Declaration::counter(
        "cache.misses",
        "Look-ups that found nothing fresh in the response cache",
        &[],
    ),
    Declaration::counter(
        "cache.coalesced",
        "Of the misses, those answered by another request's fetch",
        &[],
    ),
    Declaration::counter(
        "cache.bypasses",
        "Requests that did not ask the cache: they forbade it, or it was off",
        &[],
    ),
    Declaration::counter("cache.insertions", "Answers stored", &[]),
    Declaration::counter(
        "cache.evictions",
        "Answers dropped for want of room or under memory pressure",
        &[],
    ),
    Declaration::counter(
        "cache.expirations",
        "Answers dropped because their time was over",
        &[],
    ),
    Declaration::counter(
        "cache.refused",
        "Answers not stored: larger than the whole cache, or with no time to live",
        &[],
    ),
    Declaration::gauge("cache.entries", MetricUnit::Count, "Answers held", &[]),
    Declaration::gauge("cache.bytes", MetricUnit::Bytes, "Keys and answers held", &[]),
];
