//! How often each credential may ask, and the headers that tell it.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_config::WhenDown;
use agent_security::rate_limit::{Decision, Gcra, KeyedGcra};
use agent_security::token::MAX_CREDENTIALS;
use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::shared_limits::SharedRate;
use crate::answer::Refusal;
use crate::parts::Sharing;
use crate::routes::Surface;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-limit");
const REMAINING: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-remaining");
const RESET: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-reset");

/// When to come again while nobody can count: about what finding the store again takes.
const UNCOUNTED_RETRY_AFTER: Duration = Duration::from_secs(2);

/// The limit of each credential; none when there is no limit.
pub(crate) struct RateLimits {
    limit: Option<Limit>,
}

struct Limit {
    /// What this replica has let through.
    keyed: KeyedGcra<Arc<str>>,
    /// What all replicas have, and what holds when nobody knows.
    together: Option<(SharedRate, WhenDown)>,
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
    pub(crate) fn new(requests_per_minute: u32, sharing: Option<&Sharing>) -> Self {
        let limit = NonZeroU32::new(requests_per_minute).map(|requests| {
            let gcra = Gcra::per_minute(requests);
            let window = gcra.window().as_secs();
            let together = |sharing: &Sharing| {
                let rate = SharedRate::new(sharing.store.clone(), &gcra);
                (rate, sharing.rate_limits_when_down)
            };
            Limit {
                together: sharing.map(together),
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

    /// Counts a request of `who`, together with the other replicas where there are any. An error when nobody can count it and
    /// it must not go uncounted.
    pub(super) async fn count(
        &self,
        who: Option<&Arc<str>>,
        surface: Surface,
        now: Instant,
    ) -> Result<Option<Standing>, Refusal> {
        let Some(limit) = &self.limit else {
            return Ok(None);
        };
        let who = who.unwrap_or(&limit.anonymous);
        let decision = match &limit.together {
            None => limit.count_alone(who, now),
            Some((rate, when_down)) => match rate.check(who).await {
                Ok(decision) => {
                    if decision.allowed {
                        // Noted here too, so that an outage hands nobody a second burst.
                        limit.count_alone(who, now);
                    }
                    decision
                }
                Err(_) if *when_down == WhenDown::Alone => limit.count_alone(who, now),
                Err(_) => {
                    return Err(Refusal::overloaded(
                        surface,
                        "the store that counts requests for all replicas is down, and none may go uncounted",
                        UNCOUNTED_RETRY_AFTER,
                    ));
                }
            },
        };
        Ok(Some(Standing {
            decision,
            policy: limit.policy.clone(),
            requests: limit.requests.clone(),
        }))
    }
}

impl Limit {
    fn count_alone(&self, who: &Arc<str>, now: Instant) -> Decision {
        self.keyed.check(who, now.duration_since(self.began))
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
        let (mut left, mut seconds) = (itoa::Buffer::new(), itoa::Buffer::new());
        let state = [
            "\"requests\";r=",
            left.format(remaining),
            ";t=",
            seconds.format(reset),
        ];
        headers.insert(POLICY, self.policy.clone());
        headers.insert(STATE, text(state.concat()));
        if surface == Surface::Gateway && !headers.contains_key(LIMIT) {
            headers.insert(LIMIT, self.requests.clone());
            headers.insert(REMAINING, HeaderValue::from(remaining));
            headers.insert(RESET, moment(self.decision.reset_after));
        }
    }
}

/// The time of day after so long. Made once for each second that is asked for.
fn moment(after: Duration) -> HeaderValue {
    thread_local!(static LATEST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) });
    // Rounded up to the second: earlier, the limit would not be what was promised.
    let at = SystemTime::now() + after + Duration::from_millis(999);
    let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LATEST.with_borrow_mut(|latest| {
        if let Some((known, value)) = latest
            && *known == second
        {
            return value.clone();
        }
        let at = UNIX_EPOCH + Duration::from_secs(second);
        let value = text(DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true));
        *latest = Some((second, value.clone()));
        value
    })
}

fn text(text: String) -> HeaderValue {
    // Numbers, quotes and letters only; the other arm is never taken.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use agent_performance::lifecycle::Lifecycle;
    use agent_performance::shared::{Shared, SharedConfig};

    use super::*;
    use crate::pipeline::redis_server::RedisServer;

    async fn counted(limits: &RateLimits, who: Option<&Arc<str>>, now: Instant) -> Option<Standing> {
        limits.count(who, Surface::Gateway, now).await.unwrap()
    }

    #[tokio::test]
    async fn each_credential_has_its_own_limit() {
        let limits = RateLimits::new(3, None);
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let now = Instant::now();
        for _ in 0..3 {
            assert!(
                counted(&limits, Some(&one), now)
                    .await
                    .unwrap()
                    .refusal()
                    .is_none()
            );
        }
        let refused = counted(&limits, Some(&one), now).await.unwrap();
        let answer = refused
            .refusal()
            .unwrap()
            .answer(Surface::Gateway, &crate::answer::RequestId::new());
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "20");
        assert!(
            counted(&limits, Some(&two), now)
                .await
                .unwrap()
                .refusal()
                .is_none()
        );
        assert!(counted(&limits, None, now).await.unwrap().refusal().is_none());
        let later = now + Duration::from_secs(20);
        assert!(
            counted(&limits, Some(&one), later)
                .await
                .unwrap()
                .refusal()
                .is_none()
        );
        assert!(
            counted(&RateLimits::new(0, None), Some(&one), now)
                .await
                .is_none()
        );
    }

