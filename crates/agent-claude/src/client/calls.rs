//! What can be asked of the API.

use std::time::Duration;

use agent_performance::cache::{FetchError, Fetched, RequestCaching, storable};
use bytes::Bytes;
use http::response::Parts;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::bounds::Bounds;
use super::concurrency::Turn;
use super::measure::RequestKind;
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

impl ClaudeClient {
    /// Sends `request` and waits for the whole answer. For anything a person waits for, stream instead.
    ///
    /// Dropping the future cancels the request.
    ///
    /// # Errors
    /// See [`ClaudeError`]; what can be retried was.
    pub async fn send_message(&self, request: &MessageRequest) -> ClaudeResult<Message> {
        let timeouts = self.shared.config.timeouts;
        let first_byte = timeouts
            .first_byte
            .saturating_add(TIME_PER_TOKEN.saturating_mul(request.max_tokens));
        let body = request.to_body_for(self.shared.config.api_version, Reply::Whole);
        let call = self
            .shared
            .endpoint
            .post("/v1/messages", body, first_byte.min(timeouts.total))?;
        let mut operation = self.operation(RequestKind::Messages, &request.model);
        let answer = self.whole::<Message>(&call, &self.bounds()).await;
        if let Ok(message) = &answer {
            operation.answered(message);
        }
        operation.ended(&answer);
        answer
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
        let kind = RequestKind::CountTokens;
        let count: TokenCount = self.whole_or_cached(kind, &call, &self.bounds()).await?;
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
            let kind = RequestKind::Models;
            let page: ModelList = self.whole_or_cached(kind, &call, &bounds).await?;
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
        let attempt = |turn| async move {
            let response = reply::check_stream(self.send_once(call).await?).await?;
            let mut stream = MessageStream::new(response, config, bounds.clone(), turn);
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

    /// The reply to `call` as `T`: from the cache where that has it, else sent for.
    async fn whole_or_cached<T: DeserializeOwned>(
        &self,
        kind: RequestKind,
        call: &Call,
        bounds: &Bounds,
    ) -> ClaudeResult<T> {
        let Some(cache) = &self.cache else {
            let mut operation = self.operation(kind, "");
            let answer = self.whole(call, bounds).await;
            operation.ended(&answer);
            return answer;
        };
        // Others may wait for this fetch. Cancelling drops it, and one of them takes over; told as its failure, it would
        // fail them, too.
        let own = &bounds.without_cancellation();
        let attempt = |turn| async move {
            let (reply, body) = self.read(call, turn).await?;
            // A body that is cut off where nothing tells its length shows here.
            parse::<T>(&body)?;
            let keep = storable(reply.status, &reply.headers);
            Ok(if keep {
                Fetched::Keep {
                    value: body,
                    ttl: None,
                }
            } else {
                Fetched::Pass(body)
            })
        };
        let fetch = || async {
            let mut operation = self.operation(kind, "");
            let fetched = self.with_retries(own, None, attempt).await;
            operation.ended(&fetched);
            fetched
        };
        let key = self.shared.endpoint.cache_key(call);
        let found = cache.get_or_fetch(key.as_str(), RequestCaching::Use, fetch);
        let found = bounds.run(found).await?.map_err(not_fetched)?;
        parse(&found.value)
    }

    /// Sends `call` and reads its reply as `T`.
    async fn whole<T: DeserializeOwned>(&self, call: &Call, bounds: &Bounds) -> ClaudeResult<T> {
        let attempt = |turn| async move {
            let (_, body) = self.read(call, turn).await?;
            parse(&body)
        };
        self.with_retries(bounds, None, attempt).await
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
