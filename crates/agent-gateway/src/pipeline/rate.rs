//! How often each credential may ask, and the headers that tell it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agent_security::rate_limit::{Decision, Gcra, KeyedGcra};
use agent_security::token::MAX_CREDENTIALS;
use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::Refusal;
use crate::routes::Surface;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-limit");
const REMAINING: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-remaining");
const RESET: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-reset");

/// The limit of each credential; none when there is no limit.
pub(super) struct RateLimits {
    limit: Option<Limit>,
}

struct Limit {
    keyed: KeyedGcra<Arc<str>>,
    began: Instant,
    /// Those who show no credential because none is needed.
    anonymous: Arc<str>,
    policy: HeaderValue,
    requests: HeaderValue,
}

/// What came of one request: goes into the headers of its answer.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    decision: Decision,
    policy: HeaderValue,
    requests: HeaderValue,
}

impl RateLimits {
    pub(super) fn new(requests_per_minute: u32) -> Self {
        let limit = NonZeroU32::new(requests_per_minute).map(|requests| {
            let gcra = Gcra::per_minute(requests);
            let window = gcra.window().as_secs();
            Limit {
                // No other keys than credentials: none is ever turned away for want of room.
                keyed: KeyedGcra::new(gcra, MAX_CREDENTIALS * 16),
                began: Instant::now(),
                anonymous: "anonymous".into(),
                policy: text(format!("\"requests\";q={requests};w={window}")),
                requests: HeaderValue::from(requests.get()),
            }
        });
        RateLimits { limit }
    }

    /// Counts a request of `who`.
    pub(super) fn count(&self, who: Option<&Arc<str>>, now: Instant) -> Option<Standing> {
        let limit = self.limit.as_ref()?;
        let who = who.unwrap_or(&limit.anonymous);
        Some(Standing {
            decision: limit.keyed.check(who, now.duration_since(limit.began)),
            policy: limit.policy.clone(),
            requests: limit.requests.clone(),
        })
    }
}

impl Standing {
    /// The refusal, when it was one request too many.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        (!self.decision.allowed).then(|| {
            Refusal::too_many(
                "more requests came with this credential than security.rate_limit_requests_per_minute allows",
                self.decision.retry_after,
            )
        })
    }

    /// Tells how the credential stands. What the upstream says of its own limits is left as it is.
    pub(super) fn tell(&self, surface: Surface, headers: &mut HeaderMap) {
        let reset = self.decision.reset_after.as_millis().div_ceil(1000);
        let remaining = self.decision.remaining;
        headers.insert(POLICY, self.policy.clone());
        headers.insert(STATE, text(format!("\"requests\";r={remaining};t={reset}")));
        if surface == Surface::Gateway && !headers.contains_key(LIMIT) {
            headers.insert(LIMIT, self.requests.clone());
            headers.insert(REMAINING, HeaderValue::from(remaining));
            headers.insert(RESET, moment(self.decision.reset_after));
        }
    }
}

fn moment(after: Duration) -> HeaderValue {
    // Rounded up to the second: earlier, the limit would not be what was promised.
    let at = DateTime::<Utc>::from(SystemTime::now() + after + Duration::from_millis(999));
    text(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn text(text: String) -> HeaderValue {
    // Numbers, quotes and letters only; the other arm is never taken.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_its_own_limit() {
        let limits = RateLimits::new(3);
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let now = Instant::now();
        for _ in 0..3 {
            assert!(limits.count(Some(&one), now).unwrap().refusal().is_none());
        }
        let refused = limits.count(Some(&one), now).unwrap();
        let answer = refused
            .refusal()
            .unwrap()
            .answer(Surface::Gateway, &crate::answer::RequestId::new());
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "20");
        assert!(limits.count(Some(&two), now).unwrap().refusal().is_none());
        assert!(limits.count(None, now).unwrap().refusal().is_none());
        let later = now + Duration::from_secs(20);
        assert!(limits.count(Some(&one), later).unwrap().refusal().is_none());
        assert!(RateLimits::new(0).count(Some(&one), now).is_none());
    }

    #[test]
    fn headers_tell_it_and_leave_the_upstreams_alone() {
        let limits = RateLimits::new(60);
        let standing = limits.count(None, Instant::now()).unwrap();
        let mut headers = HeaderMap::new();
        standing.tell(Surface::Gateway, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"requests\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"requests\";r=59;t=1");
        assert_eq!(headers["anthropic-ratelimit-requests-limit"], "60");
        assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "59");
        let reset = headers["anthropic-ratelimit-requests-reset"].to_str().unwrap();
        assert!(DateTime::parse_from_rfc3339(reset).is_ok() && reset.ends_with('Z'), "{reset}");

        let mut headers = HeaderMap::new();
        headers.insert(LIMIT, HeaderValue::from_static("4000"));
        standing.tell(Surface::Gateway, &mut headers);
        assert_eq!(headers[LIMIT], "4000");
        assert!(!headers.contains_key(REMAINING) && headers.contains_key(STATE));

        let mut headers = HeaderMap::new();
        standing.tell(Surface::Agent, &mut headers);
        assert!(!headers.contains_key(LIMIT));
    }
}
