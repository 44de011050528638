//! One request, tried as often as it makes sense.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::connection_pool::{PooledBody, SendLimits};
use http::{Response, StatusCode};
use tokio::sync::mpsc;

use super::bounds::Bounds;
use super::concurrency::Turn;
use super::rate_limits::RateLimits;
use super::request::Call;
use super::{ClaudeClient, reply};
use crate::error::{BudgetReason, ClaudeError, ClaudeResult, Health};
use crate::keys::KeyInUse;
use crate::retry::{RetryNotice, backoff};

impl ClaudeClient {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(self.cancel.clone(), self.shared.config.timeouts.total)
    }

    /// Runs `attempt` until it succeeds, cannot succeed, or may not be repeated.
    ///
    /// A turn among the concurrent requests and the circuit breaker's leave are had for each try anew: nothing is held
    /// while backing off.
    pub(super) async fn with_retries<T, A, F>(
        &self,
        bounds: &Bounds,
        notices: Option<&mpsc::Sender<RetryNotice>>,
        attempt: A,
    ) -> ClaudeResult<T>
    where
        A: Fn(Turn) -> F,
        F: Future<Output = ClaudeResult<T>>,
    {
        let shared = &self.shared;
        let mut last = None;
        let mut retries = 0;
        loop {
            let turn = bounds.run(shared.concurrency.turn()).await??;
            let pass = shared
                .breaker
                .enter()
                .map_err(|retry_in| ClaudeError::BudgetExhausted {
                    reason: BudgetReason::CircuitOpen { retry_in },
                    last: last.take(),
                })?;
            let result = bounds.run(attempt(turn)).await.flatten();
            let error = match result {
                Ok(answer) => {
                    pass.report(Some(Health::Up));
                    shared.budget.success();
                    shared.concurrency.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            pass.report(error.health());
            if error.is_overload() {
                shared.concurrency.overloaded();
            }
            let Some(delay) = self.delay_before_retry(&error, retries, bounds) else {
                return Err(error);
            };
            let error = Arc::new(error);
            if !shared.budget.try_spend() {
                return Err(ClaudeError::BudgetExhausted {
                    reason: BudgetReason::RetryBudget,
                    last: Some(error),
                });
            }
            retries += 1;
            tracing::debug!(%error, retries, ?delay, "trying again");
            if let Some(meter) = &shared.meter {
                meter.retried(&error);
            }
            if let Some(notices) = notices {
                let notice = RetryNotice {
                    attempt: retries + 1,
                    delay,
                    reason: error.to_string(),
                };
                // Whoever shows retries may be slow or gone; the request does not wait for that.
                let _told = notices.try_send(notice).is_ok();
            }
            bounds.run(tokio::time::sleep(delay)).await?;
            last = Some(error);
        }
    }

    /// How long to wait before the next try; `None` when the failure is final for this request.
    fn delay_before_retry(&self, error: &ClaudeError, retries: u32, bounds: &Bounds) -> Option<Duration> {
        let config = &self.shared.config;
        if !error.is_retryable() || retries >= config.max_retries {
            return None;
        }
        // A limit of our own is no failure of the API's; trying again at once would only press on it.
        if matches!(error, ClaudeError::BudgetExhausted { .. }) {
            return None;
        }
        let delay = match error.retry_after() {
            Some(asked) if asked > config.max_retry_after => return None,
            Some(asked) => asked,
            None => backoff::delay(retries, rand::random()),
        };
        // Better the real failure now than a timeout later.
        (!bounds.ends_within(delay)).then_some(delay)
    }

    /// Sends once; returns at the head of a successful reply. A key that is refused is set aside, and the request goes once
    /// more with the next one: nothing was shown yet, and a request that is refused was not worked on.
    pub(super) async fn send_once(&self, call: &Call) -> ClaudeResult<Response<PooledBody>> {
        let keys = self.shared.endpoint.keys();
        let key = keys.current();
        let mut response = self.send_with(call, key.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(key) = &key
            && let Some(next) = keys.replacement(key).await
        {
            drop(response);
            response = self.send_with(call, Some(&next)).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                // For the requests to come; this one had its second try.
                let _told = keys.rejected(&next);
            }
        }
        reply::check_status(response).await
    }

    async fn send_with(&self, call: &Call, key: Option<&KeyInUse>) -> ClaudeResult<Response<PooledBody>> {
        let shared = &self.shared;
        let client = shared.pool.get_client(shared.endpoint.origin()).await?;
        let connect = shared
            .config
            .timeouts
            .connect
            .min(client.default_limits().connect);
        let limits = SendLimits {
            connect,
            head: call.first_byte,
            ..client.default_limits()
        };
        let response = client
            .send_within(shared.endpoint.request(call, key), limits)
            .await
            .map_err(|error| ClaudeError::from_send(error, connect))?;
        self.note_limits(&response);
        Ok(response)
    }

    fn note_limits(&self, response: &Response<PooledBody>) {
        let limits = RateLimits::from_headers(response.headers());
        if limits.is_empty() {
            return;
        }
        if let Some(meter) = &self.shared.meter {
            meter.limits(&limits);
        }
        if limits.is_used_up() {
            self.shared.concurrency.overloaded();
        }
        *self.shared.rate_limits.lock() = limits;
    }
}
