//! What the client of the model's API records beside the conventions' names.

use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::counter(
        "claude.requests",
        "Requests, retries not counted; `outcome` is `ok`, `error` or `cancelled`",
        &["endpoint", "outcome"],
    ),
    Declaration::counter(
        "claude.errors",
        "Requests that failed for good, by what went wrong",
        &["endpoint", "error.type"],
    ),
    Declaration::counter(
        "claude.retries",
        "Tries after the first of a request, by what the try before failed with",
        &["reason"],
    ),
    Declaration::gauge(
        "claude.in_flight",
        MetricUnit::Count,
        "Requests under way, those included that wait for their turn",
        &[],
    ),
    Declaration::gauge(
        "claude.concurrency_limit",
        MetricUnit::Count,
        "Requests that may be under way at once; the API's overload answers lower it",
        &[],
    ),
    Declaration::gauge(
        "claude.circuit_state",
        MetricUnit::Count,
        "State of the circuit breaker: 0 closed, 1 trying whether the API is back, 2 open",
        &[],
    ),
    Declaration::gauge(
        "claude.rate_limit_remaining",
        MetricUnit::Count,
        "What is left of a limit of the API, as its last reply said; `limit` is `requests`, `tokens`, `input_tokens` or `output_tokens`",
        &["limit"],
    ),
];
