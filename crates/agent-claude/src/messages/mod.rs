//! What goes over the wire: requests, messages, blocks, usage, errors, the model list.
//!
//! Every type keeps the fields it does not know in `extra`, and every set of variants has one for what it does not
//! know, so that reading and writing a value loses nothing. Two liberties: a known optional field that is `null` is
//! written as absent, and the order of keys may change. Where bytes matter (thinking signatures, prompt caching) use
//! [`Content::Stored`], which is written as it was.

mod api_error;
mod block;
mod catalogue;
mod content;
mod message;
mod open_enum;
mod options;
mod request;
mod request_body;
mod source;
mod tool;
mod usage;

pub use agent_config::ApiVersion;
pub use api_error::{ApiError, ApiErrorBody};
pub use block::{
    ContentBlock, DocumentBlock, ImageBlock, IncompleteInput, RedactedThinkingBlock, TextBlock,
    ThinkingBlock, ToolResultBlock, ToolUseBlock,
};
pub use catalogue::{ModelInfo, ModelList, TokenCount};
pub use content::{Content, MessageParam, Role, SystemPrompt, TextOrBlocks, ToolResultContent};
pub use message::{Message, StopReason};
pub use options::{CacheControl, Effort, Metadata, OutputConfig, Thinking};
pub use request::MessageRequest;
pub use request_body::Reply;
pub use source::Source;
pub use tool::{ToolChoice, ToolDefinition};
pub use usage::{CacheCreation, OutputTokensDetails, ServerToolUse, Usage};

/// Fields that this crate does not know, kept in their order.
pub type Extra = serde_json::Map<String, serde_json::Value>;
