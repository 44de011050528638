//! An answer before it is written to the wire: cut by stop sequences and limits, with its usage.

mod events;

pub(crate) use events::{Event, Events};

use serde_json::{Map, Value, json};

use crate::cache::CacheUse;
use crate::digest::{self, Random};
use crate::tokens;
use crate::validate::Request;
use crate::validate::options::ThinkingMode;

/// What the mind or a scenario wants to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reply {
    pub(crate) blocks: Vec<Block>,
    /// Set by scenarios; else it follows from the blocks.
    pub(crate) stop_reason: Option<String>,
    /// Fields that take the place of the counted ones.
    pub(crate) usage: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Thinking(String),
    Text(String),
    /// The input as JSON text in ASCII: it is cut anywhere on its way out.
    ToolUse {
        id: String,
        name: String,
        input: String,
    },
    /// Sent as it is, in one piece.
    Whole(Value),
}

impl Block {
    pub(crate) fn tool_use(name: &str, input: &Value, random: &mut Random) -> Self {
        Self::ToolUse {
            id: digest::id("toolu_", random),
            name: name.to_owned(),
            input: ascii(input),
        }
    }

    fn tokens(&self) -> u64 {
        match self {
            Self::Thinking(text) | Self::Text(text) => tokens::of_text(text),
            Self::ToolUse { name, input, .. } => tokens::of_text(name) + tokens::of_text(input),
            Self::Whole(value) => tokens::of_text(&value.to_string()),
        }
    }

    /// Keeps what fits into `budget` tokens; `None` when nothing does.
    fn cut(self, budget: u64) -> Option<Self> {
        let shorten = |mut text: String, budget: u64| {
            let bytes = usize::try_from(budget.saturating_mul(4)).unwrap_or(usize::MAX);
            text.truncate(text.floor_char_boundary(bytes));
            text
        };
        match self {
            _ if budget == 0 => None,
            Self::Thinking(text) => Some(Self::Thinking(shorten(text, budget))),
            Self::Text(text) => Some(Self::Text(shorten(text, budget))),
            Self::ToolUse { id, name, input } => {
                let left = budget.checked_sub(tokens::of_text(&name))?;
                Some(Self::ToolUse {
                    id,
                    name,
                    input: shorten(input, left),
                })
            }
            Self::Whole(_) => None,
        }
    }
}

/// A finished answer, to be sent as JSON or as a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    id: String,
    model: String,
    blocks: Vec<Block>,
    stop_reason: String,
    stop_sequence: Option<String>,
    usage: Map<String, Value>,
    thinking_shown: bool,
    pub(crate) output_tokens: u64,
}

impl Answer {
    /// Applies the request's limits to a reply and counts what is left.
    pub(crate) fn new(mut reply: Reply, request: &Request, cache: CacheUse, random: &mut Random) -> Self {
        if request.thinking == ThinkingMode::Off {
            reply.blocks.retain(|block| !matches!(block, Block::Thinking(_)));
        }
        let calls = reply
            .blocks
            .iter()
            .any(|block| matches!(block, Block::ToolUse { .. }));
        let natural = if calls { "tool_use" } else { "end_turn" };
        let mut stop_reason = reply.stop_reason.unwrap_or_else(|| natural.to_owned());
        let stop_sequence = stop_at(&mut reply.blocks, &request.stop_sequences);
        if stop_sequence.is_some() {
            stop_reason = "stop_sequence".to_owned();
        }
        let room = request
            .model
            .context_window
            .saturating_sub(request.prompt.tokens());
        let (blocks, was_cut) = fit(reply.blocks, request.max_tokens.min(room));
        if was_cut || request.max_tokens == 0 {
            let limit = if request.max_tokens <= room {
                "max_tokens"
            } else {
                "model_context_window_exceeded"
            };
            stop_reason = limit.to_owned();
        }
        let least = u64::from(request.max_tokens > 0);
        let output_tokens = blocks.iter().map(Block::tokens).sum::<u64>().max(least);
        let thinking = blocks
            .iter()
            .filter(|block| matches!(block, Block::Thinking(_)))
            .map(Block::tokens)
            .sum();
        let mut usage = usage(cache, output_tokens, thinking);
        usage.extend(reply.usage);
        let model = request
            .body
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or(&request.model.id);
        Self {
            id: digest::id("msg_", random),
            model: model.to_owned(),
            blocks,
            stop_reason,
            stop_sequence: stop_sequence.filter(|_| !was_cut),
            usage,
            thinking_shown: !matches!(
                request.thinking,
                ThinkingMode::Always { shown: false } | ThinkingMode::Adaptive { shown: false }
            ),
            output_tokens,
        }
    }

