//! Answers given again: from the cache, or to all who ask for the same at the same time.

use std::borrow::Cow;
use std::sync::Arc;

use agent_performance::cache::{
    CacheKey, CacheStatus, CachedResponse, FetchError, Fetched, KeyParts, Lookup, RecordLimits,
    RequestCaching, ResponseCache, Source, StreamRecorder, Tenant,
};
use agent_performance::lifecycle::Lifecycle;
use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, AGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, StatusCode};

use super::recent::{Asked, RecentKeys};
use super::{Interruption, RelayError};
use crate::answer::{Answer, AnswerBody};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Headers that select an answer: all of a head that a [`key`] is made from.
pub(super) static SELECTING: [HeaderName; 6] = [
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-workspace-id"),
    HeaderName::from_static("anthropic-user-profile-id"),
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
];

/// Room for the headers of most answers, those that the gateway adds included: set aside at once, not by and by.
const HEADERS: usize = 16;

/// An answer that was read whole.
pub(super) struct WholeAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing is stored. Whoever waited for the same answer gets the same.
#[derive(Clone)]
enum Unkept {
    Answer(Arc<WholeAnswer>),
    Failed(Arc<RelayError>),
}

/// The cache, for requests of one tenant.
#[derive(Clone)]
pub(super) struct Cached {
    cache: ResponseCache,
    recent: Arc<RecentKeys>,
    lifecycle: Lifecycle,
}

