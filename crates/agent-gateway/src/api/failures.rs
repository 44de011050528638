//! What the agent and its store refuse or fail at, as answers. The one place where their errors become a status.

use std::time::Duration;

use agent_core::session::StoreError;
use agent_core::{AgentError, ControlError};
use http::StatusCode;

use super::turns::NotStarted;
use crate::answer::Refusal;

/// When a store that was held by someone else is worth asking again.
const LOCKED_RETRY: Duration = Duration::from_secs(1);

/// When a place for another turn may be free: turns take from seconds to hours.
const TURNS_RETRY: Duration = Duration::from_secs(5);

/// Characters of a name that a client gave, in an answer that says there is no such thing.
const MAX_NAME: usize = 64;

pub(super) fn no_session(name: &str) -> Refusal {
    let name: String = name.chars().take(MAX_NAME).collect();
    Refusal::not_found(format!(
        "there is no session `{name}`; GET /api/v1/sessions lists what there is"
    ))
}

pub(super) fn no_turn() -> Refusal {
    Refusal::not_found(
        "there is no such turn in this session, or it ended too long ago; the session's messages hold what was said",
    )
}

pub(super) fn no_approval() -> Refusal {
    Refusal::not_found("there is no such approval; GET /api/v1/approvals lists what is open")
}

/// No time is named after which it is worth trying again: it takes a person.
pub(super) fn safe_mode(why: &str) -> Refusal {
    let detail = format!(
        "the daemon runs in safe mode and takes on no turns: {why}. Once the reason is mended, stop it in order and start it again"
    );
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).kind("safe-mode")
}

pub(super) fn of_store(error: &StoreError) -> Refusal {
    let described = || error.describe();
    match error {
        StoreError::NotFound { wanted } => no_session(wanted),
        StoreError::NoSuchMessage { .. } => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("{}; GET the session's messages for what there is", described()),
        ),
        StoreError::InUse { .. } => conflict(
            "session-in-use",
            format!(
                "{}; wait for its run, or fork the session and go on in the fork",
                described()
            ),
        ),
        StoreError::TooLarge { .. } => Refusal::bad_request(format!("{}; make it smaller", described())),
        StoreError::Full { .. } => {
            failed(error);
            Refusal::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "the disk of the session store is full; free some space on it and try again",
            )
        }
        StoreError::Locked { .. } | StoreError::Closed => {
            failed(error);
            let detail = "the session store is busy or closing; try again";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(LOCKED_RETRY)
        }
        _ => {
            failed(error);
            Refusal::internal("the session store failed; the log of the daemon says why and what to do")
        }
    }
}

pub(super) fn of_agent(error: &AgentError) -> Refusal {
    match error {
        AgentError::Store(error) => of_store(error),
        AgentError::Workspace(error) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

pub(super) fn of_start(error: NotStarted) -> Refusal {
    match error {
        NotStarted::SessionBusy(turn) => conflict("session-busy", format!(
            "the session is at work on turn {turn}, and does one turn at a time; wait for its end, steer it or cancel it"
        )),
        NotStarted::TooMany(limit) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "{limit} turns are at work, as many as server.max_turns_in_flight allows; try again later"
            ),
        )
        .kind("too-many-turns")
        .retry_after(TURNS_RETRY),
        NotStarted::KeyReused => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this idempotency-key was used for another request; use a new key for each request that is not a repetition",
        )
        .kind("idempotency-key-reused"),
        NotStarted::Draining => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is ending and starts no turn; try again when it runs again",
        )
        .kind("draining")
        .retry_after(TURNS_RETRY),
    }
}

pub(super) fn of_control(error: ControlError) -> Refusal {
    match error {
        ControlError::NotOpen | ControlError::Ended => conflict("turn-ended", error.to_string()),
        ControlError::Empty => Refusal::bad_request(error.to_string()),
        ControlError::Full => Refusal::too_many(error.to_string(), LOCKED_RETRY),
    }
}

/// 409. `kind` is for programs: which of the reasons it is.
pub(super) fn conflict(kind: &'static str, detail: String) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, detail).kind(kind)
}

/// What only the operator may see.
fn failed(error: &StoreError) {
    tracing::error!(%error, "a request of the agent API failed at the session store");
}