    /// The message as one JSON document.
    pub(crate) fn to_json(&self) -> Value {
        let content: Vec<Value> = self.blocks.iter().map(|block| self.block_json(block)).collect();
        self.envelope(
            json!(content),
            json!(self.stop_reason),
            json!(self.stop_sequence),
            json!(self.usage),
        )
    }

    fn envelope(&self, content: Value, stop_reason: Value, stop_sequence: Value, usage: Value) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": stop_sequence, "stop_details": null, "container": null,
            "usage": usage,
        })
    }

    fn block_json(&self, block: &Block) -> Value {
        match block {
            Block::Thinking(text) => {
                json!({ "type": "thinking", "thinking": self.shown(text), "signature": self.signature(text) })
            }
            // Without citations the key is left out: clients that check what they get take no null there.
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::ToolUse { id, name, input } => {
                // Input that was cut is no JSON any more; the API then sends what it could read, which is nothing.
                let input: Value = serde_json::from_str(input).unwrap_or_else(|_| json!({}));
                json!({ "type": "tool_use", "id": id, "name": name, "input": input, "caller": { "type": "direct" } })
            }
            Block::Whole(value) => value.clone(),
        }
    }

    fn shown<'t>(&self, thinking: &'t str) -> &'t str {
        if self.thinking_shown { thinking } else { "" }
    }

    fn signature(&self, thinking: &str) -> String {
        if self.thinking_shown {
            digest::signature(thinking)
        } else {
            digest::omitted_signature(thinking)
        }
    }
}

/// Ends the text at the first stop sequence in it, and the answer with it.
fn stop_at(blocks: &mut Vec<Block>, sequences: &[String]) -> Option<String> {
    for index in 0..blocks.len() {
        let Block::Text(text) = &mut blocks[index] else {
            continue;
        };
        let found = sequences
            .iter()
            .filter_map(|sequence| text.find(sequence).map(|at| (at, sequence)));
        if let Some((at, sequence)) = found.min_by_key(|(at, _)| *at) {
            text.truncate(at);
            let empty = text.is_empty();
            blocks.truncate(index + usize::from(!empty));
            return Some(sequence.clone());
        }
    }
    None
}

fn fit(blocks: Vec<Block>, budget: u64) -> (Vec<Block>, bool) {
    let mut left = budget;
    let mut kept = Vec::with_capacity(blocks.len());
    for block in blocks {
        let cost = block.tokens();
        if cost > left {
            kept.extend(block.cut(left));
            return (kept, true);
        }
        left -= cost;
        kept.push(block);
    }
    (kept, false)
}

fn usage(cache: CacheUse, output_tokens: u64, thinking_tokens: u64) -> Map<String, Value> {
    let fields = json!({
        "input_tokens": cache.input,
        "cache_creation_input_tokens": cache.written_5m + cache.written_1h,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written_5m, "ephemeral_1h_input_tokens": cache.written_1h,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": { "thinking_tokens": thinking_tokens },
        "service_tier": "standard",
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// JSON in ASCII: other characters are escaped, as the API does, so that a cut can fall into an escape.
fn ascii(value: &Value) -> String {
    let json = value.to_string();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
