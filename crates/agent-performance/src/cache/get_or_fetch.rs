//! The cache before an upstream: look, or wait for who fetches already, or fetch.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::flight::{Leader, MAX_WAIT, MAX_WAITERS, Part};
use super::{FetchError, Fetched, Found, RequestCaching, ResponseCache, Source};

/// How a caller of `get_or_fetch` comes to its answer.
enum Turn<'a> {
    Answered(Found),
    Lead(Leader<'a>),
}

impl ResponseCache {
    /// What is under `key`, or else what `fetch` brings, which is then stored.
    ///
    /// Of all who ask for one key at the same time, one fetches and the others wait for it. If that one is dropped or
    /// panics, one of the waiting takes over with a fetch of its own. If its fetch fails, all who wait get the same error;
    /// errors are never stored, so the next to ask tries again. Dropping the future gives up nothing of anyone else's.
    ///
    /// `fetch` runs inside this future, and must not ask for the same key itself. While the cache is off, it runs for each
    /// caller.
    ///
    /// # Errors
    /// [`FetchError::Fetch`] with the fetch's own error; the others when too many wait, or for too long.
    pub async fn get_or_fetch<E, F>(
        &self,
        key: &str,
        caching: RequestCaching,
        fetch: impl FnOnce() -> F,
    ) -> Result<Found, FetchError<E>>
    where
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Fetched, E>>,
    {
        let caching = if self.is_enabled() {
            caching
        } else {
            RequestCaching::Bypass
        };
        let (leader, source) = match caching.max_age() {
            None if caching == RequestCaching::Bypass => {
                self.inner.bypassed();
                let value = fetch().await.map_err(FetchError::Fetch)?.into_value();
                return Ok(Found {
                    value,
                    source: Source::Bypassed,
                });
            }
            None => {
                self.inner.bypassed();
                (self.inner.flights.lead(key), Source::Bypassed)
            }
            Some(max_age) => match self.turn(key, max_age).await? {
                Turn::Answered(found) => return Ok(found),
                Turn::Lead(leader) => (leader, Source::Fetched),
            },
        };
        match fetch().await {
            Ok(fetched) => {
                let value = fetched.value().clone();
                leader.land(Ok(value.clone()), || {
                    if let Fetched::Keep { value, ttl } = fetched {
                        self.put_now(key, Bytes::copy_from_slice(&value), ttl);
                    }
                });
                Ok(Found { value, source })
            }
            Err(error) => {
                let shared: Arc<dyn Any + Send + Sync> = Arc::new(error.clone());
                leader.land(Err(shared), || {});
                Err(FetchError::Fetch(error))
            }
        }
    }

    /// Waits until there is an answer, or until it falls to this caller to fetch it. Counts one look-up.
    async fn turn<E>(&self, key: &str, max_age: Duration) -> Result<Turn<'_>, FetchError<E>>
    where
        E: Clone + Send + Sync + 'static,
    {
        let mut deadline = None;
        loop {
            if let Some((value, age)) = self.inner.find(key, max_age) {
                return Ok(Turn::Answered(Found {
                    value,
                    source: Source::Cached { age },
                }));
            }
            let waiter = match self.inner.flights.join(key) {
                Part::Lead(leader) => {
                    // Another may have landed between the look and the lead.
                    if let Some((value, age)) = self.inner.find(key, max_age) {
                        return Ok(Turn::Answered(Found {
                            value,
                            source: Source::Cached { age },
                        }));
                    }
                    if let Some((value, age)) = self.find_shared(key, max_age).await {
                        // It is in memory now: those who wait find it there.
                        drop(leader);
                        return Ok(Turn::Answered(Found {
                            value,
                            source: Source::Cached { age },
                        }));
                    }
                    self.inner.missed();
                    return Ok(Turn::Lead(leader));
                }
                Part::Wait(waiter) => waiter,
                Part::Crowded => {
                    self.inner.missed();
                    return Err(FetchError::Crowded { limit: MAX_WAITERS });
                }
            };
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + MAX_WAIT);
            match timeout_at(deadline, waiter.outcome()).await {
                // The leader gave up: look again, and perhaps lead.
                Ok(None) => {}
                Ok(Some(Ok(value))) => {
                    self.inner.coalesced();
                    return Ok(Turn::Answered(Found {
                        value,
                        source: Source::Shared,
                    }));
                }
                Ok(Some(Err(error))) => {
                    if let Some(error) = error.downcast_ref::<E>() {
                        self.inner.coalesced();
                        return Err(FetchError::Fetch(error.clone()));
                    }
                    // The one that failed has another type of error: nothing to share.
                    self.inner.missed();
                    return Ok(Turn::Lead(self.inner.flights.lead(key)));
                }
                Err(_) => {
                    self.inner.missed();
                    return Err(FetchError::WaitedTooLong { after: MAX_WAIT });
                }
            }
        }
    }
}
