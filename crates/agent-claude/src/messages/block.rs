//! The blocks that content is made of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CacheControl, Extra, Source, ToolResultContent};

/// One block of a message's content.
///
/// A known type with an unexpected shape is kept as [`ContentBlock::Other`]: one odd block must not lose a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentBlock {
    /// Text.
    Text(TextBlock),
    /// What the model thought, signed.
    Thinking(ThinkingBlock),
    /// What the model thought, encrypted.
    RedactedThinking(RedactedThinkingBlock),
    /// A call of one of the caller's tools.
    ToolUse(ToolUseBlock),
    /// The result of such a call.
    ToolResult(ToolResultBlock),
    /// An image.
    Image(ImageBlock),
    /// A document.
    Document(DocumentBlock),
    /// Any other block, whole, `type` included.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

/// Text, perhaps with its sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextBlock {
    /// The text.
    pub text: String,
    /// Where the statements come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Value>>,
    /// Caches the prompt up to and including this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the model thought. It must be sent back exactly as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThinkingBlock {
    /// May be empty: display can be omitted, and the block is needed all the same.
    pub thinking: String,
    /// Proves that the model wrote it. A stream starts the block without one.
    #[serde(default)]
    pub signature: String,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the model thought, encrypted. It must be sent back exactly as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RedactedThinkingBlock {
    /// Opaque.
    pub data: String,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A tool call.
///
/// `input` is an object when the call is whole. When the model was cut off in the middle of it, or wrote something
/// that is not JSON, `input` is a [`Value::String`] of what it wrote: never an empty object that could be run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolUseBlock {
    /// `toolu_…`; the result names it.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments; read them through [`ToolUseBlock::input_object`].
    pub input: Value,
    /// The toolset that the tool is part of, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolset_name: Option<String>,
    /// Caches the prompt up to and including this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know, and `caller`.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A tool call whose input is not an object: do not run it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the input of tool call {id} ({tool}) is not a whole JSON object ({bytes} bytes); \
     do not run it, answer with an error result"
)]
pub struct IncompleteInput {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// How much of the input there is.
    pub bytes: usize,
}

impl ToolUseBlock {
    /// A whole call.
    pub fn new(id: impl Into<String>, name: impl Into<String>, input: Map<String, Value>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            input: Value::Object(input),
            ..Self::default()
        }
    }

    /// The arguments of a whole call.
    ///
    /// # Errors
    /// When the input was cut off or is not an object; such a call must not be run.
    pub fn input_object(&self) -> Result<&Map<String, Value>, IncompleteInput> {
        self.input.as_object().ok_or_else(|| IncompleteInput {
            id: self.id.clone(),
            tool: self.name.clone(),
            bytes: match &self.input {
                Value::String(raw) => raw.len(),
                other => other.to_string().len(),
            },
        })
    }

    /// Makes a call that was cut off fit to be sent back: the API takes only objects, so what there is goes into
    /// one, as `{"INVALID_JSON": "…"}`. A whole call stays as it is.
    pub fn wrap_incomplete_input(&mut self) {
        if !self.input.is_object() {
            let raw = match self.input.take() {
                Value::String(raw) => raw,
                other => other.to_string(),
            };
            self.input = serde_json::json!({ "INVALID_JSON": raw });
        }
    }
}

