//! Tools as a request declares them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CacheControl, Extra};

/// A tool the model may call: one of ours (name, description, schema), or one of the API's (told by `kind`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// The name the model calls it by; empty for kinds that have none (`mcp_toolset`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it does and when to use it, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON schema of the input, an object's. Tools of the API have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// Absent or `custom` for our own tools, else such as `web_search_20250305`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Caches the prompt up to and including this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Fields that this crate does not know, and those of the API's own tools.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ToolDefinition {
    /// A tool that the caller runs.
    pub fn new(name: impl Into<String>, description: impl Into<String>, input_schema: Value) -> Self {
        Self {
            name: name.into(),
            description: Some(description.into()),
            input_schema: Some(input_schema),
            ..Self::default()
        }
    }
}

/// Which tools the model must or may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolChoice {
    /// The model decides.
    Auto {
        /// At most one call a turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Some tool must be called.
    Any {
        /// At most one call a turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// This tool must be called.
    Tool {
        /// Its name.
        name: String,
        /// At most one call a turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// No tool may be called.
    None {
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A choice this crate does not know, whole.
    #[serde(untagged)]
    Other(Extra),
}
