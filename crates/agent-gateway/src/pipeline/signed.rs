//! Requests that have to be signed (RFC 9421): the head first, so that nobody without a key fills memory with a body; then the
//! body's digest; then the nonce, so that only a request that is good in every other way uses one up.

use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent_config::WhenDown;
use agent_security::audit::{AuditEvent, AuditLog};
use agent_security::rate_limit::{Gcra, KeyedGcra};
use agent_security::signature::{
    Message, NonceCache, Scheme, SignatureError, Verified, Verifier, VerifyingKey,
};
use http::request::Parts;

use super::Caller;
use super::context::ClientAddress;
use super::request_body::{RequestBody, Whole};
use super::shared_limits::SharedNonces;
use crate::answer::Refusal;
use crate::parts::Sharing;
use crate::routes::{Route, Surface};

/// When to come again while nobody can tell used nonces from new ones, or none can be remembered.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Refused signatures of one address that are recorded at once, and the time until the next: enough to show that somebody tries, too few to
/// fill the log. The daemon's own figures count them all.
const RECORDED_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const RECORDED_INTERVAL: Duration = Duration::from_secs(3);

/// Addresses remembered for that; all others share one limit while it is full.
const MAX_ADDRESSES: usize = 1024;

pub(super) struct SignatureRules {
    audit: AuditLog,
    recorded: KeyedGcra<ClientAddress>,
    began: Instant,
    verifier: Verifier,
    nonces: NonceCache,
    /// The nonces of all replicas, and what holds when nobody knows them.
    together: Option<(SharedNonces, WhenDown)>,
}

impl SignatureRules {
    pub(super) fn new(keys: Vec<VerifyingKey>, sharing: Option<&Sharing>, audit: AuditLog) -> Self {
        SignatureRules {
            audit,
            recorded: KeyedGcra::new(Gcra::new(RECORDED_INTERVAL, RECORDED_AT_ONCE), MAX_ADDRESSES),
            began: Instant::now(),
            verifier: Verifier::new(keys),
            nonces: NonceCache::default(),
            together: sharing
                .map(|sharing| (SharedNonces::new(sharing.store.clone()), sharing.nonces_when_down)),
        }
    }

    /// Lets a signed request of `by` through once, and gives back its body, which is in memory then. What is refused is recorded.
    pub(super) async fn check(
        &self,
        caller: &Caller,
        by: &str,
        route: &Route,
        head: &Parts,
        body: RequestBody,
    ) -> Result<Whole, Refusal> {
        match self.judge(caller, route.surface, head, body).await {
            Ok(whole) => Ok(whole),
            Err(Unfit::Refused(refusal)) => Err(refusal),
            Err(Unfit::Signature(error)) => {
                self.record(caller, by, route, &error).await;
                Err(refusal(&error))
            }
        }
    }

    async fn record(&self, caller: &Caller, by: &str, route: &Route, error: &SignatureError) {
        if !self.recorded.check(&caller.address, self.began.elapsed()).allowed {
            return;
        }
        let event = AuditEvent::SignatureRefused {
            client: caller.address.to_string(),
            by: by.to_owned(),
            act: format!("{} {}", route.method, route.pattern),
            reason: error.to_string(),
        };
        if let Err(error) = self.audit.record_async(event).await {
            tracing::error!(%error, "a refused signature was not recorded");
        }
    }

    async fn judge(
        &self,
        caller: &Caller,
        surface: Surface,
        head: &Parts,
        body: RequestBody,
    ) -> Result<Whole, Unfit> {
        let scheme = if caller.arrival.encrypted {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let message = Message::of(head, &scheme)?;
        let verified = self.verifier.verify(&message, now)?;
        let whole = body
            .whole()
            .await
            .map_err(|error| Unfit::Refused(error.refusal(surface)))?;
        verified.check_body(&whole)?;
        self.nonces.admit(&verified, now)?;
        self.admit_together(&verified, surface).await?;
        Ok(whole)
    }

    async fn admit_together(&self, verified: &Verified, surface: Surface) -> Result<(), Unfit> {
        let Some((nonces, when_down)) = &self.together else {
            return Ok(());
        };
        let window = Duration::from_secs(Verified::NONCE_SECONDS);
        match nonces.is_first(&verified.key_id, &verified.nonce, window).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignatureError::Replayed.into()),
            Err(_) if *when_down == WhenDown::Alone => Ok(()),
            Err(_) => Err(Unfit::Refused(Refusal::overloaded(
                surface,
                "the store that remembers used nonces for all replicas is down, and none may be used unseen",
                RETRY_AFTER,
            ))),
        }
    }
}

/// Why a request goes no further.
enum Unfit {
    Signature(SignatureError),
    /// For a reason that has nothing to do with who signed it.
    Refused(Refusal),
}

impl From<SignatureError> for Unfit {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

fn refusal(error: &SignatureError) -> Refusal {
    match error {
        SignatureError::TooManyNonces => Refusal::too_many(error.to_string(), RETRY_AFTER),
        _ => Refusal::unauthenticated(error.to_string()),
    }
}
