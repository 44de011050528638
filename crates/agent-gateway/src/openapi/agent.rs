//! The agent API.

use agent_core::AgentEvent;
use http::StatusCode;
use serde_json::{Value, json};

use super::operation::{Operation, Schemas};
use crate::api::types::{
    Approvals, Decided, Decision, MessagePage, NewFork, NewSession, NewTurn, Session, SessionChange,
    SessionPage, StartedTurn, Steer, TurnStatus,
};
use crate::api::{EXPORT_PARAMETERS, LIST_PARAMETERS, MESSAGES_PARAMETERS, StreamNotice};
use crate::routes::ApiTarget;

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;
const CONFLICT: StatusCode = StatusCode::CONFLICT;
const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
const UNSUPPORTED: StatusCode = StatusCode::UNSUPPORTED_MEDIA_TYPE;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

const STREAM: &str = "Every `data` line is one JSON object with a `type`: the events of the stream-json format, and notices of \
    the stream itself (`events_lost`, `reader_dropped`). Ids count from 1; who connects again with the last one in \
    `last-event-id` goes on after it. The turn goes on without readers. Comments come while nothing happens; the stream \
    ends after `finished`.";

const EVENTS: &str = "Events are kept for a bounded number and size, so that several readers can watch, and come back. A reader \
    that falls behind them is sent away with `reader_dropped`.";

/// What can be done with a session that was just made.
const OF_SESSION: &[&str] = &[
    "agentGetSession",
    "agentRenameSession",
    "agentListMessages",
    "agentExportSession",
    "agentForkSession",
    "agentStartTurn",
    "agentDeleteSession",
];

/// What can be done with a turn that was just started.
const OF_TURN: &[&str] = &[
    "agentGetTurn",
    "agentTurnEvents",
    "agentCancelTurn",
    "agentSteerTurn",
];

const START: &str = "A session does one turn at a time. With `accept: text/event-stream` the answer is the stream of the turn's \
    events. With an `idempotency-key` the same request can be sent again for an hour: it starts no second turn.";

pub(super) fn describe(target: ApiTarget, schemas: &mut Schemas) -> Operation {
    match target {
        ApiTarget::ListSessions => Operation::new("")
            .query(LIST_PARAMETERS)
            .gives(OK, "A page of sessions.", schemas.written::<SessionPage>()),
        ApiTarget::CreateSession => Operation::new("")
            .body(schemas.read::<NewSession>(), true)
            .gives(CREATED, "The session.", schemas.written::<Session>())
            .leads_to(CREATED, OF_SESSION, &session_parameters())
            .refuses(UNPROCESSABLE, "The workspace can't be used.")
            .refuses(UNSUPPORTED, "The body is not JSON."),
        ApiTarget::GetSession => of_session(Operation::new("")).gives(OK, "The session.", schemas.written::<Session>()),
        ApiTarget::RenameSession => of_session(Operation::new(""))
            .body(schemas.read::<SessionChange>(), true)
            .gives(OK, "The session.", schemas.written::<Session>())
            .refuses(UNSUPPORTED, "The body is not JSON."),
        ApiTarget::DeleteSession => of_session(Operation::new("What it cost stays in the totals."))
            .gives_nothing(StatusCode::NO_CONTENT, "It is gone.")
            .refuses(CONFLICT, "A turn is at work in it, or another program has it open."),
        ApiTarget::ListMessages => of_session(Operation::new(""))
            .query(MESSAGES_PARAMETERS)
            .gives(OK, "A page of messages.", schemas.written::<MessagePage>())
            .refuses(UNAVAILABLE, "Too many pages are being read."),
        ApiTarget::ExportSession => of_session(Operation::new(""))
            .query(EXPORT_PARAMETERS)
            .gives_content(
                OK,
                "The session as a document.",
                json!({
                    "application/json": { "schema": { "type": "object" } },
                    "text/markdown": { "schema": { "type": "string" } }
                }),
            )
            .refuses(UNAVAILABLE, "Too many exports are under way."),
        ApiTarget::ForkSession => of_session(Operation::new(""))
            .body(schemas.read::<NewFork>(), false)
            .gives(CREATED, "The fork.", schemas.written::<Session>())
            .leads_to(CREATED, OF_SESSION, &session_parameters())
            .refuses(UNPROCESSABLE, "It can't be forked after this message.")
            .refuses(UNSUPPORTED, "The body is not JSON."),
        ApiTarget::StartTurn => start_turn(schemas),
        ApiTarget::GetTurn => of_turn(Operation::new("A turn that ended can be asked for some minutes longer."))
            .gives(OK, "How it stands.", schemas.written::<TurnStatus>()),
        ApiTarget::TurnEvents => of_turn(Operation::new(EVENTS))
            .header("last-event-id", json!({ "type": "integer", "minimum": 0 }), "The last event that was read.")
            .gives_content(OK, STREAM, stream(schemas))
            .gives_nothing(StatusCode::NO_CONTENT, "It has ended, and all of its events were read.")
            .refuses(UNAVAILABLE, "Too many readers watch it already."),
        ApiTarget::CancelTurn => of_turn(Operation::new("What was done is stored. The `finished` event says when it has ended."))
            .gives(ACCEPTED, "It is being ended.", schemas.written::<TurnStatus>())
            .gives(OK, "It had ended already.", schemas.written::<TurnStatus>()),
        ApiTarget::SteerTurn => of_turn(Operation::new("Put into the conversation with the next request to the model; a `steered` event says when."))
            .body(schemas.read::<Steer>(), true)
            .gives(ACCEPTED, "It was taken.", schemas.written::<TurnStatus>())
            .refuses(CONFLICT, "The turn has ended.")
            .refuses(UNSUPPORTED, "The body is not JSON."),
        ApiTarget::ListApprovals => Operation::new("Of all turns, oldest first.")
            .gives(OK, "What is open.", schemas.written::<Approvals>()),
        ApiTarget::ResolveApproval => Operation::new("")
            .path(
                "id",
                json!({ "type": "string", "maxLength": 64 }),
                "The approval's id, as in the list; made of the turn's id, a dot, and the `approval_id` of the event.",
            )
            .body(schemas.read::<Decision>(), true)
            .gives(OK, "It is decided.", schemas.written::<Decided>())
            .refuses(NOT_FOUND, "There is no such approval.")
            .refuses(CONFLICT, "It was decided already.")
            .refuses(UNSUPPORTED, "The body is not JSON."),
        ApiTarget::OpenApi => Operation::new("").gives(OK, "The document.", json!({ "type": "object" })),
    }
}

