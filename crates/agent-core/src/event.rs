//! What a running turn tells: one closed set of events, read by the terminal, the HTTP API and the desktop alike.
//!
//! The JSON form (`{"type": "text_delta", …}`) is the stable `stream-json` format: fields are added, never renamed.
//! Order that a reader may count on:
//! - `session_started` is first, `finished` is last; each comes exactly once a run.
//! - every `tool_requested` has one `tool_finished`; a `tool_started` lies between them when the tool really ran.
//! - `message_stored` is sent only after the message is durable; its `seq` rises by one a message of the session.
//! - after `turn_restarted` the text shown since the last `turn_started` is void.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentEvent {
    /// The run begins; always the first event.
    SessionStarted {
        /// The session's id, as `--session` takes it.
        session_id: String,
        /// The model that is asked.
        model: String,
        /// The workspace folder.
        workspace: String,
        /// `ask`, `accept-edits`, `deny` or `policy`.
        permission_mode: String,
        /// Names of the tools offered to the model.
        tools: Vec<String>,
        /// True when the session had messages before this run.
        resumed: bool,
        /// Where a stranger's words in the session are from, when it holds any from before.
        distrusted: Option<String>,
    },
    /// The session has just taken in what a stranger wrote: from here on commands that do more than read and requests to hosts that are not listed
    /// are asked about.
    SessionDistrusted {
        /// Where the words are from.
        source: String,
    },
    /// A request is about to be sent to the model; `turn` counts from 1 within the run.
    TurnStarted {
        /// Number of the turn within the run.
        turn: u32,
    },
    /// A piece of the answer's text.
    TextDelta {
        /// To be appended to what was shown before.
        text: String,
    },
    /// A piece of the model's thinking.
    ThinkingDelta {
        /// To be appended to what was shown before.
        text: String,
    },
    /// The model asked for a tool; nothing ran yet.
    ToolRequested {
        /// The tool use id; every later event of this call carries it.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments as the model wrote them.
        input: Value,
        /// One line for a person: `read src/main.rs`.
        summary: String,
    },
    /// A person has to decide; answer with `TurnControl::answer`.
    ApprovalRequested {
        /// What the answer names.
        approval_id: ApprovalId,
        /// The tool use that waits.
        tool_use_id: String,
        /// The tool's name.
        tool: String,
        /// One line for a person.
        summary: String,
        /// Why the policy asks.
        reason: String,
        /// The diff or the command, when there is one.
        detail: Option<String>,
    },
    /// An approval was answered, or ended without an answer.
    ApprovalResolved {
        /// The approval.
        approval_id: ApprovalId,
        /// What was decided.
        answer: ApprovalAnswer,
        /// Who decided.
        by: ResolvedBy,
    },
    /// The tool was allowed and now runs.
    ToolStarted {
        /// The tool use id.
        id: String,
    },
    /// Live output of a running tool; pieces are dropped when the reader is slow, the result is not.
    ToolOutput {
        /// The tool use id.
        id: String,
        /// A piece of output.
        text: String,
    },
    /// The tool's result is known: it ran, was denied, or was cancelled.
    ToolFinished {
        /// The tool use id.
        id: String,
        /// The tool's name.
        name: String,
        /// True when the model is told of an error.
        is_error: bool,
        /// A bounded preview of what the model is told.
        output: String,
        /// True when `output` or the result itself is shorter than what the tool produced.
        truncated: bool,
        /// Running time in milliseconds, without the time spent waiting for approval.
        duration_ms: u64,
    },
    /// A message is durable in the session store.
    MessageStored {
        /// Its number in the session.
        seq: u64,
        /// `user` or `assistant`.
        role: String,
    },
    /// The usage of one request; `cost_usd` is none when the model's price is not known.
    UsageReported {
        /// Uncached prompt tokens.
        input_tokens: u64,
        /// Tokens of the answer.
        output_tokens: u64,
        /// Prompt tokens read from the cache.
        cache_read_input_tokens: u64,
        /// Prompt tokens written to the cache.
        cache_creation_input_tokens: u64,
        /// Cost of this request in US dollars.
        cost_usd: Option<f64>,
        /// Cost of the run so far in US dollars; none as soon as one request's cost is not known.
        total_cost_usd: Option<f64>,
    },
    /// A request failed in a way that is worth repeating; it is sent again after the delay.
    Retrying {
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Wait before the next one, in milliseconds.
        delay_ms: u64,
        /// What failed.
        reason: String,
    },
    /// The answer broke off and is asked for again: text shown since `turn_started` is void.
    TurnRestarted {
        /// What broke.
        reason: String,
    },
    /// The model's plan, whole.
    PlanUpdated {
        /// All steps, in order.
        items: Vec<PlanItem>,
    },
    /// Older messages were replaced by a summary, so that the conversation fits the model's window.
    Compacted {
        /// Messages in the context before.
        messages_before: u64,
        /// Estimated tokens before.
        tokens_before: u64,
        /// Estimated tokens after.
        tokens_after: u64,
    },
    /// What the user typed while the agent worked is now part of the conversation.
    Steered {
        /// The text as it was put in.
        text: String,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// What, and what to do.
        message: String,
    },
    /// The run has ended; always the last event.
    Finished(Finished),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// The outcome; it decides the exit code.
    pub outcome: Outcome,
    /// The session's id.
    pub session_id: String,
    /// Requests that were answered.
    pub turns: u32,
    /// The final answer: the text of the last assistant message; empty when there was none.
    pub text: String,
    /// Tokens of all requests of the run.
    pub usage: UsageTotals,
    /// Cost of the run in US dollars; none when a price is not known.
    pub cost_usd: Option<f64>,
    /// Duration of the run in milliseconds.
    pub duration_ms: u64,
    /// What went wrong and what to do; none when the outcome is `done`.
    pub error: Option<ErrorReport>,
}

