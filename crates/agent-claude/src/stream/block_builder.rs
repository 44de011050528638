//! One content block, from its start to its stop.

use serde_json::{Map, Value};

use super::{Delta, StreamError};
use crate::messages::{ContentBlock, ToolUseBlock};

/// A block that is being received.
#[derive(Debug)]
pub(super) struct BlockBuilder {
    block: ContentBlock,
    /// The pieces of a tool's input; JSON only when all are there.
    input: String,
    open: bool,
}

impl BlockBuilder {
    pub(super) fn new(block: ContentBlock) -> Self {
        Self {
            block,
            input: String::new(),
            open: true,
        }
    }

    /// Adds what is new.
    pub(super) fn add(&mut self, index: usize, delta: &Delta) -> Result<(), StreamError> {
        if !self.open {
            return Err(StreamError::Protocol(format!(
                "a delta for block {index} after its stop"
            )));
        }
        match (&mut self.block, delta) {
            (ContentBlock::Text(block), Delta::Text(text)) => block.text.push_str(text),
            (ContentBlock::Text(block), Delta::Citation(citation)) => {
                block.citations.get_or_insert_default().push(citation.clone());
            }
            (ContentBlock::Thinking(block), Delta::Thinking(text)) => block.thinking.push_str(text),
            (ContentBlock::Thinking(block), Delta::Signature(signature)) => {
                block.signature.clone_from(signature)
            }
            (ContentBlock::ToolUse(_) | ContentBlock::Other(_), Delta::InputJson(piece)) => {
                self.input.push_str(piece)
            }
            (ContentBlock::Other(fields), delta) => add_to_unknown(fields, delta),
            (_, Delta::Unknown(_)) => {}
            (block, delta) => {
                let message = format!(
                    "a {} for block {index}, which is a {} block",
                    kind(delta),
                    block.kind()
                );
                return Err(StreamError::Protocol(message));
            }
        }
        Ok(())
    }

    /// Ends the block.
    pub(super) fn stop(&mut self, index: usize) -> Result<(), StreamError> {
        if !self.open {
            return Err(StreamError::Protocol(format!("a second stop for block {index}")));
        }
        self.close();
        Ok(())
    }

    /// The block, ended if it was not.
    pub(super) fn into_block(mut self) -> ContentBlock {
        if self.open {
            self.close();
        }
        self.block
    }

    fn close(&mut self) {
        self.open = false;
        let pieces = std::mem::take(&mut self.input);
        match &mut self.block {
            ContentBlock::ToolUse(ToolUseBlock { input, .. }) => set_input(input, pieces),
            ContentBlock::Other(fields) if !pieces.is_empty() || fields.contains_key("input") => {
                set_input(fields.entry("input").or_insert(Value::Null), pieces);
            }
            _ => {}
        }
    }
}

/// Sets a tool's input from its pieces. What is not whole JSON stays text, so that nobody takes it for a call without
/// arguments.
fn set_input(input: &mut Value, pieces: String) {
    if pieces.trim_ascii().is_empty() {
        // A tool without arguments streams nothing. Blocks that came whole already have their input.
        if input.is_null() {
            *input = Value::Object(Map::new());
        }
        return;
    }
    *input = serde_json::from_str(&pieces).unwrap_or(Value::String(pieces));
}

/// Blocks of unknown types grow by the same deltas: the field has the delta's name.
fn add_to_unknown(fields: &mut Map<String, Value>, delta: &Delta) {
    match delta {
        Delta::Text(text) => append(fields, "text", text),
        Delta::Thinking(text) => append(fields, "thinking", text),
        Delta::Signature(signature) => {
            fields.insert("signature".to_owned(), Value::String(signature.clone()));
        }
        Delta::Citation(citation) => match fields.entry("citations").or_insert(Value::Null) {
            Value::Array(citations) => citations.push(citation.clone()),
            other => *other = Value::Array(vec![citation.clone()]),
        },
        Delta::InputJson(_) | Delta::Unknown(_) => {}
    }
}

fn append(fields: &mut Map<String, Value>, key: &str, text: &str) {
    match fields.get_mut(key) {
        Some(Value::String(old)) => old.push_str(text),
        _ => {
            fields.insert(key.to_owned(), Value::String(text.to_owned()));
        }
    }
}

fn kind(delta: &Delta) -> &'static str {
    match delta {
        Delta::Text(_) => "text_delta",
        Delta::InputJson(_) => "input_json_delta",
        Delta::Thinking(_) => "thinking_delta",
        Delta::Signature(_) => "signature_delta",
        Delta::Citation(_) => "citations_delta",
        Delta::Unknown(_) => "delta of an unknown type",
    }
}
