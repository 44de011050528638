//! What the client records of its requests: handles found once, labels from closed sets.
//!
//! A client without a [`Meter`] records nothing. Names and help are declared in the metrics catalogue.

mod models;
mod operation;

use std::fmt;
use std::sync::{Arc, OnceLock};

use agent_performance::metrics::{Counter, Gauge, MetricUnit, MetricsCollector, NO_TAGS};
use http::HeaderMap;
use url::Url;

use super::rate_limits::RateLimits;
use crate::error::ClaudeError;
use models::Models;
pub use operation::Operation;

/// What is asked of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A message, whole or as a stream.
    Messages,
    /// The size of a prompt.
    CountTokens,
    /// The list of models, or one of them.
    Models,
}

impl RequestKind {
    const ALL: [RequestKind; 3] = [
        RequestKind::Messages,
        RequestKind::CountTokens,
        RequestKind::Models,
    ];

    fn label(self) -> &'static str {
        match self {
            RequestKind::Messages => "messages",
            RequestKind::CountTokens => "count_tokens",
            RequestKind::Models => "models",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Error,
    Cancelled,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Ok, Outcome::Error, Outcome::Cancelled];

    fn label(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// What the replies' headers tell of the limits begin with.
const LIMIT_HEADER: &str = "anthropic-ratelimit-";

/// Where whoever sends requests to one API records them.
pub struct Meter {
    collector: MetricsCollector,
    /// By kind and outcome, in the order of their `ALL`.
    requests: [[Counter; 3]; 3],
    in_flight: Gauge,
    /// Found when the API first tells that limit: a level of 0 that nobody told would be an alarm.
    limits: [OnceLock<Gauge>; 4],
    models: Models,
}

impl Meter {
    /// For the API at `base_url`. Its handles are found here, once.
    pub fn new(collector: &MetricsCollector, base_url: &Url) -> Arc<Self> {
        let requests = RequestKind::ALL.map(|kind| {
            Outcome::ALL.map(|outcome| {
                let tags = [("endpoint", kind.label()), ("outcome", outcome.label())];
                collector.counter("claude.requests", &tags)
            })
        });
        Arc::new(Meter {
            requests,
            in_flight: collector.gauge("claude.in_flight", MetricUnit::Count, NO_TAGS),
            limits: Default::default(),
            models: Models::new(collector, base_url),
            collector: collector.clone(),
        })
    }

    /// How many requests may be under way at once; the limit itself keeps it true.
    pub(super) fn concurrency_limit(&self) -> Gauge {
        self.collector
            .gauge("claude.concurrency_limit", MetricUnit::Count, NO_TAGS)
    }

    /// The circuit breaker's state; the breaker itself keeps it true.
    pub(super) fn circuit_state(&self) -> Gauge {
        self.collector
            .gauge("claude.circuit_state", MetricUnit::Count, NO_TAGS)
    }

    /// Because of `error`, the request will be tried again.
    pub(super) fn retried(&self, error: &ClaudeError) {
        let tags = [("reason", error.error_type())];
        self.collector.increment("claude.retries", &tags, 1);
    }

    /// What a reply told.
    pub(super) fn limits(&self, limits: &RateLimits) {
        let told = [
            ("requests", limits.requests),
            ("tokens", limits.tokens),
            ("input_tokens", limits.input_tokens),
            ("output_tokens", limits.output_tokens),
        ];
        for (index, (limit, told)) in told.into_iter().enumerate() {
            if let Some(remaining) = told.and_then(|told| told.remaining) {
                self.limit(index, limit, remaining);
            }
        }
    }

    /// The same, of a reply that nobody reads further.
    pub fn limits_in(&self, headers: &HeaderMap) {
        for (name, value) in headers {
            let Some(what) = name.as_str().strip_prefix(LIMIT_HEADER) else {
                continue;
            };
            let (index, limit) = match what {
                "requests-remaining" => (0, "requests"),
                "tokens-remaining" => (1, "tokens"),
                "input-tokens-remaining" => (2, "input_tokens"),
                "output-tokens-remaining" => (3, "output_tokens"),
                _ => continue,
            };
            if let Some(remaining) = value.to_str().ok().and_then(|text| text.parse().ok()) {
                self.limit(index, limit, remaining);
            }
        }
    }

    fn limit(&self, index: usize, limit: &str, remaining: u64) {
        let gauge = self.limits[index].get_or_init(|| {
            let (name, unit) = ("claude.rate_limit_remaining", MetricUnit::Count);
            self.collector.gauge(name, unit, &[("limit", limit)])
        });
        gauge.set(remaining as f64);
    }

    fn ended(&self, kind: RequestKind, error_type: Option<&'static str>) {
        let outcome = match error_type {
            None => Outcome::Ok,
            Some(ClaudeError::CANCELLED_TYPE) => Outcome::Cancelled,
            Some(_) => Outcome::Error,
        };
        self.requests[kind as usize][outcome as usize].increment(1);
        if let Some(error_type) = error_type.filter(|_| outcome == Outcome::Error) {
            let tags = [("endpoint", kind.label()), ("error.type", error_type)];
            self.collector.increment("claude.errors", &tags, 1);
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}
