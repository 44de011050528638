//! The daemon's own server. The time of its requests is the conventions' `http.server.request.duration`.

use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "http.server.active_requests",
        MetricUnit::Count,
        "Requests that are being answered, streams included",
        &[],
    ),
    Declaration::gauge(
        "http.server.connections",
        MetricUnit::Count,
        "Connections of clients that are open",
        &[],
    ),
    Declaration::counter(
        "http.server.connections.accepted",
        "Connections of clients that were taken on",
        &[],
    ),
    Declaration::counter(
        "http.server.connections.timed_out",
        "Connections of clients that were closed because the client sent or took nothing for too long",
        &[],
    ),
];
