use chrono::{DateTime, Utc};
use http::HeaderMap;

/// What is left of the API's rate limits, as its last reply said. Absent where the reply said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests.
    pub requests: Option<RateLimit>,
    /// Input and output tokens together.
    pub tokens: Option<RateLimit>,
    /// Input tokens.
    pub input_tokens: Option<RateLimit>,
    /// Output tokens.
    pub output_tokens: Option<RateLimit>,
}

/// One limit of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The most there is.
    pub limit: Option<u64>,
    /// What is left until the reset.
    pub remaining: Option<u64>,
    /// When all of it is back.
    pub reset: Option<DateTime<Utc>>,
}

impl RateLimits {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        RateLimits {
            requests: RateLimit::from_headers(headers, "requests"),
            tokens: RateLimit::from_headers(headers, "tokens"),
            input_tokens: RateLimit::from_headers(headers, "input-tokens"),
            output_tokens: RateLimit::from_headers(headers, "output-tokens"),
        }
    }

    /// True when the reply said nothing of limits.
    pub fn is_empty(&self) -> bool {
        *self == RateLimits::default()
    }

    /// True when nothing is left of one of them.
    pub fn is_used_up(&self) -> bool {
        [self.requests, self.tokens, self.input_tokens, self.output_tokens]
            .into_iter()
            .flatten()
            .any(|limit| limit.remaining == Some(0))
    }
}

impl RateLimit {
    fn from_headers(headers: &HeaderMap, what: &str) -> Option<Self> {
        let text = |part| {
            headers
                .get(format!("anthropic-ratelimit-{what}-{part}"))?
                .to_str()
                .ok()
        };
        let limit = RateLimit {
            limit: text("limit").and_then(|value| value.parse().ok()),
            remaining: text("remaining").and_then(|value| value.parse().ok()),
            reset: text("reset").and_then(|value| Some(DateTime::parse_from_rfc3339(value).ok()?.to_utc())),
        };
        (limit != RateLimit::default()).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn limits_are_read_and_broken_values_are_absent() {
        let headers: HeaderMap = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:00Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-limit", "many"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let limits = RateLimits::from_headers(&headers);
        let requests = limits.requests.unwrap();
        assert_eq!((requests.limit, requests.remaining), (Some(50), Some(49)));
        assert_eq!(requests.reset.unwrap().to_rfc3339(), "2026-10-21T07:28:00+00:00");
        assert_eq!(limits.tokens, None);
        assert!(limits.is_used_up());
        assert!(RateLimits::from_headers(&HeaderMap::new()).is_empty());
    }
}
