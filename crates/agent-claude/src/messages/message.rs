//! A message as the API returns it.

use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::{ContentBlock, Extra, Role, ToolUseBlock, Usage};

open_enum! {
    /// Why the model stopped.
    StopReason {
        /// It was done.
        EndTurn = "end_turn",
        /// It reached `max_tokens`; the last block may be cut, a tool's input included.
        MaxTokens = "max_tokens",
        /// It wrote one of the stop sequences.
        StopSequence = "stop_sequence",
        /// It waits for the results of its tool calls.
        ToolUse = "tool_use",
        /// A long turn was paused: send the conversation back as it is to go on.
        PauseTurn = "pause_turn",
        /// It declined; `stop_details` says why.
        Refusal = "refusal",
        /// The context window is full.
        ModelContextWindowExceeded = "model_context_window_exceeded",
    }
}

/// A reply. Every field may be absent on the wire; older recordings leave some out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `msg_…`.
    #[serde(default)]
    pub id: String,
    /// Always `message`.
    #[serde(rename = "type", default = "message_kind")]
    pub kind: String,
    /// Always the assistant's.
    #[serde(default = "assistant")]
    pub role: Role,
    /// The model that answered.
    #[serde(default)]
    pub model: String,
    /// What it wrote, in order.
    #[serde(default)]
    pub content: Vec<ContentBlock>,
    /// `None` only while a stream is under way. Written as `null` when absent, as the API does.
    #[serde(default)]
    pub stop_reason: Option<StopReason>,
    /// The stop sequence that was hit.
    #[serde(default)]
    pub stop_sequence: Option<String>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
    /// Fields that this crate does not know, and `stop_details`, `container`, `diagnostics`.
    #[serde(flatten)]
    pub extra: Extra,
}

fn message_kind() -> String {
    "message".to_owned()
}

fn assistant() -> Role {
    Role::Assistant
}

impl Message {
    /// A message without content.
    pub fn new(id: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: message_kind(),
            role: Role::Assistant,
            model: model.into(),
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::default(),
            extra: Extra::new(),
        }
    }

    /// All text blocks, joined.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(ContentBlock::as_text).collect()
    }

    /// The tool calls, in order. Check [`ToolUseBlock::input_object`] before running one.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUseBlock> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse(call) => Some(call),
            _ => None,
        })
    }
}
