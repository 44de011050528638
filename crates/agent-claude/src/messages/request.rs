//! A request to `/v1/messages`.

use serde::Deserialize;
use serde_json::Value;

use super::{
    CacheControl, Extra, MessageParam, Metadata, OutputConfig, SystemPrompt, Thinking, ToolChoice,
    ToolDefinition,
};

/// A request to `/v1/messages`, or to `/v1/messages/count_tokens`.
///
/// How it is written, and what is left out for whom, is in [`MessageRequest::to_body`] and its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct MessageRequest {
    /// Any model id; unknown ones are passed on.
    pub model: String,
    /// The most tokens the answer may have; 0 only warms the prompt cache.
    pub max_tokens: u32,
    /// The conversation; not empty.
    pub messages: Vec<MessageParam>,
    /// The instructions before it.
    #[serde(default)]
    pub system: Option<SystemPrompt>,
    /// What the model may call.
    #[serde(default)]
    pub tools: Vec<ToolDefinition>,
    /// Which of them it must or may call.
    #[serde(default)]
    pub tool_choice: Option<ToolChoice>,
    /// Whether and how it thinks.
    #[serde(default)]
    pub thinking: Option<Thinking>,
    /// The shape of the answer and the effort.
    #[serde(default)]
    pub output_config: Option<OutputConfig>,
    /// Texts at which the model stops.
    #[serde(default)]
    pub stop_sequences: Vec<String>,
    /// What the caller tells about the request.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// Marks the last block that can be cached.
    #[serde(default)]
    pub cache_control: Option<CacheControl>,
    /// `auto` or `standard_only`.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// `standard` or `fast`.
    #[serde(default)]
    pub speed: Option<String>,
    /// Where the model should run.
    #[serde(default)]
    pub inference_geo: Option<String>,
    /// An id, or `{id, skills}`.
    #[serde(default)]
    pub container: Option<Value>,
    /// `{previous_message_id}`: asks why the cache missed.
    #[serde(default)]
    pub diagnostics: Option<Value>,
    /// Sampling, version 2023-06-01 only.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Sampling, version 2023-06-01 only.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Sampling, version 2023-06-01 only.
    #[serde(default)]
    pub top_k: Option<u64>,
    /// Whether the reply is a stream of events.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Fields that this crate does not know, and those of beta features.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MessageRequest {
    /// A request with nothing optional in it.
    pub fn new(model: impl Into<String>, max_tokens: u32, messages: Vec<MessageParam>) -> Self {
        Self {
            model: model.into(),
            max_tokens,
            messages,
            ..Self::default()
        }
    }
}
