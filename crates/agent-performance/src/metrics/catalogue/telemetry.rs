//! What is sent to a collector of telemetry.

use super::Declaration;

pub(super) const ROWS: &[Declaration] = &[Declaration::counter(
    "telemetry.exports",
    "Requests to the OTLP collector: `ok`, or `failed` because it could not be reached or refused",
    &["signal", "outcome"],
)];
