//! What can be asked of the API.

use std::time::Duration;

use agent_performance::cache::{
    FetchError, Fetched, Lookup, RequestCaching, ResponseCache, Source, storable,
};
use bytes::Bytes;
use http::response::Parts;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::bounds::Bounds;
use super::concurrency::Turn;
use super::measure::{Operation, RequestKind};
use super::recording::Recording;
use super::request::Call;
use super::{ClaudeClient, MessageStream, RetryNotice, reply};
use crate::error::{BudgetReason, ClaudeError, ClaudeResult, TimeoutStage};
use crate::messages::{Message, MessageRequest, ModelInfo, ModelList, Reply, TokenCount};

/// A reply that comes whole begins when its last token is made, so it gets this much more time for each token it may
/// have: the official clients' estimate of 128,000 tokens an hour.
const TIME_PER_TOKEN: Duration = Duration::from_nanos(3_600_000_000_000 / 128_000);

/// Models asked for at once; the API's own maximum.
const MODELS_PER_PAGE: u32 = 1000;

/// Pages of models read. The catalogue fits on one; a server that never ends it must not be followed for ever.
const MAX_MODEL_PAGES: u32 = 20;

/// A whole answer, and whether this request paid for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer. Its usage is what making it took, whoever asked first.
    pub message: Message,
    /// True when it came from the cache, or from the request of another who asked the same at the same time: then
    /// nothing was sent for it, and nothing is to be paid.
    pub is_replay: bool,
}

/// One kind of request whose reply comes whole.
struct Whole<T> {
    kind: RequestKind,
    /// The model asked for; empty where none is.
    model: String,
    /// Told of each answer that the API gave.
    answered: fn(&mut Operation, &T),
}

impl ClaudeClient {
    /// Sends `request` and waits for the whole answer. For anything a person waits for, stream instead.
    ///
    /// Dropping the future cancels the request.
    ///
    /// # Errors
    /// See [`ClaudeError`]; what can be retried was.
    pub async fn send_message(&self, request: &MessageRequest) -> ClaudeResult<Message> {
        Ok(self.answer(request).await?.message)
    }

    /// As [`send_message`](Self::send_message), and tells whether the answer was paid for.
    ///
    /// # Errors
    /// As there.
    pub async fn answer(&self, request: &MessageRequest) -> ClaudeResult<Answer> {
        let timeouts = self.shared.config.timeouts;
        let first_byte = timeouts
            .first_byte
            .saturating_add(TIME_PER_TOKEN.saturating_mul(request.max_tokens));
        let body = request.to_body_for(self.shared.config.api_version, Reply::Whole);
        let call = self
            .shared
            .endpoint
            .post("/v1/messages", body, first_byte.min(timeouts.total))?;
        let whole = Whole {
            kind: RequestKind::Messages,
            model: request.model.clone(),
            answered: Operation::answered,
        };
        let cache = self.message_cache();
        let (message, is_replay) = self.whole(&whole, &call, &self.bounds(), cache).await?;
        Ok(Answer { message, is_replay })
    }

    /// Sends `request` and returns when its answer begins to have content. Retries happen in here, unseen.
    ///
    /// # Errors
    /// See [`ClaudeError`]; what can be retried was.
    pub async fn stream_message(&self, request: &MessageRequest) -> ClaudeResult<MessageStream> {
        self.stream(request, None).await
    }

    /// As [`stream_message`](Self::stream_message), and tells `notices` of each retry before it waits. A full or closed
    /// channel misses notices; nothing waits for it.
    ///
    /// # Errors
    /// As there.
    pub async fn stream_message_with(
        &self,
        request: &MessageRequest,
        notices: &mpsc::Sender<RetryNotice>,
    ) -> ClaudeResult<MessageStream> {
        self.stream(request, Some(notices)).await
    }

    /// How many tokens the prompt of `request` has, as the API counts them.
    ///
    /// # Errors
    /// See [`ClaudeError`].
    pub async fn count_tokens(&self, request: &MessageRequest) -> ClaudeResult<u64> {
        let first_byte = self.shared.config.timeouts.first_byte;
        let body = request.to_count_tokens_body();
        let call = self
            .shared
            .endpoint
            .post("/v1/messages/count_tokens", body, first_byte)?;
        let whole = Whole::<TokenCount>::look_up(RequestKind::CountTokens);
        let cache = self.cache.as_ref();
        let (count, _) = self.whole(&whole, &call, &self.bounds(), cache).await?;
        Ok(count.input_tokens)
    }

