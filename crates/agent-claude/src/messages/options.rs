//! The smaller parts of a request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;
use super::open_enum::open_enum;

/// Marks the end of a prefix that the API should cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheControl {
    /// `ephemeral`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `5m` (when absent) or `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CacheControl {
    /// Cached for five minutes after each use.
    pub fn ephemeral() -> Self {
        Self {
            kind: "ephemeral".to_owned(),
            ttl: None,
            extra: Extra::new(),
        }
    }
}

/// Whether and how the model thinks before it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Thinking {
    /// Always, within a budget.
    Enabled {
        /// Tokens; at least 1024 and less than `max_tokens`.
        budget_tokens: u32,
        /// `summarized` or `omitted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<String>,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// As the model sees fit.
    Adaptive {
        /// `summarized` or `omitted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<String>,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Between tool calls only.
    BetweenTools {
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Never.
    Disabled {
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A kind this crate does not know, whole.
    #[serde(untagged)]
    Other(Extra),
}

impl Thinking {
    /// As the model sees fit, shown as a summary.
    pub fn adaptive() -> Self {
        Self::Adaptive {
            display: None,
            extra: Extra::new(),
        }
    }
}

open_enum! {
    /// How much work the model puts into an answer.
    Effort {
        /// Least.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// Much; the API's default.
        High = "high",
        /// More.
        XHigh = "xhigh",
        /// Most.
        Max = "max",
    }
}

/// The shape of the answer and the effort put into it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputConfig {
    /// How much work to put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// `{"type": "json_schema", "schema": …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the caller tells about the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// An opaque id of the end user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}
