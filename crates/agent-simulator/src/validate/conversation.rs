//! The rules between messages: who speaks first, what may be empty, which result answers which call.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::blocks::{self, Speaker};
use super::options::ThinkingMode;
use super::reader::{Checked, Place, array, choice, object, optional, required};
use crate::ApiVersion;
use crate::error::ApiError;

/// The API's own limit.
const MAX_MESSAGES: usize = 100_000;

/// What the rest of a request says that the rules between messages need.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    pub(crate) version: ApiVersion,
    pub(crate) thinking: ThinkingMode,
    /// Whether an assistant message may come last.
    pub(crate) prefill: bool,
}

/// One block as the pairing rules see it.
struct Seen<'v> {
    kind: &'v str,
    /// The id of a `tool_use`, or the `tool_use_id` of a `tool_result`.
    id: Option<&'v str>,
}

/// Consecutive messages of one role: the API reads them as one.
struct Turn<'v> {
    first: usize,
    speaker: Speaker,
    blocks: Vec<Seen<'v>>,
}

/// Checks `messages`.
pub(crate) fn check(body: &Map<String, Value>, context: Context) -> Checked<()> {
    let place = Place::Root.key("messages");
    let place = &place;
    let messages = array(required(body, "messages", &Place::Root)?, place)?;
    if messages.is_empty() {
        return Err(place.refuse("at least one message is required"));
    }
    if messages.len() > MAX_MESSAGES {
        return Err(place.refuse(format!(
            "at most {MAX_MESSAGES} messages are allowed, found {}",
            messages.len()
        )));
    }
    let mut turns: Vec<Turn> = Vec::new();
    for (index, value) in messages.iter().enumerate() {
        let at = &place.index(index);
        let message = object(value, at)?;
        let role = required(message, "role", at)?;
        choice(role, &["user", "assistant", "system"], &at.key("role"))?;
        let speaker = match role.as_str() {
            Some("assistant") => Speaker::Assistant,
            Some("system") => Speaker::System,
            _ => Speaker::User,
        };
        let last = index + 1 == messages.len();
        let blocks = content(message, speaker, last, context.version, at)?;
        match turns.last_mut() {
            // System messages stand between the turns and belong to none.
            _ if speaker == Speaker::System => {}
            Some(turn) if turn.speaker == speaker => turn.blocks.extend(blocks),
            _ => turns.push(Turn {
                first: index,
                speaker,
                blocks,
            }),
        }
    }
    match turns.first() {
        Some(turn) if turn.speaker == Speaker::User => {}
        _ => return Err(place.refuse("first message must use the \"user\" role")),
    }
    pair(&turns)?;
    begins_with_thinking(&turns, context.thinking)?;
    prefill(messages, &turns, context)
}

fn content<'v>(
    message: &'v Map<String, Value>,
    speaker: Speaker,
    last: bool,
    version: ApiVersion,
    at: &Place,
) -> Checked<Vec<Seen<'v>>> {
    let empty_is_allowed = match speaker {
        Speaker::User => false,
        Speaker::Assistant => last,
        Speaker::System => true,
    };
    let value = match (optional(message, "content"), speaker) {
        (None, Speaker::System) => return Ok(Vec::new()),
        _ => required(message, "content", at)?,
    };
    let is_empty = match value {
        Value::String(text) => text.is_empty(),
        Value::Array(blocks) => blocks.is_empty(),
        _ => {
            return Err(at
                .key("content")
                .refuse("Input should be a valid string or a valid array"));
        }
    };
    if is_empty && !empty_is_allowed {
        let reason =
            "all messages must have non-empty content except for the optional final assistant message";
        return Err(at.refuse(reason));
    }
    let Value::Array(blocks) = value else {
        return Ok(vec![Seen {
            kind: "text",
            id: None,
        }]);
    };
    let at = &at.key("content");
    let mut seen = Vec::with_capacity(blocks.len());
    for (index, value) in blocks.iter().enumerate() {
        let kind = blocks::block(value, speaker, version, &at.index(index))?;
        let id = match kind {
            "tool_use" => value.get("id"),
            "tool_result" => value.get("tool_use_id"),
            _ => None,
        };
        seen.push(Seen {
            kind,
            id: id.and_then(Value::as_str),
        });
    }
    Ok(seen)
}

