//! The shapes of content blocks.

use serde_json::{Map, Value};

use super::reader::{
    Checked, Place, array, boolean, choice, is_word, object, optional, required, required_string, string,
};
use crate::ApiVersion;
use crate::digest;

/// Blocks that the caller replays as it received them; only their type is looked at.
const REPLAYED: &[&str] = &[
    "server_tool_use",
    "container_upload",
    "mcp_tool_use",
    "mcp_tool_listing",
    "compaction",
    "fallback",
    "tool_addition",
    "tool_removal",
    "advisor_tool_result",
    "tool_reference",
    "browser_state",
];
const KNOWN: &str = "'document', 'image', 'redacted_thinking', 'search_result', 'server_tool_use', 'text', \
                     'thinking', 'tool_result', 'tool_use', 'web_search_tool_result'";
const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Ids are ours or another server's; none seen is near this.
const MAX_ID: usize = 256;

/// Who says it decides what a block may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    User,
    Assistant,
    System,
}

/// Checks one block of a message. Its type as checked is the result.
pub(crate) fn block<'v>(
    value: &'v Value,
    speaker: Speaker,
    version: ApiVersion,
    at: &Place,
) -> Checked<&'v str> {
    let fields = object(value, at)?;
    let kind = required_string(fields, "type", at)?;
    let block = at;
    let at = &block.key(kind);
    cache_control(fields, kind, at)?;
    match (kind, speaker) {
        ("text", _) => text(fields, speaker, version, block)?,
        (_, Speaker::System) => return Err(at.refuse("system messages may hold text blocks only")),
        ("image", _) => image(fields, at)?,
        ("document", Speaker::Assistant) if version == ApiVersion::V2026_10_21 => {
            return Err(at.refuse("`document` blocks are not permitted in assistant messages"));
        }
        ("document", _) => source(fields, at)?,
        ("search_result", _) => {
            required(fields, "source", at)?;
            required_string(fields, "title", at)?;
            array(required(fields, "content", at)?, &at.key("content"))?;
        }
        ("thinking", Speaker::Assistant) => thinking(fields, block)?,
        ("redacted_thinking", Speaker::Assistant) => drop(required_string(fields, "data", at)?),
        ("tool_use", Speaker::Assistant) => tool_use(fields, at)?,
        ("tool_result", Speaker::User) => tool_result(fields, at)?,
        ("thinking" | "redacted_thinking" | "tool_use", Speaker::User) => {
            return Err(at.refuse(format!("`{kind}` blocks can only be in `assistant` messages")));
        }
        ("tool_result", Speaker::Assistant) => {
            return Err(at.refuse("`tool_result` blocks can only be in `user` messages"));
        }
        _ if REPLAYED.contains(&kind) || kind.ends_with("_tool_result") => {}
        _ => {
            return Err(block.refuse(format!(
                "Input tag '{kind}' found using 'type' does not match any of the expected tags: {KNOWN}"
            )));
        }
    }
    Ok(kind)
}

/// `cache_control` wherever it may stand.
pub(crate) fn cache_control(fields: &Map<String, Value>, kind: &str, at: &Place) -> Checked<()> {
    let Some(value) = optional(fields, "cache_control") else {
        return Ok(());
    };
    let at = &at.key("cache_control");
    if kind.contains("thinking") {
        return Err(at.refuse("Extra inputs are not permitted"));
    }
    let marker = object(value, at)?;
    choice(required(marker, "type", at)?, &["ephemeral"], &at.key("type"))?;
    optional(marker, "ttl").map_or(Ok(()), |ttl| choice(ttl, &["5m", "1h"], &at.key("ttl")))
}

