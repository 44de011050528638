//! What is sent to a collector of telemetry.

use super::Declaration;

pub(super) const ROWS: &[Declaration] = &[
    Declaration::counter(
        "telemetry.exports",
        "Requests to the OTLP collector: `ok`, or `failed` because it could not be reached or refused",
        &["signal", "outcome"],
    ),
    Declaration::counter(
        "telemetry.lines_dropped",
        "Lines of the log that were forgotten here before the collector took any",
        &[],
    ),
    Declaration::counter(
        "telemetry.spans_dropped",
        "Spans that were not sent: too many waited, or the collector was away for too long",
        &[],
    ),
];
