//! Requests that have to be signed (RFC 9421): the head first, so that nobody without a key fills memory with a body; then the
//! body's digest; then the nonce, so that only a request that is good in every other way uses one up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_config::WhenDown;
use agent_security::signature::{
    Message, NonceCache, Scheme, SignatureError, Verified, Verifier, VerifyingKey,
};
use http::request::Parts;

use super::origin::Arrival;
use super::request_body::{RequestBody, Whole};
use super::shared_limits::SharedNonces;
use crate::answer::Refusal;
use crate::parts::Sharing;
use crate::routes::Surface;

/// When to come again while nobody can tell used nonces from new ones, or none can be remembered.
const RETRY_AFTER: Duration = Duration::from_secs(2);

pub(super) struct SignatureRules {
    verifier: Verifier,
    nonces: NonceCache,
    /// The nonces of all replicas, and what holds when nobody knows them.
    together: Option<(SharedNonces, WhenDown)>,
}

impl SignatureRules {
    pub(super) fn new(keys: Vec<VerifyingKey>, sharing: Option<&Sharing>) -> Self {
        SignatureRules {
            verifier: Verifier::new(keys),
            nonces: NonceCache::default(),
            together: sharing
                .map(|sharing| (SharedNonces::new(sharing.store.clone()), sharing.nonces_when_down)),
        }
    }

    /// Lets a signed request through once, and gives back its body, which is in memory then.
    pub(super) async fn check(
        &self,
        arrival: Arrival,
        head: &Parts,
        body: RequestBody,
        surface: Surface,
    ) -> Result<Whole, Refusal> {
        let scheme = if arrival.encrypted {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let refused = |error: SignatureError| refusal(&error);
        let message = Message::of(head, &scheme).map_err(refused)?;
        let verified = self.verifier.verify(&message, now).map_err(refused)?;
        let whole = body.whole().await.map_err(|error| error.refusal(surface))?;
        verified.check_body(&whole).map_err(refused)?;
        self.nonces.admit(&verified, now).map_err(refused)?;
        self.admit_together(&verified, surface).await?;
        Ok(whole)
    }

    async fn admit_together(&self, verified: &Verified, surface: Surface) -> Result<(), Refusal> {
        let Some((nonces, when_down)) = &self.together else {
            return Ok(());
        };
        let window = Duration::from_secs(Verified::NONCE_SECONDS);
        match nonces.is_first(&verified.key_id, &verified.nonce, window).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(refusal(&SignatureError::Replayed)),
            Err(_) if *when_down == WhenDown::Alone => Ok(()),
            Err(_) => Err(Refusal::overloaded(
                surface,
                "the store that remembers used nonces for all replicas is down, and none may be used unseen",
                RETRY_AFTER,
            )),
        }
    }
}

fn refusal(error: &SignatureError) -> Refusal {
    match error {
        SignatureError::TooManyNonces => Refusal::too_many(error.to_string(), RETRY_AFTER),
        _ => Refusal::unauthenticated(error.to_string()),
    }
}
