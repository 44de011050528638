//! Replies of the smaller endpoints: the model list and the token count.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;

/// A model as `/v1/models` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Always `model`.
    #[serde(rename = "type", default = "model_kind")]
    pub kind: String,
    /// What a request calls it.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub display_name: String,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: String,
    /// `active`, `deprecated` or `retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<String>,
    /// The context window in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The most tokens one answer can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Value>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

fn model_kind() -> String {
    "model".to_owned()
}

impl ModelInfo {
    /// A model with the four fields that every client expects.
    pub fn new(
        id: impl Into<String>,
        display_name: impl Into<String>,
        created_at: impl Into<String>,
    ) -> Self {
        Self {
            kind: model_kind(),
            id: id.into(),
            display_name: display_name.into(),
            created_at: created_at.into(),
            lifecycle: None,
            max_input_tokens: None,
            max_tokens: None,
            capabilities: None,
            extra: Extra::new(),
        }
    }
}

/// One page of the model list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelList {
    /// The models of this page.
    pub data: Vec<ModelInfo>,
    /// Whether another page follows; ask for it with `after_id` set to `last_id`.
    #[serde(default)]
    pub has_more: bool,
    /// The first id of this page.
    #[serde(default)]
    pub first_id: Option<String>,
    /// The last id of this page.
    #[serde(default)]
    pub last_id: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Reply of `/v1/messages/count_tokens`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenCount {
    /// The whole prompt, in tokens.
    pub input_tokens: u64,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}
