//! Turns over HTTP: start, watch, steer, cancel.

use std::sync::Arc;
use std::time::Duration;

use agent_core::RunLimits;
use agent_core::session::SessionId;
use futures_util::StreamExt as _;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;

use super::turns::{
    self, Fingerprint, KeyId, MAX_KEY_BYTES, MAX_READERS, Order, Phase, Started, Turn, TurnId,
};
use super::types::{NewTurn, StartedTurn, Steer, TurnStatus};
use super::{AgentApi, failures};
use crate::answer::{Answer, AnswerBody, Refusal, json};
use crate::input::{json_body, trace_of};
use crate::pipeline::{Context, RequestBody};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Says that the answer is that of an earlier request with the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const EVENT_STREAM: &str = "text/event-stream";

/// When a place for another reader may be free.
const READERS_RETRY: Duration = Duration::from_secs(5);

impl AgentApi {
    pub(super) async fn start_turn(
        &self,
        context: &Context,
        session: SessionId,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let key = idempotency_key(request.headers())?;
        let wants_events = accepts_events(request.headers());
        let trace = trace_of(request.headers());
        let (new, body) = json_body::<NewTurn>(request).await?;
        if let Some(why) = &self.safe_mode {
            return Err(failures::safe_mode(why));
        }
        if let Err(overloaded) = self.admission.check() {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, overloaded.to_string());
            return Err(refusal.retry_after(overloaded.retry_after));
        }
        let order = Order {
            session,
            limits: self.within_limits(&new)?,
            trace,
            prompt: new.prompt.into_string(),
            key: key.map(|key| {
                (
                    KeyId::new(context.tenant(), session, &key),
                    Fingerprint::of(&body),
                )
            }),
        };
        let (turn, is_repeated) = match self.turns.start(order).map_err(failures::of_start)? {
            Started::Turn { turn, is_repeated } => (turn, is_repeated),
            Started::Forgotten(_) if wants_events => return Err(failures::no_turn()),
            Started::Forgotten(turn) => return Ok(started(session, turn, true)),
        };
        turn.begun().await.map_err(|error| failures::of_agent(&error))?;
        if wants_events {
            events(&turn, 0)
        } else {
            Ok(started(session, turn.id, is_repeated))
        }
    }

    /// What the client asks for, within what the daemon allows.
    fn within_limits(&self, new: &NewTurn) -> Result<RunLimits, Refusal> {
        let wanted = new.max_budget_usd;
        if wanted.is_some_and(|budget| !budget.is_finite() || budget < 0.0) {
            return Err(Refusal::bad_request(
                "`max_budget_usd` has to be a number of dollars, 0 or more",
            ));
        }
        let RunLimits {
            max_turns,
            max_budget_usd,
            timeout,
        } = self.limits;
        let seconds = new
            .timeout_seconds
            .map(|seconds| Duration::from_secs(seconds.get().into()));
        Ok(RunLimits {
            max_turns: new
                .max_turns
                .map_or(max_turns, |turns| turns.get().min(max_turns)),
            max_budget_usd: match (wanted, max_budget_usd) {
                (Some(wanted), Some(most)) => Some(wanted.min(most)),
                (wanted, most) => wanted.or(most),
            },
            timeout: seconds.map_or(timeout, |seconds| seconds.min(timeout)),
        })
    }

    pub(super) fn get_turn(
        &self,
        context: &Context,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let turn = self.turn(context, request)?;
        Ok(json(StatusCode::OK, &TurnStatus::new(&turn, turn.standing())))
    }

    pub(super) fn turn_events(
        &self,
        context: &Context,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let turn = self.turn(context, request)?;
        let seen = last_event_id(request.headers())?;
        let standing = turn.standing();
        if seen > standing.last_event {
            return Err(Refusal::bad_request(format!(
                "last-event-id is {seen}, but the last event of this turn is {}; leave it out to read from the beginning",
                standing.last_event
            )));
        }
        if seen == standing.last_event && matches!(standing.phase, Phase::Ended { .. }) {
            // What tells an EventSource that there is no reason to come back.
            let mut answer = Answer::new(AnswerBody::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            return Ok(answer);
        }
        events(&turn, seen)
    }

    pub(super) fn cancel_turn(
        &self,
        context: &Context,
        request: &Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let turn = self.turn(context, request)?;
        turn.cancel();
        let standing = turn.standing();
        let status = match standing.phase {
            Phase::Ended { .. } => StatusCode::OK,
            _ => StatusCode::ACCEPTED,
        };
        Ok(json(status, &TurnStatus::new(&turn, standing)))
    }

    pub(super) async fn steer_turn(
        &self,
        context: &Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let turn = self.turn(context, &request)?;
        let (steer, _) = json_body::<Steer>(request).await?;
        turn.steer(steer.text.into_string())
            .map_err(failures::of_control)?;
        Ok(json(
            StatusCode::ACCEPTED,
            &TurnStatus::new(&turn, turn.standing()),
        ))
    }

    /// The turn that the path names, in the session that it names.
    fn turn(&self, context: &Context, request: &Request<RequestBody>) -> Result<Arc<Turn>, Refusal> {
        let session = super::session(context, request)?;
        let name = context.parameter(request.uri().path(), 1).unwrap_or_default();
        let id: TurnId = name.parse().map_err(|_| failures::no_turn())?;
        let turn = self.turns.get(id).filter(|turn| turn.session == session);
        turn.ok_or_else(failures::no_turn)
    }
}

fn started(session: SessionId, turn: TurnId, is_repeated: bool) -> Answer {
    let started = StartedTurn::new(session, turn);
    let location = HeaderValue::try_from(started.status_url.as_str());
    let mut answer = json(StatusCode::CREATED, &started);
    let headers = answer.headers_mut();
    if let Ok(location) = location {
        headers.insert(LOCATION, location);
    }
    if is_repeated {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

fn events(turn: &Arc<Turn>, seen: u64) -> Result<Answer, Refusal> {
    let seat = turn.seat().ok_or_else(|| {
        let detail =
            format!("{MAX_READERS} readers watch this turn already; close one of them, or try again later");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(READERS_RETRY)
    })?;
    let frames = turns::stream(seat, seen).map(|piece| piece.map(Frame::data));
    let mut answer = Answer::new(AnswerBody::streamed(StreamBody::new(frames)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx holds answers back otherwise.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(answer)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    match key {
        Some(key) if given.next().is_none() => Ok(Some(key.to_owned())),
        _ => Err(Refusal::bad_request(format!(
            "idempotency-key has to be there once, with 1 to {MAX_KEY_BYTES} visible ASCII characters, such as a UUID"
        ))),
    }
}

/// 0 when nothing was seen.
fn last_event_id(headers: &HeaderMap) -> Result<u64, Refusal> {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return Ok(0);
    };
    match id.as_bytes() {
        [] => Ok(0),
        _ => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            Refusal::bad_request(
                "last-event-id has to be the `id` of an event of this turn; leave it out to read all",
            )
        }),
    }
}

/// Whether the client named the type of a stream; `*/*` gets JSON.
fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|accepted| {
        let essence = accepted.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}
