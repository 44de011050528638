//! What an answer tells of the model and the tokens, read without a tree of the rest.

use agent_claude::messages::{CacheCreation, ServerToolUse, Usage};
use serde::Deserialize;

/// The part of a message that says who answered and what it used.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Told {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) usage: Option<Counts>,
}

/// `message_start`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    pub(super) message: Told,
}

/// The error of a stream that fails.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Failed {
    #[serde(default)]
    pub(super) error: FailedError,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FailedError {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

/// As [`Usage`], without what neither tokens nor price depend on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
    server_tool_use: Option<Tools>,
    service_tier: Option<String>,
    inference_geo: Option<String>,
    speed: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Written {
    #[serde(default)]
    ephemeral_5m_input_tokens: u64,
    #[serde(default)]
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Tools {
    web_search_requests: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Usage {
        Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_creation_input_tokens: counts.cache_creation_input_tokens,
            cache_read_input_tokens: counts.cache_read_input_tokens,
            cache_creation: counts.cache_creation.map(|written| CacheCreation {
                ephemeral_5m_input_tokens: written.ephemeral_5m_input_tokens,
                ephemeral_1h_input_tokens: written.ephemeral_1h_input_tokens,
                ..CacheCreation::default()
            }),
            server_tool_use: counts.server_tool_use.map(|tools| ServerToolUse {
                web_search_requests: tools.web_search_requests,
                ..ServerToolUse::default()
            }),
            service_tier: counts.service_tier,
            inference_geo: counts.inference_geo,
            speed: counts.speed,
            ..Usage::default()
        }
    }
}