fn text(fields: &Map<String, Value>, speaker: Speaker, version: ApiVersion, block: &Place) -> Checked<()> {
    let at = &block.key("text");
    let text = required_string(fields, "text", at)?;
    if text.is_empty() {
        return Err(block.refuse("text content blocks must be non-empty"));
    }
    if text.trim().is_empty() && speaker != Speaker::Assistant {
        return Err(block.refuse("text content blocks must contain non-whitespace text"));
    }
    if let Some(citations) = optional(fields, "citations") {
        let listed = array(citations, &at.key("citations"))?;
        if version == ApiVersion::V2026_10_21 && speaker == Speaker::User && !listed.is_empty() {
            return Err(at
                .key("citations")
                .refuse("citations are not permitted in user messages"));
        }
    }
    Ok(())
}

fn image(fields: &Map<String, Value>, at: &Place) -> Checked<()> {
    source(fields, at)?;
    let at = &at.key("source");
    let source = object(required(fields, "source", at)?, at)?;
    if source.get("type").and_then(Value::as_str) == Some("base64") {
        let at = &at.key("base64");
        choice(
            required(source, "media_type", at)?,
            IMAGE_TYPES,
            &at.key("media_type"),
        )?;
    }
    Ok(())
}

fn source(fields: &Map<String, Value>, at: &Place) -> Checked<()> {
    let value = required(fields, "source", at)?;
    let at = &at.key("source");
    let source = object(value, at)?;
    let kind = required_string(source, "type", at)?;
    let at = &at.key(kind);
    match kind {
        "base64" | "text" => {
            required_string(source, "media_type", at)?;
            required_string(source, "data", at)?;
        }
        "url" => drop(required_string(source, "url", at)?),
        "file" => drop(required_string(source, "file_id", at)?),
        "content" => drop(required(source, "content", at)?),
        _ => return Err(at.refuse("Input tag found using 'type' does not match any of the expected tags: 'base64', 'content', 'file', 'text', 'url'")),
    }
    Ok(())
}

fn thinking(fields: &Map<String, Value>, block: &Place) -> Checked<()> {
    let at = &block.key("thinking");
    let thinking = required_string(fields, "thinking", at)?;
    let signature = required_string(fields, "signature", at)?;
    // A block whose text was left out for display comes back empty, under the signature of what was thought.
    let intact =
        digest::signature(thinking) == signature || (thinking.is_empty() && digest::is_omitted(signature));
    if !intact {
        return Err(block.refuse("Invalid `signature` in `thinking` block"));
    }
    Ok(())
}

fn tool_use(fields: &Map<String, Value>, at: &Place) -> Checked<()> {
    id(required_string(fields, "id", at)?, &at.key("id"))?;
    if !is_word(required_string(fields, "name", at)?, 200) {
        return Err(at
            .key("name")
            .refuse("String should match pattern '^[a-zA-Z0-9_-]{1,200}$'"));
    }
    match required(fields, "input", at)? {
        Value::Object(_) => Ok(()),
        _ => Err(at.key("input").refuse("Input should be a valid dictionary")),
    }
}

fn tool_result(fields: &Map<String, Value>, at: &Place) -> Checked<()> {
    id(
        required_string(fields, "tool_use_id", at)?,
        &at.key("tool_use_id"),
    )?;
    if let Some(flag) = optional(fields, "is_error") {
        boolean(flag, &at.key("is_error"))?;
    }
    let at = &at.key("content");
    match optional(fields, "content") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => blocks.iter().enumerate().try_for_each(|(index, value)| {
            let at = &at.index(index);
            let fields = object(value, at)?;
            let kind = required_string(fields, "type", at)?;
            match kind {
                "text" => string(required(fields, "text", &at.key(kind))?, &at.key(kind)).map(drop),
                "image" => image(fields, &at.key(kind)),
                "document" | "search_result" | "tool_reference" | "browser_state" => Ok(()),
                _ => Err(at.refuse(format!("Input tag '{kind}' found using 'type' does not match any of the expected tags: 'document', 'image', 'search_result', 'text', 'tool_reference'"))),
            }
        }),
        Some(_) => Err(at.refuse("Input should be a valid string")),
    }
}

fn id(text: &str, at: &Place) -> Checked<()> {
    if is_word(text, MAX_ID) {
        return Ok(());
    }
    Err(at.refuse("String should match pattern '^[a-zA-Z0-9_-]+$'"))
}
