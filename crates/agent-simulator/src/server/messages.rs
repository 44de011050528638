//! `POST /v1/messages`: from a body to an answer or a fault.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::State;
use super::body::{self, Body, Shape, message_for};
use super::socket::ResetSwitch;
use crate::answer::{Answer, Events};
use crate::conversation;
use crate::digest::Random;
use crate::error::{ApiError, kind_of};
use crate::fault::{Fault, Strike};
use crate::mind;
use crate::validate::{self, Terms};

/// What a request became.
pub(crate) enum Outcome {
    Answer(Response<Body>),
    Error(ApiError),
    /// No answer: the connection ends.
    Hang,
}

/// What is known of a request beside its body.
pub(crate) struct Call<'s> {
    pub(crate) state: &'s State,
    pub(crate) request_id: String,
    pub(crate) reset: ResetSwitch,
    pub(crate) random: Random,
}

impl Call<'_> {
    /// Answers. Faults strike valid requests only: a mistake of the client is told whatever goes wrong here.
    pub(crate) async fn answer(mut self, bytes: &Bytes, terms: Terms<'_>) -> Outcome {
        let request = match validate::request(bytes, terms) {
            Ok(request) => request,
            Err(error) => return Outcome::Error(error),
        };
        let now = Instant::now();
        if let Err((limit, wait)) = self.state.limiter.admit(request.prompt.tokens(), now) {
            let message =
                format!("This request would exceed your organization's rate limit of {limit} per minute");
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, message);
            return Outcome::Error(error.with_retry_after(Some(wait)));
        }
        let mut strike = self.state.faults.strike(&mut self.random);
        let text = conversation::last_user_text(&request.body);
        // An attempt that breaks uses up no step of the scenario: the retry gets it.
        let scripted = match strike.fault {
            None | Some(Fault::HugeEvent(_)) => self.state.script.next(&text, &mut self.random),
            Some(_) => self.state.script.peek(&text, &mut self.random),
        };
        if let Some(fault) = scripted.fault.as_ref().filter(|_| strike.fault.is_none()) {
            let own = Strike::of(fault, &mut self.random);
            strike.delay += own.delay;
            strike.trickle = own.trickle.or(strike.trickle);
            strike.fault = own.fault;
        }
        sleep(strike.delay + self.state.config.first_token_delay.sample(&mut self.random)).await;
        if let Some(outcome) = self.fail_early(strike.fault.as_ref(), request.stream).await {
            return outcome;
        }
        let reply = match scripted.reply {
            Err(error) => return Outcome::Error(error),
            Ok(Some(reply)) => reply,
            Ok(None) => mind::reply(&request, &mut self.random),
        };
        let account = self.state.cache.account(&request.prompt, now);
        let answer = Answer::new(reply, &request, account, &mut self.random);
        self.state
            .limiter
            .charge_output(answer.output_tokens, Instant::now());
        Outcome::Answer(self.respond(answer, request.stream, strike))
    }

    /// The faults that leave no answer at all, or an error instead of one.
    async fn fail_early(&self, fault: Option<&Fault>, stream: bool) -> Option<Outcome> {
        match fault? {
            Fault::Status { code, retry_after } => {
                let error = ApiError::new(*code, message_for(kind_of(*code)));
                Some(Outcome::Error(error.with_retry_after(*retry_after)))
            }
            Fault::ResetBefore => {
                self.reset.turn_on();
                Some(Outcome::Hang)
            }
            Fault::Silence => Some(self.silence().await),
            Fault::Pings if !stream => Some(self.silence().await),
            Fault::ErrorEvent(kind) if !stream => {
                let mut error = ApiError::new(status_of(kind), message_for(kind));
                error.kind.clone_from(kind);
                Some(Outcome::Error(error))
            }
            _ => None,
        }
    }

    /// Waits for the client to go, which drops this future, for the limit or for the simulator's end.
    async fn silence(&self) -> Outcome {
        tokio::select! {
            () = sleep(self.state.config.max_silence) => {}
            () = self.state.stop.cancelled() => {}
        }
        Outcome::Hang
    }

    fn respond(self, answer: Answer, stream: bool, strike: Strike) -> Response<Body> {
        let content_type = match (&strike.fault, stream) {
            (Some(Fault::ContentType), _) => "text/html; charset=utf-8",
            (_, true) => "text/event-stream; charset=utf-8",
            (_, false) => "application/json",
        };
        let shape = Shape {
            fault: strike.fault,
            trickle: strike.trickle,
            token_delay: self.state.config.token_delay,
            max_silence: self.state.config.max_silence,
            request_id: self.request_id,
            reset: self.reset,
            stop: self.state.stop.clone(),
            _answering: Arc::clone(&self.state.answering),
        };
        let body = if stream {
            let events = Events::new(answer, self.random.clone());
            body::events(events, self.random, shape)
        } else {
            body::document(Value::to_string(&answer.to_json()), shape)
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static(content_type),
        );
        if stream {
            response.headers_mut().insert(
                http::header::CACHE_CONTROL,
                http::HeaderValue::from_static("no-cache"),
            );
        }
        response
    }
}

/// The status that goes with an error type; the other way round than in answers.
fn status_of(kind: &str) -> StatusCode {
    let codes = [400u16, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529];
    let statuses = codes
        .into_iter()
        .filter_map(|code| StatusCode::from_u16(code).ok());
    statuses
        .into_iter()
        .find(|status| kind_of(*status) == kind)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
