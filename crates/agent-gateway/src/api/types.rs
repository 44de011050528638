//! What goes over the wire: the bodies of requests and answers. The OpenAPI document is made from these.

use std::sync::Arc;

use agent_claude::messages::Role;
use agent_core::Finished;
use agent_core::session::{Cost, Fork, SearchHit, SessionId, SessionInfo, StoredMessage};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::turns::{Approval, Phase, Standing, Turn, TurnId};
use crate::input::{Number, Text};

/// Longest title in characters: in UTF-8 it is never longer than what the store takes.
const MAX_TITLE: usize = 128;

/// Longest path of a workspace in characters: what Linux takes.
const MAX_PATH: usize = 4096;

/// Longest prompt in characters. In the store a message may have 16 MiB; a body of a request is smaller than that by default.
const MAX_PROMPT: usize = 4 * 1024 * 1024;

/// Longest steering text in characters; the agent takes 64 KiB.
const MAX_STEER: usize = 16 * 1024;

/// Longest reason for a denial in characters: a paragraph for the model to read.
const MAX_REASON: usize = 4 * 1024;

/// A new session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSession {
    /// The folder that the agent works in: an absolute path on the machine of the daemon.
    #[schemars(example = "/tmp")]
    pub(crate) workspace: Text<1, MAX_PATH>,
    /// A title; without one it is made from the first prompt.
    #[serde(default)]
    pub(crate) title: Option<Text<1, MAX_TITLE>>,
}

/// What to change about a session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionChange {
    /// The new title.
    pub(crate) title: Text<1, MAX_TITLE>,
}

/// Where to fork a session.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFork {
    /// The last message that the fork has, 0 for none; all of them when it is left out.
    #[serde(default)]
    pub(crate) at: Option<Number<0, { u32::MAX }>>,
}

/// Something to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTurn {
    /// What the agent is to do.
    pub(crate) prompt: Text<1, MAX_PROMPT>,
    /// Requests to the model, at most. The daemon's own limit stays.
    #[serde(default)]
    pub(crate) max_turns: Option<Number<1, { u32::MAX }>>,
    /// US dollars, at most. The daemon's own limit stays.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub(crate) max_budget_usd: Option<f64>,
    /// Seconds, at most. The daemon's own limit stays.
    #[serde(default)]
    pub(crate) timeout_seconds: Option<Number<1, { u32::MAX }>>,
}

/// Something to tell a turn that is at work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steer {
    /// Put into the conversation with the next request to the model.
    pub(crate) text: Text<1, MAX_STEER>,
}

/// A person's decision about a tool call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// What is decided.
    pub(crate) decision: Choice,
    /// With `deny`: told to the model.
    #[serde(default)]
    pub(crate) reason: Option<Text<0, MAX_REASON>>,
}

/// What can be decided about a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Choice {
    /// Run it, and ask again the next time.
    AllowOnce,
    /// Run it, and whatever asks for the same in this session.
    AllowForSession,
    /// Do not run it.
    Deny,
}

/// A stored session.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: SessionId,
    /// Its title; empty until the first prompt if it was made without one.
    pub(crate) title: String,
    /// The folder that the agent works in.
    pub(crate) workspace: String,
    /// The model that it started with.
    pub(crate) model: String,
    /// When it was made.
    pub(crate) created: DateTime<Utc>,
    /// When it last changed.
    pub(crate) updated: DateTime<Utc>,
    /// Where it was forked from, and after which message.
    pub(crate) forked_from: Option<Fork>,
    /// How many messages it has; the `seq` of the last.
    pub(crate) messages: u64,
    /// What it used.
    pub(crate) cost: Cost,
    /// Where a stranger's words in it are from, when it holds any: then running something and asking hosts that are not listed is asked about.
    pub(crate) distrusted: Option<String>,
    /// The turn that this daemon is working on in it.
    pub(crate) active_turn: Option<TurnId>,
    /// In a search: where the text was found, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(crate) hits: Vec<Hit>,
}

/// A message that holds what was searched for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Hit {
    /// Its place in the session.
    pub(crate) seq: u64,
    /// Who said it.
    pub(crate) role: MessageRole,
    /// When it was stored.
    pub(crate) created: DateTime<Utc>,
    /// The best few words of it.
    pub(crate) snippet: Vec<Piece>,
}

/// A part of a snippet.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Piece {
    /// Its text.
    pub(crate) text: String,
    /// Whether this is what was searched for.
    pub(crate) hit: bool,
}

/// Sessions, the one that changed last first; in a search the best match first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionPage {
    /// The sessions.
    pub(crate) sessions: Vec<Session>,
    /// The `offset` of the next page; null when this is the last.
    pub(crate) next_offset: Option<u64>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageRole {
    /// The user, and the results of tools.
    User,
    /// The model.
    Assistant,
    /// The program.
    System,
}

/// A stored message.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Message {
    /// Its place in the session, from 1 and without gaps.
    pub(crate) seq: u64,
    /// Who speaks.
    pub(crate) role: MessageRole,
    /// When it was stored.
    pub(crate) created: DateTime<Utc>,
    /// The content as the Messages API has it: a text, or an array of blocks.
    #[schemars(with = "serde_json::Value")]
    pub(crate) content: Arc<RawValue>,
}

