//! What a request used, as the API counts it.

use serde::{Deserialize, Serialize};

use super::Extra;

/// Token counts of one message.
///
/// `input_tokens` leaves out the cached parts; [`Usage::prompt_tokens`] is the whole prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens that were neither read from nor written to the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens the model wrote, thinking included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Prompt tokens written to the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<u64>,
    /// Prompt tokens read from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// `cache_creation_input_tokens`, by how long they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheCreation>,
    /// Calls of tools that the API runs; some are billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tool_use: Option<ServerToolUse>,
    /// `output_tokens`, by what they were for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
    /// `standard`, `priority` or `batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Where the model ran; bears on the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_geo: Option<String>,
    /// `standard` or `fast`; bears on the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Tokens written to the cache, by lifetime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheCreation {
    /// Kept for five minutes.
    #[serde(default)]
    pub ephemeral_5m_input_tokens: u64,
    /// Kept for an hour.
    #[serde(default)]
    pub ephemeral_1h_input_tokens: u64,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Calls of tools that the API ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerToolUse {
    /// Searches; billed each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_search_requests: Option<u64>,
    /// Pages fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_fetch_requests: Option<u64>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Output tokens by what they were for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputTokensDetails {
    /// Spent on thinking; part of `output_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_tokens: Option<u64>,
    /// Fields that this crate does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Usage {
    /// The whole prompt in tokens: fresh, written to the cache and read from it.
    pub fn prompt_tokens(&self) -> u64 {
        [
            self.input_tokens,
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
        ]
        .into_iter()
        .flatten()
        .fold(0, u64::saturating_add)
    }

    /// Takes over what a later event of the same stream tells.
    ///
    /// Counts are totals so far, so they replace; what the later event leaves out stays.
    pub fn overwrite_with(&mut self, later: &Usage) {
        fn take<T: Clone>(mine: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                mine.clone_from(later);
            }
        }
        take(&mut self.input_tokens, &later.input_tokens);
        take(&mut self.output_tokens, &later.output_tokens);
        take(
            &mut self.cache_creation_input_tokens,
            &later.cache_creation_input_tokens,
        );
        take(&mut self.cache_read_input_tokens, &later.cache_read_input_tokens);
        take(&mut self.cache_creation, &later.cache_creation);
        take(&mut self.server_tool_use, &later.server_tool_use);
        take(&mut self.output_tokens_details, &later.output_tokens_details);
        take(&mut self.service_tier, &later.service_tier);
        take(&mut self.inference_geo, &later.inference_geo);
        take(&mut self.speed, &later.speed);
        for (key, value) in &later.extra {
            self.extra.insert(key.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn later_counts_replace_and_absent_or_null_ones_stay() {
        let mut usage: Usage = serde_json::from_value(json!({
            "input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5, "service_tier": "standard", "a": 1, "b": 1
        }))
        .unwrap();
        let later: Usage =
            serde_json::from_value(json!({"output_tokens": 42, "cache_read_input_tokens": null, "b": 2}))
                .unwrap();
        usage.overwrite_with(&later);
        assert_eq!(
            serde_json::to_value(&usage).unwrap(),
            json!({
                "input_tokens": 10, "output_tokens": 42, "cache_read_input_tokens": 5, "service_tier": "standard", "a": 1, "b": 2
            })
        );
        assert_eq!(usage.prompt_tokens(), 15);
    }
}