    #[tokio::test]
    async fn headers_tell_it_and_leave_the_upstreams_alone() {
        let limits = RateLimits::new(60, None);
        let standing = counted(&limits, None, Instant::now()).await.unwrap();
        let mut headers = HeaderMap::new();
        standing.tell(Surface::Gateway, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"requests\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"requests\";r=59;t=1");
        assert_eq!(headers["anthropic-ratelimit-requests-limit"], "60");
        assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "59");
        let reset = headers["anthropic-ratelimit-requests-reset"].to_str().unwrap();
        assert!(
            DateTime::parse_from_rfc3339(reset).is_ok() && reset.ends_with('Z'),
            "{reset}"
        );

        let mut headers = HeaderMap::new();
        headers.insert(LIMIT, HeaderValue::from_static("4000"));
        standing.tell(Surface::Gateway, &mut headers);
        assert_eq!(headers[LIMIT], "4000");
        assert!(!headers.contains_key(REMAINING) && headers.contains_key(STATE));

        let mut headers = HeaderMap::new();
        standing.tell(Surface::Agent, &mut headers);
        assert!(!headers.contains_key(LIMIT));
    }

    /// Over a server of the test's own, with time enough for a busy machine.
    async fn sharing(server: &RedisServer, when_down: WhenDown) -> Sharing {
        let config = SharedConfig::new(&server.url(), "test").unwrap();
        let config = config.with_command_timeout(Duration::from_secs(20)).unwrap();
        let store = Shared::connect(config, &Lifecycle::new());
        tokio::time::timeout(Duration::from_secs(20), store.until_up())
            .await
            .unwrap();
        Sharing {
            store,
            rate_limits_when_down: when_down,
            nonces_when_down: WhenDown::Refuse,
        }
    }

    async fn wait_for(store: &Shared, up: bool) {
        let change = async {
            while store.is_up() != up {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), change)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_outage_is_gone_through_alone_without_a_second_burst() {
        let mut server = RedisServer::start();
        let one = sharing(&server, WhenDown::Alone).await;
        let two = sharing(&server, WhenDown::Alone).await;
        let limits = [RateLimits::new(4, Some(&one)), RateLimits::new(4, Some(&two))];
        let now = Instant::now();
        let allowed = async |at: usize| counted(&limits[at], None, now).await.unwrap().decision.allowed;
        assert!(allowed(0).await && allowed(0).await && allowed(0).await);
        assert!(allowed(1).await && !allowed(0).await && !allowed(1).await);
        server.kill();
        wait_for(&one.store, false).await;
        wait_for(&two.store, false).await;
        // Each of the four that it has not let through itself.
        assert!(allowed(0).await && !allowed(0).await);
        assert!(allowed(1).await && allowed(1).await && allowed(1).await && !allowed(1).await);
        server.revive();
        wait_for(&one.store, true).await;
        assert!(allowed(0).await, "the new server has counted nothing");
    }

    #[tokio::test]
    async fn where_none_may_go_uncounted_an_outage_is_told() {
        let mut server = RedisServer::start();
        let one = sharing(&server, WhenDown::Refuse).await;
        let limits = RateLimits::new(4, Some(&one));
        let now = Instant::now();
        assert!(counted(&limits, None, now).await.is_some());
        server.kill();
        wait_for(&one.store, false).await;
        for (surface, status) in [(Surface::Gateway, 529), (Surface::Agent, 503)] {
            let refusal = limits.count(None, surface, now).await.unwrap_err();
            let answer = refusal.answer(surface, &crate::answer::RequestId::new());
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers()["retry-after"], "2");
        }
        server.revive();
        wait_for(&one.store, true).await;
        assert!(counted(&limits, None, now).await.is_some());
    }
}