/// Messages of a session, in order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MessagePage {
    /// The messages. Fewer than asked for when they are large.
    pub(crate) messages: Vec<Message>,
    /// The `first` of the next page; null when this is the last.
    pub(crate) next_first: Option<u64>,
}

/// A turn that was started.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StartedTurn {
    /// Its id.
    pub(crate) turn_id: TurnId,
    /// Its session.
    pub(crate) session_id: SessionId,
    /// Where to ask how it stands.
    pub(crate) status_url: String,
    /// Where its events are.
    pub(crate) events_url: String,
}

/// How far a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TurnState {
    /// Its session is being opened.
    Starting,
    /// The agent works.
    Running,
    /// A person has to decide something.
    WaitingForApproval,
    /// It has ended; `result` says how.
    Ended,
}

/// How a turn stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TurnStatus {
    /// Its id.
    pub(crate) turn_id: TurnId,
    /// Its session.
    pub(crate) session_id: SessionId,
    /// How far it is.
    pub(crate) state: TurnState,
    /// When it was started.
    pub(crate) started: DateTime<Utc>,
    /// When it ended.
    pub(crate) ended: Option<DateTime<Utc>>,
    /// How it ended: the same as in the `finished` event.
    pub(crate) result: Option<Finished>,
    /// What waits for a person.
    pub(crate) approvals: Vec<Approval>,
    /// The number of its last event; 0 before the first.
    pub(crate) last_event: u64,
}

/// What waits for a person, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Approvals {
    /// The open approvals of all turns.
    pub(crate) approvals: Vec<Approval>,
}

/// A decision that was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Decided {
    /// The approval.
    pub(crate) id: String,
    /// What was decided.
    pub(crate) decision: Choice,
}

impl Session {
    pub(crate) fn new(info: SessionInfo, active_turn: Option<TurnId>) -> Self {
        Self {
            id: info.id,
            title: info.title,
            workspace: info.workspace.display().to_string(),
            model: info.model,
            created: info.created,
            updated: info.updated,
            forked_from: info.forked_from,
            messages: info.messages,
            cost: info.cost,
            distrusted: info.distrusted,
            active_turn,
            hits: Vec::new(),
        }
    }
}

impl From<SearchHit> for Hit {
    fn from(hit: SearchHit) -> Self {
        Self {
            seq: hit.seq,
            role: hit.role.into(),
            created: hit.created,
            snippet: pieces(&hit.snippet.text, &hit.snippet.marks),
        }
    }
}

/// The text in parts: offsets in bytes mean nothing to a client whose texts are UTF-16.
fn pieces(text: &str, marks: &[std::ops::Range<usize>]) -> Vec<Piece> {
    let piece = |range: std::ops::Range<usize>, hit| Piece {
        text: text.get(range).unwrap_or_default().to_owned(),
        hit,
    };
    let (mut pieces, mut done) = (Vec::new(), 0);
    for mark in marks {
        pieces.push(piece(done..mark.start, false));
        pieces.push(piece(mark.clone(), true));
        done = mark.end;
    }
    pieces.push(piece(done..text.len(), false));
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

impl From<Role> for MessageRole {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Assistant => Self::Assistant,
            Role::System => Self::System,
        }
    }
}

impl From<StoredMessage> for Message {
    fn from(message: StoredMessage) -> Self {
        Self {
            seq: message.seq,
            role: message.role.into(),
            created: message.created,
            content: message.content,
        }
    }
}

impl StartedTurn {
    pub(crate) fn new(session: SessionId, turn: TurnId) -> Self {
        let status_url = format!("/api/v1/sessions/{session}/turns/{turn}");
        Self {
            turn_id: turn,
            session_id: session,
            events_url: format!("{status_url}/events"),
            status_url,
        }
    }
}

impl TurnStatus {
    pub(crate) fn new(turn: &Turn, standing: Standing) -> Self {
        let (state, ended, result) = match standing.phase {
            Phase::Starting | Phase::Refused(_) => (TurnState::Starting, None, None),
            Phase::Running if standing.approvals.is_empty() => (TurnState::Running, None, None),
            Phase::Running => (TurnState::WaitingForApproval, None, None),
            Phase::Ended { result, at } => (TurnState::Ended, Some(at), Some(result)),
        };
        Self {
            turn_id: turn.id,
            session_id: turn.session,
            state,
            started: turn.started,
            ended,
            result,
            approvals: standing.approvals,
            last_event: standing.last_event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_comes_in_pieces() {
        let piece = |text: &str, hit| Piece {
            text: text.to_owned(),
            hit,
        };
        assert_eq!(
            pieces("…a né b c", &[5..8, 11..12]),
            [
                piece("…a ", false),
                piece("né", true),
                piece(" b ", false),
                piece("c", true)
            ]
        );
        assert_eq!(pieces("abc", &[]), [piece("abc", false)]);
        assert!(pieces("", &[]).is_empty());
    }
}
