//! A scenario that is being played.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;

use super::{Exhausted, Scenario, ScriptedError, ScriptedReply, Step};
use crate::answer::{Block, Reply};
use crate::digest::Random;
use crate::error::{ApiError, kind_of};
use crate::fault::Fault;

/// A scenario and how far it got.
#[derive(Debug)]
pub(crate) struct Script {
    steps: Vec<Step>,
    exhausted: Exhausted,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    left: Vec<u64>,
    requests: u64,
}

/// What the scenario has for a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Scripted {
    pub(crate) fault: Option<Fault>,
    pub(crate) reply: Result<Option<Reply>, ApiError>,
}

impl Script {
    pub(crate) fn new(scenario: Option<Scenario>) -> Self {
        let scenario = scenario.unwrap_or(Scenario {
            exhausted: Exhausted::Mind,
            steps: Vec::new(),
        });
        let left = scenario.steps.iter().map(|step| step.times).collect();
        let progress = Mutex::new(Progress { left, requests: 0 });
        Self {
            steps: scenario.steps,
            exhausted: scenario.exhausted,
            progress,
        }
    }

    /// Takes the first step that is left and matches. `Ok(None)` leaves the answer to the mind.
    pub(crate) fn next(&self, user_text: &str, random: &mut Random) -> Scripted {
        self.choose(user_text, random, true)
    }

    /// What [`next`](Self::next) would give, left in its place: the answer will break, and a retry gets the step.
    pub(crate) fn peek(&self, user_text: &str, random: &mut Random) -> Scripted {
        self.choose(user_text, random, false)
    }

    fn choose(&self, user_text: &str, random: &mut Random, take: bool) -> Scripted {
        let mut progress = self.progress.lock();
        let request = progress.requests + 1;
        if take {
            progress.requests = request;
        }
        let found = self.steps.iter().enumerate().find(|(index, step)| {
            progress.left[*index] > 0
                && step
                    .contains
                    .as_deref()
                    .is_none_or(|part| user_text.contains(part))
                && step.request.is_none_or(|number| number == request)
        });
        let Some((index, step)) = found else {
            let reply = match self.exhausted {
                Exhausted::Mind => Ok(None),
                Exhausted::Refuse => Err(ApiError::invalid(format!(
                    "simulator: the scenario has no step for request {request} (last user text: {:?})",
                    user_text.chars().take(80).collect::<String>()
                ))),
            };
            return Scripted { fault: None, reply };
        };
        if take {
            progress.left[index] -= 1;
        }
        let reply = match &step.error {
            Some(error) => Err(error.to_api()),
            None if step.by_mind => Ok(None),
            None => Ok(Some(step.reply.to_reply(random))),
        };
        Scripted {
            fault: step.fault.clone(),
            reply,
        }
    }
}

impl ScriptedReply {
    fn to_reply(&self, random: &mut Random) -> Reply {
        let mut blocks = Vec::new();
        blocks.extend(self.thinking.clone().map(Block::Thinking));
        blocks.extend(self.text.clone().map(Block::Text));
        blocks.extend(
            self.tool_calls
                .iter()
                .map(|call| Block::tool_use(&call.name, &Value::Object(call.input.clone()), random)),
        );
        blocks.extend(self.blocks.iter().map(|block| typed(block, random)));
        Reply {
            blocks,
            stop_reason: self.stop_reason.clone(),
            usage: self.usage.clone(),
        }
    }
}

/// The kinds of blocks that are sent by pieces; every other one goes out as it is written.
fn typed(block: &Value, random: &mut Random) -> Block {
    let text = |key| block.get(key).and_then(Value::as_str).map(str::to_owned);
    let known = match block.get("type").and_then(Value::as_str) {
        Some("text") => text("text").map(Block::Text),
        Some("thinking") => text("thinking").map(Block::Thinking),
        Some("tool_use") => match (text("name"), block.get("input")) {
            (Some(name), Some(input)) => Some(Block::tool_use(&name, input, random)),
            _ => None,
        },
        _ => None,
    };
    known.unwrap_or_else(|| Block::Whole(block.clone()))
}

impl ScriptedError {
    fn to_api(&self) -> ApiError {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = self
            .message
            .clone()
            .unwrap_or_else(|| "scripted error".to_owned());
        let mut error =
            ApiError::new(status, message).with_retry_after(self.retry_after.map(|after| after.0));
        error.kind = self.kind.clone().unwrap_or_else(|| kind_of(status).to_owned());
        error
    }
}
