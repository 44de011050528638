//! The events of a message stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::messages::{ApiErrorBody, ContentBlock, Extra, Message, StopReason, Usage};

/// One event of a message stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The message begins: no content yet, first usage.
    MessageStart {
        /// The message so far.
        message: Box<Message>,
    },
    /// A block begins. Blocks that do not stream come whole here.
    ContentBlockStart {
        /// Its place in the content.
        index: usize,
        /// The block so far.
        block: Box<ContentBlock>,
    },
    /// A block goes on.
    ContentBlockDelta {
        /// Its place in the content.
        index: usize,
        /// What is new.
        delta: Delta,
    },
    /// A block is complete.
    ContentBlockStop {
        /// Its place in the content.
        index: usize,
    },
    /// Why the message stops, and what it used.
    MessageDelta(Box<MessageDelta>),
    /// The message is complete.
    MessageStop,
    /// The connection is alive. Comes at any time.
    Ping,
    /// The request failed; nothing follows.
    Error(Box<ApiErrorBody>),
    /// An event this crate does not know; to be ignored.
    Unknown {
        /// Its name.
        name: String,
        /// Its data, as it came.
        data: String,
    },
}

/// What is new in a block.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Delta {
    /// More text.
    Text(String),
    /// More of a tool's input: a piece of JSON that means nothing alone.
    InputJson(String),
    /// More thinking.
    Thinking(String),
    /// The thinking's signature; replaces what was there.
    Signature(String),
    /// One more citation.
    Citation(Value),
    /// A delta this crate does not know, whole; to be ignored.
    Unknown(Value),
}

/// Why a message stops, and what it used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageDelta {
    /// The fields of the message that change.
    #[serde(default)]
    pub delta: MessageDeltaFields,
    /// Totals so far: they overwrite, see [`Usage::overwrite_with`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Fields that this crate does not know, such as `context_management`.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The fields of a message that change at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageDeltaFields {
    /// Why the model stopped.
    #[serde(default)]
    pub stop_reason: Option<StopReason>,
    /// The stop sequence that was hit.
    #[serde(default)]
    pub stop_sequence: Option<String>,
    /// Fields that this crate does not know, and `stop_details`, `container`.
    #[serde(flatten)]
    pub extra: Extra,
}

impl StreamEvent {
    /// The event's name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta(_) => "message_delta",
            Self::MessageStop => "message_stop",
            Self::Ping => "ping",
            Self::Error(_) => "error",
            Self::Unknown { name, .. } => name,
        }
    }

    /// Whether the event carries part of the answer. Until the first that does, a request can be repeated unseen.
    pub fn is_content(&self) -> bool {
        matches!(
            self,
            Self::ContentBlockStart { .. } | Self::ContentBlockDelta { .. } | Self::ContentBlockStop { .. }
        )
    }
}