/// Everything that the answer to a request depends on. `base` is where the upstream is: what stands before the path.
pub(super) fn key(tenant: &str, base: &str, head: &Parts, body: &[u8]) -> CacheKey {
    let path = head.uri.path_and_query().map(PathAndQuery::as_str);
    let [beta, version, selecting @ ..] = &SELECTING;
    let betas: Vec<_> = head.headers.get_all(beta).iter().map(text).collect();
    let mut versions = head.headers.get_all(version).iter().map(text);
    let mut version = versions.next().unwrap_or_default();
    for another in versions {
        version.to_mut().push('\n');
        version.to_mut().push_str(&another);
    }
    let mut selectors = Vec::with_capacity(selecting.len());
    for name in selecting {
        let values = head.headers.get_all(name).iter();
        selectors.extend(values.map(|value| (name.as_str(), text(value))));
    }
    let parts = KeyParts {
        tenant: Tenant::of_credential(tenant.as_bytes()),
        method: head.method.as_str(),
        endpoint: &[base, path.unwrap_or_default()].concat(),
        api_version: &version,
        betas: &betas.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        selectors: &selectors
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect::<Vec<_>>(),
        body,
    };
    parts.key()
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Says what the cache did.
pub(super) fn mark(headers: &mut HeaderMap, status: CacheStatus) {
    headers.insert(X_CACHE, HeaderValue::from_static(status.as_str()));
}

impl Cached {
    pub(super) fn new(cache: ResponseCache, lifecycle: Lifecycle) -> Self {
        Cached {
            cache,
            recent: Arc::new(RecentKeys::new()),
            lifecycle,
        }
    }

    /// The answer to a request, whole or a stream as it was stored, if it is in memory; or else its key, with which the others
    /// look further. Costs the least.
    pub(super) fn held(
        &self,
        base: &str,
        asked: &Asked<'_>,
        caching: RequestCaching,
    ) -> Result<Answer, CacheKey> {
        let remembered = self.recent.find(asked, &SELECTING);
        let is_new = remembered.is_none();
        let key = remembered.unwrap_or_else(|| key(asked.tenant, base, asked.head, asked.body));
        let Some((kept, age)) = self.cache.held_response(key.as_str(), caching) else {
            return Err(key);
        };
        if is_new {
            self.recent.remember(asked, &SELECTING, &key);
        }
        Ok(replayed(kept, CacheStatus::Hit, Some(age.as_secs())))
    }

    /// The answer under `key`, or what `fetch` brings; whoever asks for the same meanwhile waits for it. What was stored and is
    /// no answer (another version of the daemon may have stored it where several share a cache) is removed and asked for anew.
    pub(super) async fn whole<F>(
        &self,
        key: &CacheKey,
        caching: RequestCaching,
        is_good: impl Fn(&[u8]) -> bool,
        fetch: impl FnOnce() -> F,
    ) -> Result<Answer, Arc<RelayError>>
    where
        F: Future<Output = Result<WholeAnswer, RelayError>>,
    {
        let mut fetch = Some(fetch);
        if let Some(answer) = self.look(key, caching, &is_good, &mut fetch).await? {
            return Ok(answer);
        }
        self.cache.invalidate(key.as_str()).await;
        let answer = self.look(key, caching, &is_good, &mut fetch).await?;
        answer.ok_or_else(|| Arc::new(RelayError::Interrupted(Interruption::Broken)))
    }

    /// [`whole`](Self::whole), once. None when what is stored is no answer; `fetch` is still there then.
    async fn look<F>(
        &self,
        key: &CacheKey,
        caching: RequestCaching,
        is_good: &impl Fn(&[u8]) -> bool,
        fetch: &mut Option<impl FnOnce() -> F>,
    ) -> Result<Option<Answer>, Arc<RelayError>>
    where
        F: Future<Output = Result<WholeAnswer, RelayError>>,
    {
        // The one that fetches gives its own caller the whole head; a stored answer has only what belongs to the body.
        let own = parking_lot::Mutex::new(None);
        let found = self.cache.get_or_fetch(key.as_str(), caching, || async {
            let answer = match fetch.take() {
                Some(fetch) => fetch().await,
                // Looked at twice, and asked for by the first look already: that look had an answer.
                None => Err(RelayError::Interrupted(Interruption::Broken)),
            };
            let answer = answer.map_err(|error| Unkept::Failed(Arc::new(error)))?;
            let kept = CachedResponse::whole(answer.status, &answer.headers, &[], answer.body.clone());
            match kept.filter(|_| is_good(&answer.body)) {
                Some(kept) => {
                    *own.lock() = Some(answer);
                    Ok(Fetched::Keep {
                        value: kept.encode(),
                        ttl: None,
                    })
                }
                None => Err(Unkept::Answer(Arc::new(answer))),
            }
        });
        let found = match found.await {
            Ok(found) => found,
            Err(FetchError::Fetch(Unkept::Answer(answer))) => {
                let status = if caching == RequestCaching::Bypass || !self.cache.is_enabled() {
                    CacheStatus::Bypass
                } else {
                    CacheStatus::Miss
                };
                let (headers, body) = (answer.headers.clone(), answer.body.clone());
                return Ok(Some(given(answer.status, headers, body, status)));
            }
            Err(FetchError::Fetch(Unkept::Failed(error))) => return Err(error),
            Err(FetchError::Crowded { .. }) => return Err(Arc::new(RelayError::Crowded)),
            Err(FetchError::WaitedTooLong { after }) => {
                return Err(Arc::new(RelayError::HeadTimeout { after }));
            }
        };
        let own = own.lock().take();
        if let (Some(answer), Source::Fetched | Source::Bypassed) = (own, found.source) {
            let status = found.status();
            return Ok(Some(given(answer.status, answer.headers, answer.body, status)));
        }
        let (status, age) = (found.status(), found.age_seconds());
        let kept = CachedResponse::decode(found.value);
        Ok(kept.map(|kept| replayed(kept, status, age)))
    }

    /// The stream under `key`, if there is one.
    pub(super) async fn stream(
        &self,
        key: &CacheKey,
        caching: RequestCaching,
    ) -> Result<Answer, CacheStatus> {
        match self.cache.lookup_response(key.as_str(), caching).await {
            Lookup::Hit { value, age } => Ok(replayed(value, CacheStatus::Hit, Some(age.as_secs()))),
            missed => Err(missed.status()),
        }
    }

    /// Records the stream with this head, if it may be stored.
    pub(super) fn record(
        &self,
        key: CacheKey,
        caching: RequestCaching,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Recording> {
        if caching == RequestCaching::Bypass || !self.cache.is_enabled() {
            return None;
        }
        let recorder = StreamRecorder::new(status, headers, &[], RecordLimits::default())?;
        Some(Recording {
            recorder,
            key,
            cached: self.clone(),
        })
    }
}

/// A stream while it passes.
pub(super) struct Recording {
    recorder: StreamRecorder,
    key: CacheKey,
    cached: Cached,
}

impl Recording {
    pub(super) fn record(&mut self, data: &Bytes) {
        self.recorder.record(data);
    }

    /// Stores it: it came to its proper end.
    pub(super) fn keep(self) {
        let Some(answer) = self.recorder.finish() else {
            return;
        };
        let (cache, key) = (self.cached.cache, self.key);
        // In a task of its own: a shared cache is waited for, and the client has its answer already.
        let store = async move { cache.put_response(key.as_str(), &answer, None).await };
        drop(self.cached.lifecycle.spawn("gateway: store an answer", store));
    }
}

fn given(status: StatusCode, headers: HeaderMap, body: Bytes, cache: CacheStatus) -> Answer {
    let mut answer = Response::new(AnswerBody::from(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    mark(answer.headers_mut(), cache);
    answer
}

fn replayed(kept: CachedResponse, cache: CacheStatus, age: Option<u64>) -> Answer {
    let mut answer = if kept.is_stream() {
        kept.into_response().map(AnswerBody::streamed)
    } else {
        let (headers, body) = kept.into_parts();
        let mut answer = Response::new(AnswerBody::from(body));
        answer.headers_mut().reserve(HEADERS);
        for (name, value) in headers {
            answer.headers_mut().append(name, value);
        }
        answer
    };
    mark(answer.headers_mut(), cache);
    if let Some(age) = age {
        answer.headers_mut().insert(AGE, HeaderValue::from(age));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_stored_and_no_answer_is_asked_for_anew() {
        let cache = ResponseCache::new(1 << 20, std::time::Duration::from_secs(60));
        let cached = Cached::new(cache.clone(), Lifecycle::new());
        let (head, ()) = http::Request::get("/v1/models").body(()).unwrap().into_parts();
        let key = key("tenant", "http://api.test", &head, b"");
        let ask = async || {
            let fetch = || async {
                Ok(WholeAnswer {
                    status: StatusCode::OK,
                    headers: HeaderMap::new(),
                    body: Bytes::from_static(b"{}"),
                })
            };
            let answer = cached.whole(&key, RequestCaching::Use, |_| true, fetch).await;
            let answer = answer.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(answer.body().whole().unwrap(), "{}");
            answer.headers()[X_CACHE].clone()
        };
        let rubbish = Bytes::from_static(b"of another version");
        cache.put(key.as_str().to_owned(), rubbish, None).await;
        assert_eq!(ask().await, "miss");
        assert_eq!(ask().await, "hit", "the new one is stored");
    }
}