/// How a run ended, in one word. Each has its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model ended its turn and nothing that it wanted to do was refused.
    Done,
    /// There is an answer, but it is not whole: turns or tokens ran out, or the model stopped early.
    Partial,
    /// Work was refused by the permission policy; what was refused is in the error report.
    Denied,
    /// The next request would have passed the budget.
    OverBudget,
    /// The run's deadline passed.
    TimedOut,
    /// The API failed in a way that retrying did not heal.
    UpstreamFailed,
    /// The API key, the model or another setting is wrong; the same call fails again until it is changed.
    Misconfigured,
    /// The user, or a reader that went away, stopped the run.
    Cancelled,
    /// The agent or its store failed.
    Failed,
}

impl Outcome {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Denied => "denied",
            Self::OverBudget => "over_budget",
            Self::TimedOut => "timed_out",
            Self::UpstreamFailed => "upstream_failed",
            Self::Misconfigured => "misconfigured",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a run did not end as `done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReport {
    /// For programs.
    pub kind: ErrorKind,
    /// What happened, to what.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// The closed set of reasons in an [`ErrorReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No key, or a key that the API does not take.
    Authentication,
    /// The API does not know the model.
    UnknownModel,
    /// The API refused the request as malformed.
    InvalidRequest,
    /// The account may not pay for the request.
    Billing,
    /// Too many requests, and retrying did not help.
    RateLimited,
    /// The API is overloaded, and retrying did not help.
    Overloaded,
    /// The API could not be reached.
    Connection,
    /// The API did not answer in time.
    UpstreamTimeout,
    /// The API answered with an error or with something that is not the protocol.
    Upstream,
    /// The model declined to go on.
    Refusal,
    /// The answer reached its token limit.
    MaxTokens,
    /// The conversation does not fit the model's window.
    ContextFull,
    /// The model stopped for a reason that this version does not know.
    UnknownStopReason,
    /// The run used all of its turns.
    MaxTurns,
    /// The run's budget does not allow another request.
    Budget,
    /// A budget is set but the model's price is not known.
    UnknownPrice,
    /// The run's deadline passed.
    Deadline,
    /// The permission policy refused tools.
    Permission,
    /// The run was stopped.
    Cancelled,
    /// The session store failed.
    Store,
    /// A fault of this program.
    Internal,
}

/// Names one approval of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ApprovalId(pub u64);

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a person decides about a tool call. JSON: `{"decision": "deny", "reason": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum ApprovalAnswer {
    /// Run it, and ask again the next time.
    AllowOnce,
    /// Run it, and whatever asks for the same in this session.
    AllowForSession,
    /// Do not run it.
    Deny {
        /// Told to the model, when given.
        reason: Option<String>,
    },
}

/// Who resolved an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedBy {
    /// A person answered.
    User,
    /// An earlier `allow_for_session` covers it.
    SessionRule,
    /// The run was cancelled or timed out while it waited: denied.
    RunEnded,
    /// Nobody could answer any more: denied.
    NobodyLeft,
}

/// One step of the model's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanItem {
    /// What is to be done.
    pub step: String,
    /// How far it is.
    pub status: PlanStatus,
}

/// How far a step of the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Not begun.
    Pending,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}

/// Tokens summed over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageTotals {
    /// Uncached prompt tokens.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: u64,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_form_is_stable() {
        let cases = [
            (
                AgentEvent::TextDelta { text: "hi".into() },
                json!({"type": "text_delta", "text": "hi"}),
            ),
            (
                AgentEvent::ApprovalResolved {
                    approval_id: ApprovalId(3),
                    answer: ApprovalAnswer::Deny {
                        reason: Some("no".into()),
                    },
                    by: ResolvedBy::User,
                },
                json!({"type": "approval_resolved", "approval_id": 3, "answer": {"decision": "deny", "reason": "no"}, "by": "user"}),
            ),
            (
                AgentEvent::PlanUpdated {
                    items: vec![PlanItem {
                        step: "look".into(),
                        status: PlanStatus::InProgress,
                    }],
                },
                json!({"type": "plan_updated", "items": [{"step": "look", "status": "in_progress"}]}),
            ),
            (
                AgentEvent::Finished(Finished {
                    outcome: Outcome::OverBudget,
                    session_id: "s".into(),
                    turns: 2,
                    text: "t".into(),
                    usage: UsageTotals {
                        input_tokens: 1,
                        output_tokens: 2,
                        ..UsageTotals::default()
                    },
                    cost_usd: None,
                    duration_ms: 5,
                    error: Some(ErrorReport {
                        kind: ErrorKind::Budget,
                        message: "m".into(),
                        advice: "a".into(),
                    }),
                }),
                json!({"type": "finished", "outcome": "over_budget", "session_id": "s", "turns": 2, "text": "t",
                    "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
                    "cost_usd": null, "duration_ms": 5, "error": {"kind": "budget", "message": "m", "advice": "a"}}),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_value(&event).unwrap(), expected);
            assert_eq!(serde_json::from_value::<AgentEvent>(expected).unwrap(), event);
        }
    }

    #[test]
    fn outcome_name_is_its_json_form() {
        for outcome in [
            Outcome::Done,
            Outcome::OverBudget,
            Outcome::TimedOut,
            Outcome::UpstreamFailed,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), json!(outcome.as_str()));
        }
    }
}
