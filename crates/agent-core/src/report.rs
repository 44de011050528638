//! How a run ended, for the person who started it: what happened, to what, and what to do. The one place where the
//! errors of the layers below become words and an outcome.

use agent_claude::error::ClaudeError;
use agent_claude::messages::Message;
use serde_json::Value;

use crate::event::{ErrorKind, ErrorReport, Outcome};
use crate::session::StoreError;
use crate::stop::StopCause;

/// Refusals named in a report; the transcript has them all.
const MAX_NAMED_DENIALS: usize = 10;

/// What the policy refused in a run: the first few by name, the others by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Denied {
    named: Vec<String>,
    more: usize,
}

impl Denied {
    pub(crate) fn add(&mut self, lines: Vec<String>) {
        let room = MAX_NAMED_DENIALS - self.named.len();
        self.more += lines.len().saturating_sub(room);
        self.named.extend(lines.into_iter().take(room));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

/// A run's end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<ErrorReport>,
}

fn end(outcome: Outcome, kind: ErrorKind, message: impl Into<String>, advice: impl Into<String>) -> End {
    End {
        outcome,
        error: Some(ErrorReport {
            kind,
            message: message.into(),
            advice: advice.into(),
        }),
    }
}

/// The API failed for good.
pub(crate) fn upstream(error: &ClaudeError, model: &str) -> End {
    if is_prompt_too_long(error) {
        return context_full();
    }
    let (outcome, kind, advice) = remedy(error);
    let message = match kind {
        ErrorKind::UnknownModel => format!("the API does not know the model {model:?}: {error}"),
        _ => error.to_string(),
    };
    end(outcome, kind, message, advice)
}

fn remedy(error: &ClaudeError) -> (Outcome, ErrorKind, &'static str) {
    use ErrorKind as Kind;
    use Outcome::{Cancelled, Misconfigured, UpstreamFailed};
    const LATER: &str = "the session is stored; go on with it later";
    match error {
        ClaudeError::Connect { .. } => (
            UpstreamFailed,
            Kind::Connection,
            "check the network and api.base_url, then go on with the session",
        ),
        ClaudeError::Timeout { .. } => (UpstreamFailed, Kind::UpstreamTimeout, LATER),
        ClaudeError::Api { status, .. } => match status {
            401 => (
                Misconfigured,
                Kind::Authentication,
                "set ANTHROPIC_API_KEY or api.api_key_file to a valid key",
            ),
            403 => (
                Misconfigured,
                Kind::Authentication,
                "use a key that may use this model and this endpoint",
            ),
            402 => (Misconfigured, Kind::Billing, "check the account's billing"),
            404 => (
                Misconfigured,
                Kind::UnknownModel,
                "choose another --model, and check api.base_url",
            ),
            400..=428 | 430..=499 => (
                UpstreamFailed,
                Kind::InvalidRequest,
                "the API refuses this conversation as it is; fork the session before the last messages, or start a new one",
            ),
            429 => (
                UpstreamFailed,
                Kind::RateLimited,
                "wait for the rate limit to recover, then go on with the session",
            ),
            529 => (UpstreamFailed, Kind::Overloaded, LATER),
            _ => (UpstreamFailed, Kind::Upstream, LATER),
        },
        ClaudeError::MalformedStream { .. } | ClaudeError::TruncatedStream | ClaudeError::TooLarge { .. } => {
            (
                UpstreamFailed,
                Kind::Upstream,
                "if it happens again, check that api.base_url is a Messages API; the session is stored",
            )
        }
        // What was to be retried is what there is to be mended.
        ClaudeError::BudgetExhausted { last: Some(last), .. } => remedy(last),
        ClaudeError::Transport { .. } | ClaudeError::BudgetExhausted { last: None, .. } => {
            (UpstreamFailed, Kind::Connection, LATER)
        }
        ClaudeError::Cancelled => (Cancelled, Kind::Cancelled, LATER),
        ClaudeError::InvalidRequest { .. } => {
            (Misconfigured, Kind::InvalidRequest, "correct the [api] settings")
        }
    }
}

/// The prompt is larger than the model's window. The API has no code for it, so its words decide; a miss only means
/// that the error is reported instead of healed.
pub(crate) fn is_prompt_too_long(error: &ClaudeError) -> bool {
    // Some models count the answer's limit in, and say it otherwise.
    let says_so = |message: &str| {
        ["prompt is too long", "exceed context limit"]
            .iter()
            .any(|words| message.contains(words))
    };
    matches!(error, ClaudeError::Api { status: 400 | 413, message, .. } if says_so(message))
}

pub(crate) fn store(error: &StoreError) -> End {
    end(
        Outcome::Failed,
        ErrorKind::Store,
        error.describe(),
        error.advice(),
    )
}

pub(crate) fn stopped(cause: StopCause) -> End {
    let (outcome, kind, message) = match cause {
        StopCause::User => (Outcome::Cancelled, ErrorKind::Cancelled, "cancelled"),
        StopCause::ReaderGone => (
            Outcome::Cancelled,
            ErrorKind::Cancelled,
            "cancelled: nobody reads the events any more",
        ),
        StopCause::Shutdown => (
            Outcome::Cancelled,
            ErrorKind::Cancelled,
            "cancelled: the program is ending",
        ),
        StopCause::Deadline => {
            let advice = "go on with the session, or allow more time with --timeout";
            return end(
                Outcome::TimedOut,
                ErrorKind::Deadline,
                "the run's time is over",
                advice,
            );
        }
    };
    end(
        outcome,
        kind,
        message,
        "what was done is stored; go on with the session",
    )
}

pub(crate) fn max_turns(turns: u32) -> End {
    let message = format!("stopped after {turns} turns, before the model was done");
    end(
        Outcome::Partial,
        ErrorKind::MaxTurns,
        message,
        "go on with the session, or allow more with --max-turns",
    )
}

pub(crate) fn over_budget(spent: f64, limit: f64) -> End {
    let message =
        format!("{spent:.4} of {limit:.4} US dollars are spent, and the next request could pass the budget");
    end(
        Outcome::OverBudget,
        ErrorKind::Budget,
        message,
        "go on with the session with a larger --max-budget-usd",
    )
}

pub(crate) fn unknown_price(model: &str) -> End {
    let message =
        format!("a budget is set, but the price of the model {model:?} is not known; nothing was sent");
    let advice = "give its price in api.prices_file, choose a known model, or leave the budget out";
    end(Outcome::Misconfigured, ErrorKind::UnknownPrice, message, advice)
}

pub(crate) fn empty_prompt() -> End {
    end(
        Outcome::Misconfigured,
        ErrorKind::InvalidRequest,
        "the prompt is empty",
        "say what is to be done",
    )
}

pub(crate) fn max_tokens(limit: u32) -> End {
    let message = format!("the answer reached its limit of {limit} tokens and is not whole");
    end(
        Outcome::Partial,
        ErrorKind::MaxTokens,
        message,
        "ask the session to go on, or raise api.max_output_tokens",
    )
}

pub(crate) fn context_full() -> End {
    let message = "the conversation fills the model's window and could not be made to fit";
    end(
        Outcome::Partial,
        ErrorKind::ContextFull,
        message,
        "start a new session, or fork this one at an earlier message",
    )
}

pub(crate) fn refusal(message: &Message) -> End {
    let detail = |name: &str| {
        message
            .extra
            .get("stop_details")?
            .get(name)
            .and_then(Value::as_str)
    };
    let category = detail("category")
        .map(|category| format!(" ({category})"))
        .unwrap_or_default();
    let explanation = detail("explanation")
        .map(|text| format!(": {text}"))
        .unwrap_or_default();
    let text = format!("the model declined to go on{category}{explanation}");
    end(
        Outcome::Partial,
        ErrorKind::Refusal,
        text,
        "put the task differently, in a new session or a fork before this prompt",
    )
}

pub(crate) fn unknown_stop(reason: Option<&str>) -> End {
    let message = match reason {
        Some(reason) => format!("the model stopped for a reason that this version does not know: {reason:?}"),
        None => "the answer came without a reason for its end".to_owned(),
    };
    end(
        Outcome::Partial,
        ErrorKind::UnknownStopReason,
        message,
        "check the answer; go on with the session if it is not whole",
    )
}

pub(crate) fn denied(refused: &Denied) -> End {
    let mut message = "the model ended its turn, but was denied".to_owned();
    for line in &refused.named {
        message.push_str("\n- ");
        message.push_str(line);
    }
    if refused.more > 0 {
        message.push_str(&format!("\n- and {} more", refused.more));
    }
    let advice = "allow what is needed (--permission-mode, tools.allowed_commands) or run it where a person can answer";
    end(Outcome::Denied, ErrorKind::Permission, message, advice)
}

pub(crate) fn internal(message: impl Into<String>) -> End {
    end(
        Outcome::Failed,
        ErrorKind::Internal,
        message,
        "this is a fault of the program; the session is stored, so go on with it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_claude::error::TimeoutStage;
    use serde_json::json;
    use std::time::Duration;

    fn api(status: u16, message: &str) -> ClaudeError {
        ClaudeError::Api {
            status,
            kind: "k".into(),
            message: message.into(),
            request_id: None,
            retry_after: None,
            should_retry: None,
        }
    }

    #[test]
    fn outcome_and_kind_follow_the_remedy() {
        let cases = [
            (
                api(401, "invalid x-api-key"),
                Outcome::Misconfigured,
                ErrorKind::Authentication,
            ),
            (api(403, "no"), Outcome::Misconfigured, ErrorKind::Authentication),
            (
                api(404, "model: x"),
                Outcome::Misconfigured,
                ErrorKind::UnknownModel,
            ),
            (api(402, "pay"), Outcome::Misconfigured, ErrorKind::Billing),
            (
                api(400, "bad"),
                Outcome::UpstreamFailed,
                ErrorKind::InvalidRequest,
            ),
            (
                api(400, "prompt is too long: 2 tokens > 1 maximum"),
                Outcome::Partial,
                ErrorKind::ContextFull,
            ),
            (
                api(
                    400,
                    "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
                ),
                Outcome::Partial,
                ErrorKind::ContextFull,
            ),
            (api(429, "slow"), Outcome::UpstreamFailed, ErrorKind::RateLimited),
            (api(529, "busy"), Outcome::UpstreamFailed, ErrorKind::Overloaded),
            (api(500, "oh"), Outcome::UpstreamFailed, ErrorKind::Upstream),
            (
                ClaudeError::Timeout {
                    stage: TimeoutStage::Idle,
                    after: Duration::from_secs(1),
                },
                Outcome::UpstreamFailed,
                ErrorKind::UpstreamTimeout,
            ),
            (
                ClaudeError::TruncatedStream,
                Outcome::UpstreamFailed,
                ErrorKind::Upstream,
            ),
        ];
        for (error, outcome, kind) in cases {
            let end = upstream(&error, "m");
            let report = end.error.unwrap();
            assert_eq!((end.outcome, report.kind), (outcome, kind), "{error}");
            assert!(!report.advice.is_empty() && !report.message.is_empty());
        }
    }

    #[test]
    fn a_refusal_says_what_the_model_said() {
        let mut message = Message::new("m", "claude");
        assert_eq!(
            refusal(&message).error.unwrap().message,
            "the model declined to go on"
        );
        let details = json!({"type": "refusal", "category": "cyber", "explanation": "no exploits"});
        message.extra.insert("stop_details".to_owned(), details);
        assert_eq!(
            refusal(&message).error.unwrap().message,
            "the model declined to go on (cyber): no exploits"
        );
    }

    #[test]
    fn the_list_of_denials_is_bounded() {
        let mut refused = Denied::default();
        (0..25).for_each(|n| refused.add(vec![format!("call {n}")]));
        let message = denied(&refused).error.unwrap().message;
        assert!(
            message.contains("\n- call 9\n- and 15 more") && !message.contains("call 10"),
            "{message}"
        );
    }
}
