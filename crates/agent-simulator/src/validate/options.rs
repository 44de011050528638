//! Everything in a request but its messages and tools.

use serde_json::{Map, Value};

use super::reader::{
    Checked, Place, array, boolean, choice, integer, object, optional, required, required_string, string,
};
use crate::ApiVersion;
use crate::error::ApiError;
use crate::models::ModelEntry;

/// Fields that the API knows at the top level of a request; betas add others.
const KNOWN: &[&str] = &[
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "metadata",
    "service_tier",
    "speed",
    "inference_geo",
    "container",
    "diagnostics",
    "temperature",
    "top_p",
    "top_k",
    "context_management",
    "mcp_servers",
    "compaction",
    "thread",
    "fallbacks",
    "fallback_credit_token",
    "billing_policy",
];
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
const MIN_THINKING_BUDGET: u64 = 1024;
const EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// How the model thinks in this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingMode {
    Off,
    /// `enabled`: in every answer, and its blocks must come back in a tool loop.
    Always {
        shown: bool,
    },
    /// `adaptive` and `between_tools`.
    Adaptive {
        shown: bool,
    },
}

impl ThinkingMode {
    pub(crate) fn is_enforced(self) -> bool {
        matches!(self, Self::Always { .. })
    }
}

/// Refuses top-level fields that nobody knows. A beta header may have added any field.
pub(crate) fn known_fields(body: &Map<String, Value>, has_beta: bool) -> Checked<()> {
    match body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        Some(key) if !has_beta => Err(Place::Root.key(key).refuse("Extra inputs are not permitted")),
        _ => Ok(()),
    }
}

/// `max_tokens`, which may not exceed what the model can write.
pub(crate) fn max_tokens(body: &Map<String, Value>, model: &ModelEntry) -> Checked<u64> {
    let at = Place::Root.key("max_tokens");
    let tokens = integer(required(body, "max_tokens", &Place::Root)?, &at, 0)?;
    if tokens > model.max_output {
        return Err(at.refuse(format!(
            "{tokens} > {}, which is the maximum allowed number of output tokens for {}",
            model.max_output, model.id
        )));
    }
    Ok(tokens)
}

/// Sampling parameters: gone in the newer version, neutral only for newer models in the older one.
pub(crate) fn sampling(body: &Map<String, Value>, version: ApiVersion, model: &ModelEntry) -> Checked<()> {
    for key in SAMPLING {
        let Some(value) = body.get(key) else { continue };
        let at = Place::Root.key(key);
        if version == ApiVersion::V2026_10_21 {
            return Err(at.refuse("Extra inputs are not permitted"));
        }
        if value.is_null() {
            continue;
        }
        let number = value
            .as_f64()
            .ok_or_else(|| at.refuse("Input should be a valid number"))?;
        let in_range = if key == "top_k" {
            number >= -1.0
        } else {
            (0.0..=1.0).contains(&number)
        };
        if !in_range {
            return Err(at.refuse("Input should be from 0 to 1"));
        }
        let neutral = if key == "top_k" {
            number <= 0.0
        } else {
            number == 1.0
        };
        if !model.sampling && !neutral {
            return Err(at.refuse(format!("only the default value is supported by {}", model.id)));
        }
    }
    Ok(())
}

pub(crate) fn thinking(body: &Map<String, Value>, max_tokens: Option<u64>) -> Checked<ThinkingMode> {
    let Some(value) = optional(body, "thinking") else {
        return Ok(ThinkingMode::Off);
    };
    let at = Place::Root.key("thinking");
    let fields = object(value, &at)?;
    let kind = required(fields, "type", &at)?;
    choice(
        kind,
        &["adaptive", "between_tools", "disabled", "enabled"],
        &at.key("type"),
    )?;
    let kind = string(kind, &at.key("type"))?;
    if let Some(display) = optional(fields, "display") {
        choice(
            display,
            &["summarized", "omitted", "updates"],
            &at.key(kind).key("display"),
        )?;
    }
    let shown = fields.get("display").and_then(Value::as_str) != Some("omitted");
    match kind {
        "disabled" => Ok(ThinkingMode::Off),
        "enabled" => {
            let at = at.key(kind);
            let budget = integer(
                required(fields, "budget_tokens", &at)?,
                &at.key("budget_tokens"),
                MIN_THINKING_BUDGET,
            )?;
            if max_tokens.is_some_and(|max| max <= budget) {
                return Err(ApiError::invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`.",
                ));
            }
            Ok(ThinkingMode::Always { shown })
        }
        _ => Ok(ThinkingMode::Adaptive { shown }),
    }
}

pub(crate) fn stream(body: &Map<String, Value>) -> Checked<bool> {
    optional(body, "stream").map_or(Ok(false), |value| boolean(value, &Place::Root.key("stream")))
}

pub(crate) fn stop_sequences(body: &Map<String, Value>) -> Checked<Vec<String>> {
    let Some(value) = optional(body, "stop_sequences") else {
        return Ok(Vec::new());
    };
    let at = Place::Root.key("stop_sequences");
    let listed = array(value, &at)?.iter().enumerate().map(|(index, value)| {
        let at = at.index(index);
        match string(value, &at)? {
            text if text.trim().is_empty() => {
                Err(at.refuse("each stop sequence must contain non-whitespace"))
            }
            text => Ok(text.to_owned()),
        }
    });
    listed.collect()
}

/// The fields whose shape is checked and whose meaning the simulator does not need.
pub(crate) fn the_rest(body: &Map<String, Value>) -> Checked<()> {
    super::blocks::cache_control(body, "request", &Place::Root)?;
    if let Some(metadata) = optional(body, "metadata") {
        let at = Place::Root.key("metadata");
        if let Some(user) = optional(object(metadata, &at)?, "user_id") {
            string(user, &at.key("user_id"))?;
        }
    }
    if let Some(tier) = optional(body, "service_tier") {
        choice(tier, &["auto", "standard_only"], &Place::Root.key("service_tier"))?;
    }
    if let Some(config) = optional(body, "output_config") {
        let at = Place::Root.key("output_config");
        let config = object(config, &at)?;
        if let Some(effort) = optional(config, "effort") {
            choice(effort, EFFORTS, &at.key("effort"))?;
        }
        if let Some(format) = optional(config, "format") {
            let at = at.key("format");
            let format = object(format, &at)?;
            choice(required(format, "type", &at)?, &["json_schema"], &at.key("type"))?;
            object(required(format, "schema", &at)?, &at.key("schema"))?;
        }
    }
    Ok(())
}

/// `system`: a string or text blocks.
pub(crate) fn system(body: &Map<String, Value>) -> Checked<()> {
    let at = Place::Root.key("system");
    match optional(body, "system") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => blocks.iter().enumerate().try_for_each(|(index, value)| {
            let at = at.index(index);
            let fields = object(value, &at)?;
            choice(required(fields, "type", &at)?, &["text"], &at.key("type"))?;
            super::blocks::cache_control(fields, "text", &at)?;
            match required_string(fields, "text", &at)? {
                "" => Err(at.refuse("text content blocks must be non-empty")),
                _ => Ok(()),
            }
        }),
        Some(_) => Err(at.refuse("Input should be a valid string or a valid array")),
    }
}
