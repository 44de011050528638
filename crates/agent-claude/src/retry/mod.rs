//! When to try again, and when to leave the API alone.
//!
//! Parts that know nothing of each other: how long to wait (`backoff`, `headers`), how many retries all requests
//! together may make (`budget`), and whether the API is asked at all (`breaker`). None does I/O; time is Tokio's, so
//! that tests can run an hour in an instant.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod headers;

use std::time::Duration;

/// Tells that a request failed and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryNotice {
    /// The try that comes, counted from 2.
    pub attempt: u32,
    /// How long until then.
    pub delay: Duration,
    /// Why the last one failed.
    pub reason: String,
}