/// The result of a tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolResultBlock {
    /// The call's id.
    pub tool_use_id: String,
    /// What the tool returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ToolResultContent>,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// Caches the prompt up to and including this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ToolResultBlock {
    /// What a tool returned.
    pub fn success(tool_use_id: impl Into<String>, content: impl Into<ToolResultContent>) -> Self {
        Self {
            tool_use_id: tool_use_id.into(),
            content: Some(content.into()),
            ..Self::default()
        }
    }

    /// Why a tool failed, for the model.
    pub fn failure(tool_use_id: impl Into<String>, message: impl Into<ToolResultContent>) -> Self {
        Self {
            is_error: Some(true),
            ..Self::success(tool_use_id, message)
        }
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageBlock {
    /// Where its bytes are.
    pub source: Source,
    /// Caches the prompt up to and including this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentBlock {
    /// Where its bytes are.
    pub source: Source,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the model should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// `{"enabled": …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Value>,
    /// Caches the prompt up to and including this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ContentBlock {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(TextBlock {
            text: text.into(),
            ..TextBlock::default()
        })
    }

    /// The block's `type` on the wire; empty when an unknown block has none.
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Thinking(_) => "thinking",
            Self::RedactedThinking(_) => "redacted_thinking",
            Self::ToolUse(_) => "tool_use",
            Self::ToolResult(_) => "tool_result",
            Self::Image(_) => "image",
            Self::Document(_) => "document",
            Self::Other(fields) => fields.get("type").and_then(Value::as_str).unwrap_or_default(),
        }
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(block) => Some(&block.text),
            _ => None,
        }
    }
}

impl From<ToolUseBlock> for ContentBlock {
    fn from(block: ToolUseBlock) -> Self {
        Self::ToolUse(block)
    }
}

impl From<ToolResultBlock> for ContentBlock {
    fn from(block: ToolResultBlock) -> Self {
        Self::ToolResult(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_known_type_with_an_odd_shape_is_kept_whole() {
        for odd in [
            json!({"type": "text", "text": {"now": "an object"}}),
            json!({"type": "text"}),
            json!({"type": "tool_use", "id": 7, "name": "x", "input": {}}),
            json!({"type": "tool_result", "tool_use_id": "t", "content": 5}),
            json!({"type": "from_the_future", "x": [1, {"y": null}]}),
            json!({"no_type": true}),
            json!({"type": 12}),
        ] {
            let block: ContentBlock = serde_json::from_value(odd.clone()).unwrap();
            assert!(matches!(block, ContentBlock::Other(_)), "{block:?}");
            assert_eq!(serde_json::to_value(&block).unwrap(), odd);
        }
    }

    #[test]
    fn known_blocks_are_typed_and_keep_what_they_do_not_know() {
        for (kind, value) in [
            (
                "text",
                json!({"type": "text", "text": "a", "citations": [{"type": "new"}], "later": 1}),
            ),
            (
                "thinking",
                json!({"type": "thinking", "thinking": "", "signature": "s", "later": 1}),
            ),
            (
                "redacted_thinking",
                json!({"type": "redacted_thinking", "data": "d", "later": {"a": 1.5}}),
            ),
            (
                "tool_use",
                json!({"type": "tool_use", "id": "t", "name": "n", "input": {"b": 1, "a": 2}, "caller": {"type": "direct"}}),
            ),
            (
                "tool_result",
                json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, {"type": "tool_reference", "q": 1}], "is_error": false}),
            ),
            (
                "image",
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA==", "z": 1}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
            ),
            (
                "document",
                json!({"type": "document", "source": {"type": "hologram", "h": 3}, "citations": {"enabled": true}}),
            ),
            (
                "document",
                json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}, "title": "T"}),
            ),
        ] {
            let block: ContentBlock = serde_json::from_value(value.clone()).unwrap();
            assert!(!matches!(block, ContentBlock::Other(_)), "{block:?}");
            assert_eq!(block.kind(), kind);
            assert_eq!(serde_json::to_value(&block).unwrap(), value);
        }
    }

    #[test]
    fn a_cut_call_is_told_from_a_whole_one_and_can_be_sent_back() {
        let mut call = ToolUseBlock::new("t", "write", Map::new());
        assert!(call.input_object().is_ok());
        call.wrap_incomplete_input();
        assert_eq!(call.input, json!({}));

        call.input = Value::String("{\"path\": \"a".into());
        let error = call.input_object().unwrap_err();
        assert_eq!((error.tool.as_str(), error.bytes), ("write", 11));
        call.wrap_incomplete_input();
        assert_eq!(call.input, json!({"INVALID_JSON": "{\"path\": \"a"}));
    }
}