    /// The models that the API offers, in its order.
    ///
    /// # Errors
    /// See [`ClaudeError`]; [`MalformedStream`](ClaudeError::MalformedStream) when the list does not end.
    pub async fn list_models(&self) -> ClaudeResult<Vec<ModelInfo>> {
        let bounds = self.bounds();
        let mut models = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_MODEL_PAGES {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &MODELS_PER_PAGE.to_string());
            if let Some(after) = &after {
                query.append_pair("after_id", after);
            }
            let path = format!("/v1/models?{}", query.finish());
            let call = self
                .shared
                .endpoint
                .get(&path, self.shared.config.timeouts.first_byte)?;
            let whole = Whole::<ModelList>::look_up(RequestKind::Models);
            let (page, _) = self.whole(&whole, &call, &bounds, self.cache.as_ref()).await?;
            models.extend(page.data);
            match page.last_id {
                // The same page again would go on for ever.
                Some(last) if page.has_more && after.as_ref() != Some(&last) => after = Some(last),
                _ if !page.has_more => return Ok(models),
                _ => break,
            }
        }
        Err(ClaudeError::MalformedStream {
            message: "the list of models does not end".to_owned(),
        })
    }

    async fn stream(
        &self,
        request: &MessageRequest,
        notices: Option<&mpsc::Sender<RetryNotice>>,
    ) -> ClaudeResult<MessageStream> {
        let config = &self.shared.config;
        let body = request.to_body_for(config.api_version, Reply::Stream);
        let call = &self
            .shared
            .endpoint
            .post("/v1/messages", body, config.timeouts.first_byte)?;
        let bounds = &self.bounds();
        let cache = self.message_cache();
        let cache = &cache.map(|cache| (cache, self.shared.endpoint.cache_key(call)));
        if let Some((cache, key)) = cache
            && let Lookup::Hit { value, .. } = cache.lookup_response(key.as_str(), RequestCaching::Use).await
        {
            let mut stream = MessageStream::replay(value, config, bounds.clone());
            stream.wait_for_content().await?;
            return Ok(stream);
        }
        let attempt = |turn| async move {
            let response = reply::check_stream(self.send_once(call).await?).await?;
            let recording = cache
                .as_ref()
                .and_then(|(cache, key)| Recording::of(&response, cache, key));
            let mut stream = MessageStream::new(response, config, bounds.clone(), turn, recording);
            stream.wait_for_content().await?;
            Ok(stream)
        };
        let mut operation = self.operation(RequestKind::Messages, &request.model);
        match self.with_retries(bounds, notices, attempt).await {
            Ok(stream) => Ok(stream.with_operation(operation)),
            Err(error) => {
                operation.failed(&error);
                Err(error)
            }
        }
    }

    /// The reply to `call` as `T`, and whether it cost nothing new: from `cache` where that has it, or from another who
    /// asks the same now; else sent for.
    async fn whole<T: DeserializeOwned>(
        &self,
        whole: &Whole<T>,
        call: &Call,
        bounds: &Bounds,
        cache: Option<&ResponseCache>,
    ) -> ClaudeResult<(T, bool)> {
        let Some(cache) = cache else {
            let (_, value) = self.fetch(whole, call, bounds).await?;
            return Ok((value, false));
        };
        // Others may wait for this fetch. Cancelling drops it, and one of them takes over; told as its failure, it would
        // fail them, too.
        let own = &bounds.without_cancellation();
        let fetch = || async { Ok(self.fetch(whole, call, own).await?.0) };
        let key = self.shared.endpoint.cache_key(call);
        let found = cache.get_or_fetch(key.as_str(), RequestCaching::Use, fetch);
        let found = bounds.run(found).await?.map_err(not_fetched)?;
        let is_replay = matches!(found.source, Source::Cached { .. } | Source::Shared);
        Ok((parse(&found.value)?, is_replay))
    }

    /// Sends `call`, as often as it takes, and reads its reply; says whether that may be kept.
    async fn fetch<T: DeserializeOwned>(
        &self,
        whole: &Whole<T>,
        call: &Call,
        bounds: &Bounds,
    ) -> ClaudeResult<(Fetched, T)> {
        let attempt = |turn| async move {
            let (reply, body) = self.read(call, turn).await?;
            // A body that is cut off where nothing tells its length shows here.
            let value = parse::<T>(&body)?;
            let fetched = if storable(reply.status, &reply.headers) {
                Fetched::Keep {
                    value: body,
                    ttl: None,
                }
            } else {
                Fetched::Pass(body)
            };
            Ok((fetched, value))
        };
        let mut operation = self.operation(whole.kind, &whole.model);
        let fetched = self.with_retries(bounds, None, attempt).await;
        if let Ok((_, value)) = &fetched {
            (whole.answered)(&mut operation, value);
        }
        operation.ended(&fetched);
        fetched
    }

    /// Sends `call` once and reads its reply to the end.
    async fn read(&self, call: &Call, turn: Turn) -> ClaudeResult<(Parts, Bytes)> {
        let config = &self.shared.config;
        let (reply, body) = self.send_once(call).await?.into_parts();
        let body = reply::read_whole(body, config.max_response_bytes, config.timeouts.idle);
        let body = body.await?;
        drop(turn);
        Ok((reply, body))
    }
}

impl<T> Whole<T> {
    /// What names no model and uses no tokens.
    fn look_up(kind: RequestKind) -> Self {
        Whole {
            kind,
            model: String::new(),
            answered: |_, _| {},
        }
    }
}

fn not_fetched(error: FetchError<ClaudeError>) -> ClaudeError {
    match error {
        FetchError::Fetch(error) => error,
        FetchError::Crowded { limit } => ClaudeError::BudgetExhausted {
            reason: BudgetReason::TooManyWaiting { waiting: limit },
            last: None,
        },
        FetchError::WaitedTooLong { after } => ClaudeError::Timeout {
            stage: TimeoutStage::Total,
            after,
        },
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> ClaudeResult<T> {
    serde_json::from_slice(body).map_err(|error| ClaudeError::MalformedStream {
        message: format!("{error}; the reply begins: {}", reply::excerpt(body)),
    })
}