/// Every call is answered in the next user turn, before anything else there, once; nothing else is answered.
fn pair(turns: &[Turn]) -> Checked<()> {
    let messages = Place::Root.key("messages");
    let mut known: HashSet<&str> = HashSet::new();
    for (index, turn) in turns.iter().enumerate() {
        let at = &messages.index(turn.first);
        if turn.speaker == Speaker::User {
            let calls = index
                .checked_sub(1)
                .map_or(&[][..], |before| &turns[before].blocks);
            results(calls, turn, at)?;
            continue;
        }
        let calls: Vec<&str> = ids(&turn.blocks, "tool_use").collect();
        if let Some(twice) = calls.iter().find(|id| !known.insert(id)) {
            return Err(at.refuse(format!("`tool_use` ids must be unique; {twice} was used before")));
        }
        let answered: HashSet<&str> = turns.get(index + 1).map(leading_results).unwrap_or_default();
        let open: Vec<&str> = calls.into_iter().filter(|id| !answered.contains(id)).collect();
        if !open.is_empty() {
            return Err(at.refuse(format!(
                "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
                 block must have a corresponding `tool_result` block in the next message.",
                open.join(", ")
            )));
        }
    }
    Ok(())
}

fn results(calls: &[Seen], turn: &Turn, at: &Place) -> Checked<()> {
    let calls: HashSet<&str> = ids(calls, "tool_use").collect();
    let mut answered = HashSet::new();
    for (index, block) in turn.blocks.iter().enumerate() {
        let Some(id) = block.id.filter(|_| block.kind == "tool_result") else {
            continue;
        };
        if !calls.contains(id) {
            return Err(at.key("content").index(index).refuse(format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have \
                 a corresponding `tool_use` block in the previous message."
            )));
        }
        if !answered.insert(id) {
            return Err(at.key("content").index(index).refuse(format!(
                "each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
            )));
        }
    }
    Ok(())
}

fn ids<'b, 'v>(blocks: &'b [Seen<'v>], kind: &'static str) -> impl Iterator<Item = &'v str> + use<'b, 'v> {
    blocks
        .iter()
        .filter(move |block| block.kind == kind)
        .filter_map(|block| block.id)
}

fn leading_results<'v>(turn: &Turn<'v>) -> HashSet<&'v str> {
    turn.blocks
        .iter()
        .take_while(|block| block.kind == "tool_result")
        .filter_map(|block| block.id)
        .collect()
}

/// With thinking enabled, the assistant turn whose calls are answered last must begin with its thinking.
fn begins_with_thinking(turns: &[Turn], thinking: ThinkingMode) -> Checked<()> {
    let [.., assistant, user] = turns else {
        return Ok(());
    };
    let in_a_tool_loop = user.speaker == Speaker::User && !leading_results(user).is_empty();
    match assistant.blocks.first() {
        Some(block) if thinking.is_enforced() && in_a_tool_loop && !block.kind.ends_with("thinking") => {
            let messages = Place::Root.key("messages");
            Err(messages.index(assistant.first).key("content").index(0).key("type").refuse(format!(
                "Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final \
                 `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` \
                 and `tool_result` blocks). To avoid this requirement, disable `thinking`.",
                block.kind
            )))
        }
        _ => Ok(()),
    }
}

fn prefill(messages: &[Value], turns: &[Turn], context: Context) -> Checked<()> {
    if turns.last().is_none_or(|turn| turn.speaker != Speaker::Assistant) {
        return Ok(());
    }
    if !context.prefill || context.thinking != ThinkingMode::Off {
        return Err(ApiError::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    let text = match messages.last().and_then(|message| message.get("content")) {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Array(blocks)) => blocks
            .last()
            .and_then(|block| block.get("text"))
            .and_then(Value::as_str),
        _ => None,
    };
    match text {
        Some(text) if text.ends_with(char::is_whitespace) => Err(ApiError::invalid(
            "messages: final assistant content cannot end with trailing whitespace",
        )),
        _ => Ok(()),
    }
}
