//! The tools of a request and the choice among them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::options::ThinkingMode;
use super::reader::{
    Checked, Place, array, boolean, choice, is_word, object, optional, required, required_string, string,
};
use crate::error::ApiError;

/// The API's pattern for the names of tools allows this many characters.
const MAX_NAME: usize = 128;

/// A tool as the mind sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// `Null` for tools that the API itself defines.
    pub(crate) schema: Value,
}

/// What the caller wants done with the tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolChoice {
    pub(crate) kind: Choice,
    /// At most one call in an answer.
    pub(crate) single: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    Any,
    Tool(String),
    None,
}

/// Checks `tools`.
pub(crate) fn tools(body: &Map<String, Value>) -> Checked<Vec<Tool>> {
    let Some(value) = optional(body, "tools") else {
        return Ok(Vec::new());
    };
    let at = Place::Root.key("tools");
    let mut names = HashSet::new();
    let mut tools = Vec::new();
    for (index, value) in array(value, &at)?.iter().enumerate() {
        let tool = tool(value, &at.index(index))?;
        if !names.insert(tool.name.clone()) {
            return Err(at.refuse(format!(
                "Tool names must be unique; {:?} is there twice",
                tool.name
            )));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn tool(value: &Value, at: &Place) -> Checked<Tool> {
    let fields = object(value, at)?;
    let kind = optional(fields, "type").map_or(Ok("custom"), |kind| string(kind, &at.key("type")))?;
    super::blocks::cache_control(fields, kind, at)?;
    if kind != "custom" {
        if !is_dated(kind) && kind != "mcp_toolset" {
            let reason = format!(
                "Input tag '{kind}' found using 'type' does not match any of the expected tags: 'custom', \
                 'bash_20250124', 'text_editor_20250728', 'web_search_20260318', …"
            );
            return Err(at.refuse(reason));
        }
        let name = optional(fields, "name").and_then(Value::as_str).unwrap_or(kind);
        return Ok(Tool {
            name: name.to_owned(),
            schema: Value::Null,
        });
    }
    let at = &at.key("custom");
    let name = required_string(fields, "name", at)?;
    if !is_word(name, MAX_NAME) {
        return Err(at
            .key("name")
            .refuse("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
    }
    if let Some(description) = optional(fields, "description") {
        string(description, &at.key("description"))?;
    }
    let schema = required(fields, "input_schema", at)?;
    let place = &at.key("input_schema");
    choice(
        required(object(schema, place)?, "type", place)?,
        &["object"],
        &place.key("type"),
    )?;
    for key in ["properties", "$defs"] {
        if let Some(part) = optional(object(schema, place)?, key) {
            object(part, &place.key(key))?;
        }
    }
    Ok(Tool {
        name: name.to_owned(),
        schema: schema.clone(),
    })
}

/// The tools that the API defines end in the date of their version.
fn is_dated(kind: &str) -> bool {
    kind.rsplit_once('_').is_some_and(|(name, date)| {
        !name.is_empty() && date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())
    }) || kind.starts_with("tool_search_tool_")
}

/// Checks `tool_choice` against the tools and the thinking.
pub(crate) fn tool_choice(
    body: &Map<String, Value>,
    tools: &[Tool],
    thinking: ThinkingMode,
) -> Checked<ToolChoice> {
    let Some(value) = optional(body, "tool_choice") else {
        return Ok(ToolChoice::default());
    };
    let at = Place::Root.key("tool_choice");
    let fields = object(value, &at)?;
    let kind = required(fields, "type", &at)?;
    choice(kind, &["auto", "any", "tool", "none"], &at.key("type"))?;
    let kind = match kind.as_str() {
        Some("any") => Choice::Any,
        Some("none") => Choice::None,
        Some("tool") => Choice::Tool(required_string(fields, "name", &at.key("tool"))?.to_owned()),
        _ => Choice::Auto,
    };
    let single = match optional(fields, "disable_parallel_tool_use") {
        Some(_) if kind == Choice::None => {
            return Err(at
                .key("none")
                .key("disable_parallel_tool_use")
                .refuse("Extra inputs are not permitted"));
        }
        Some(flag) => boolean(flag, &at.key("disable_parallel_tool_use"))?,
        None => false,
    };
    if tools.is_empty() && kind != Choice::None {
        return Err(at.refuse("tool_choice may only be specified while providing tools"));
    }
    match &kind {
        Choice::Tool(name) if !tools.iter().any(|tool| tool.name == *name) => {
            return Err(at.refuse(format!("Tool '{name}' not found in provided tools")));
        }
        Choice::Tool(_) | Choice::Any if thinking.is_enforced() => {
            return Err(ApiError::invalid(
                "Thinking may not be enabled when tool_choice forces tool use.",
            ));
        }
        _ => {}
    }
    Ok(ToolChoice { kind, single })
}
