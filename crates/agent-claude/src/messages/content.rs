//! Messages as a request carries them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{ContentBlock, Extra, ToolResultBlock};

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or the tools.
    User,
    /// The model.
    Assistant,
    /// The operator, in the middle of a conversation.
    System,
}

impl Role {
    /// The role as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// A message of the conversation that a request carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageParam {
    /// Who wrote it.
    pub role: Role,
    /// What it says. Absent is read as no blocks: some system messages carry only settings.
    #[serde(default)]
    pub content: Content,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MessageParam {
    /// A message.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role,
            content: content.into(),
            extra: Extra::new(),
        }
    }

    /// A user message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, Content::Text(text.into()))
    }

    /// An assistant message.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The user message that answers a turn's tool calls; every call of the turn needs one result in it.
    pub fn tool_results(results: impl IntoIterator<Item = ToolResultBlock>) -> Self {
        Self::new(
            Role::User,
            results
                .into_iter()
                .map(ContentBlock::ToolResult)
                .collect::<Vec<_>>(),
        )
    }
}

/// A text, which stands for one text block, or blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TextOrBlocks {
    /// One text.
    Text(String),
    /// Blocks.
    Blocks(Vec<ContentBlock>),
}

/// The instructions that come before the conversation.
pub type SystemPrompt = TextOrBlocks;

/// What a tool returned.
pub type ToolResultContent = TextOrBlocks;

impl From<&str> for TextOrBlocks {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for TextOrBlocks {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<ContentBlock>> for TextOrBlocks {
    fn from(blocks: Vec<ContentBlock>) -> Self {
        Self::Blocks(blocks)
    }
}

/// A message's content.
#[derive(Clone, Debug)]
pub enum Content {
    /// One text.
    Text(String),
    /// Blocks.
    Blocks(Vec<ContentBlock>),
    /// JSON as it was first sent or received, written again byte for byte: prompt caching and thinking signatures
    /// depend on prefixes that do not change. Reading never yields this.
    Stored(Arc<RawValue>),
}

impl Content {
    /// The content as blocks; a text becomes one text block.
    ///
    /// # Errors
    /// When stored JSON is neither a string nor an array of objects.
    pub fn blocks(&self) -> Result<Vec<ContentBlock>, serde_json::Error> {
        match self {
            Self::Text(text) => Ok(vec![ContentBlock::text(text.as_str())]),
            Self::Blocks(blocks) => Ok(blocks.clone()),
            Self::Stored(raw) => Ok(match serde_json::from_str(raw.get())? {
                TextOrBlocks::Text(text) => vec![ContentBlock::text(text)],
                TextOrBlocks::Blocks(blocks) => blocks,
            }),
        }
    }

    /// The content as JSON text, to be stored and sent again as [`Content::Stored`].
    pub fn to_raw(&self) -> Arc<RawValue> {
        match self {
            Self::Stored(raw) => Arc::clone(raw),
            other => {
                let raw = serde_json::value::to_raw_value(other);
                Arc::from(raw.expect("content has only string keys, so it is always JSON"))
            }
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Blocks(Vec::new())
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Blocks(a), Self::Blocks(b)) => a == b,
            (Self::Stored(a), Self::Stored(b)) => a.get() == b.get(),
            _ => false,
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<ContentBlock>> for Content {
    fn from(blocks: Vec<ContentBlock>) -> Self {
        Self::Blocks(blocks)
    }
}

impl From<Arc<RawValue>> for Content {
    fn from(raw: Arc<RawValue>) -> Self {
        Self::Stored(raw)
    }
}

impl From<Box<RawValue>> for Content {
    fn from(raw: Box<RawValue>) -> Self {
        Self::Stored(Arc::from(raw))
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Blocks(blocks) => blocks.serialize(serializer),
            Self::Stored(raw) => raw.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOrBlocks::deserialize(deserializer)? {
            TextOrBlocks::Text(text) => Self::Text(text),
            TextOrBlocks::Blocks(blocks) => Self::Blocks(blocks),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_content_is_written_byte_for_byte() {
        let odd = r#"[ {"type":"thinking", "signature":"s\u0041","thinking":"","n":1.0e2} ]"#;
        let raw = RawValue::from_string(odd.to_owned()).unwrap();
        let message = MessageParam::assistant(raw);
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, format!(r#"{{"role":"assistant","content":{odd}}}"#));
        assert_eq!(message.content.blocks().unwrap()[0].kind(), "thinking");
    }

    #[test]
    fn a_text_and_its_block_are_the_same_content() {
        let blocks = Content::from("hello").blocks().unwrap();
        assert_eq!(blocks, vec![ContentBlock::text("hello")]);
        assert_eq!(Content::from("hello").to_raw().get(), r#""hello""#);
    }

    #[test]
    fn stored_content_that_is_neither_text_nor_blocks_is_an_error() {
        let raw = RawValue::from_string("7".to_owned()).unwrap();
        assert!(Content::from(raw).blocks().is_err());
    }

    #[test]
    fn a_system_message_may_have_settings_and_no_content() {
        let text = r#"{"role":"system","output_config":{"effort":"low"}}"#;
        let message: MessageParam = serde_json::from_str(text).unwrap();
        assert_eq!(message.content, Content::default());
        assert_eq!(message.extra["output_config"]["effort"], "low");
    }
}