fn start_turn(schemas: &mut Schemas) -> Operation {
    let events = stream(schemas);
    let started = schemas.written::<StartedTurn>();
    of_session(Operation::new(START))
        .header(
            "idempotency-key",
            json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
            "Names the request, so that it can be sent again.",
        )
        .body(schemas.read::<NewTurn>(), true)
        .gives(
            CREATED,
            "The turn was started, or had been by the same request before.",
            started,
        )
        .leads_to(CREATED, OF_TURN, &turn_parameters())
        .gives_content(OK, STREAM, events)
        .refuses(
            CONFLICT,
            "A turn is at work in this session, or another program has it open.",
        )
        .refuses(
            UNPROCESSABLE,
            "The key was used for another request, or the workspace can't be used.",
        )
        .refuses(UNSUPPORTED, "The body is not JSON.")
        .refuses(
            UNAVAILABLE,
            "As many turns are at work as allowed, memory is short, or the daemon is ending.",
        )
}

/// Each event by its fields, as those who read the standard's event streams have them; what `data` holds is JSON.
fn stream(schemas: &mut Schemas) -> Value {
    let data = json!({ "anyOf": [schemas.written::<AgentEvent>(), schemas.written::<StreamNotice>()] });
    let event = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "The event's number." },
            "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": data }
        },
        "required": ["data"]
    });
    json!({ "text/event-stream": { "schema": event } })
}

fn of_session(operation: Operation) -> Operation {
    operation
        .path(
            "id",
            json!({ "type": "string", "format": "uuid" }),
            "The session's id.",
        )
        .refuses(NOT_FOUND, "There is no such session.")
}

fn of_turn(operation: Operation) -> Operation {
    operation
        .path(
            "id",
            json!({ "type": "string", "format": "uuid" }),
            "The session's id.",
        )
        .path(
            "turn",
            json!({ "type": "string", "format": "uuid" }),
            "The turn's id.",
        )
        .refuses(NOT_FOUND, "There is no such turn.")
}

fn session_parameters() -> Value {
    json!({ "id": "$response.body#/id" })
}

fn turn_parameters() -> Value {
    json!({ "id": "$response.body#/session_id", "turn": "$response.body#/turn_id" })
}
