//! The catalogue: which models exist, their windows, and the answers of `/v1/models`.

use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// One model that the simulator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// The id that requests name.
    pub id: String,
    /// Ids that mean the same model.
    pub aliases: Vec<String>,
    /// The name for people.
    pub display_name: String,
    /// `haiku`, `sonnet`, `opus`, `fable` or `mythos`.
    pub line: String,
    /// When it was released (RFC 3339).
    pub created_at: String,
    /// The context window, in tokens.
    pub context_window: u64,
    /// The most output tokens a request may ask for.
    pub max_output: u64,
    /// Whether a conversation may end with an assistant message that the model continues.
    pub prefill: bool,
    /// Whether sampling parameters other than the neutral ones are accepted (under 2023-06-01).
    pub sampling: bool,
}

/// Id, line, day of release, thousands of tokens of context and of output, and the marks of older models: `a:` an
/// alias, `sampling` and `prefill` where they are accepted.
const CATALOGUE: &str = "
    claude-fable-5-2            fable   2026-11-09  1000 128
    claude-mythos-5-2           mythos  2026-11-09  1000 128
    claude-haiku-5-5            haiku   2026-10-21  1000 128
    claude-sonnet-5-5           sonnet  2026-10-21  1000 128
    claude-opus-5-5             opus    2026-10-21  1000 128
    claude-fable-5-1            fable   2026-09-15  1000 128
    claude-mythos-5-1           mythos  2026-09-15  1000 128
    claude-sonnet-5             sonnet  2026-07-01  1000 128
    claude-fable-5              fable   2026-07-01  1000 128
    claude-mythos-5             mythos  2026-07-01  1000 128
    claude-opus-5               opus    2026-07-01  1000 128
    claude-opus-4-8             opus    2026-05-28  1000 128
    claude-opus-4-7             opus    2026-04-16  1000 128
    claude-sonnet-4-6           sonnet  2026-02-17  1000 128  sampling
    claude-opus-4-6             opus    2026-02-05  1000 128  sampling
    claude-opus-4-5-20251101    opus    2025-11-24   200  64  sampling prefill a:claude-opus-4-5
    claude-haiku-4-5-20251001   haiku   2025-10-15   200  64  sampling prefill a:claude-haiku-4-5
    claude-sonnet-4-5-20250929  sonnet  2025-09-29   200  64  sampling prefill a:claude-sonnet-4-5
";

/// The most entries one page of the list may hold, as in the API.
const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 20;

impl ModelEntry {
    /// The models that the simulator knows unless it is told otherwise, newest first.
    pub fn catalogue() -> Vec<Self> {
        CATALOGUE.lines().filter_map(Self::from_line).collect()
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (id, family, released) = (words.next()?, words.next()?, words.next()?);
        let mut thousands = || Some(words.next()?.parse::<u64>().ok()? * 1000);
        let (context_window, max_output) = (thousands()?, thousands()?);
        let marks: Vec<&str> = words.collect();
        Some(Self {
            id: id.to_owned(),
            aliases: marks
                .iter()
                .filter_map(|mark| mark.strip_prefix("a:"))
                .map(str::to_owned)
                .collect(),
            display_name: display_name(id),
            line: family.to_owned(),
            created_at: format!("{released}T00:00:00Z"),
            context_window,
            max_output,
            prefill: marks.contains(&"prefill"),
            sampling: marks.contains(&"sampling"),
        })
    }

    fn answers_to(&self, id: &str) -> bool {
        self.id == id || self.aliases.iter().any(|alias| alias == id)
    }

    fn to_json(&self) -> Value {
        let supported = json!({ "supported": true });
        let not = json!({ "supported": false });
        json!({
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": self.created_at,
            "lifecycle": "active",
            "deprecated_at": null,
            "retires_at": null,
            "line": self.line,
            "max_input_tokens": self.context_window,
            "max_tokens": self.max_output,
            // What this server really does, not what the model of that name could do elsewhere.
            "capabilities": {
                "batch": not, "citations": not, "code_execution": not, "context_management": not,
                "effort": supported, "image_input": not, "pdf_input": not, "server_tools": not,
                "structured_outputs": not,
                "thinking": {
                    "supported": true,
                    "types": { "adaptive": supported, "between_tools": supported, "disabled": supported, "enabled": supported },
                },
            },
        })
    }
}

/// `claude-opus-4-5-20251101` → `Claude Opus 4.5`.
fn display_name(id: &str) -> String {
    let mut words = Vec::new();
    let mut numbers = Vec::new();
    for part in id.split('-') {
        let mut characters = part.chars();
        match characters.next() {
            Some(first) if first.is_ascii_digit() && part.len() < 8 => numbers.push(part),
            Some(first) if !first.is_ascii_digit() => {
                words.push(format!("{}{}", first.to_ascii_uppercase(), characters.as_str()));
            }
            _ => {}
        }
    }
    format!("{} {}", words.join(" "), numbers.join("."))
}

/// The model that a request names, or the API's 404.
pub(crate) fn find<'m>(models: &'m [ModelEntry], id: &str) -> Result<&'m ModelEntry, ApiError> {
    models
        .iter()
        .find(|model| model.answers_to(id))
        .ok_or_else(|| ApiError::new(http::StatusCode::NOT_FOUND, format!("model: {id}")))
}

/// `GET /v1/models/{id}`.
pub(crate) fn one(models: &[ModelEntry], id: &str) -> Result<Value, ApiError> {
    find(models, id).map(ModelEntry::to_json)
}

/// `GET /v1/models`, with `limit`, `after_id` and `before_id` of the query string.
pub(crate) fn list(models: &[ModelEntry], query: &str) -> Result<Value, ApiError> {
    let parameters = parameters(query);
    let limit = match parameters.get("limit") {
        None => DEFAULT_PAGE,
        Some(text) => match text.as_str().and_then(|text| text.parse::<usize>().ok()) {
            Some(limit @ 1..=MAX_PAGE) => limit,
            _ => {
                return Err(ApiError::invalid(
                    "limit: Input should be a valid integer from 1 to 1000",
                ));
            }
        },
    };
    let position = |key: &str| match parameters.get(key).and_then(Value::as_str) {
        None => Ok(None),
        Some(id) => match models.iter().position(|model| model.id == id) {
            Some(index) => Ok(Some(index)),
            None => Err(ApiError::invalid(format!("{key}: no model has the id {id:?}"))),
        },
    };
    let (page, has_more) = match (position("after_id")?, position("before_id")?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "after_id: only one of after_id and before_id may be given",
            ));
        }
        (None, Some(before)) => {
            let start = before.saturating_sub(limit);
            (&models[start..before], start > 0)
        }
        (after, None) => {
            let start = after.map_or(0, |index| index + 1);
            let end = (start + limit).min(models.len());
            (&models[start..end], end < models.len())
        }
    };
    Ok(json!({
        "data": page.iter().map(ModelEntry::to_json).collect::<Vec<_>>(),
        "has_more": has_more,
        "first_id": page.first().map(|model| &model.id),
        "last_id": page.last().map(|model| &model.id),
    }))
}

/// Names and values as they are; model ids hold nothing that a query string would escape.
fn parameters(query: &str) -> Map<String, Value> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_until_nothing_is_left() {
        let models = ModelEntry::catalogue();
        let mut seen = Vec::new();
        let mut query = "limit=7".to_owned();
        loop {
            let page = list(&models, &query).unwrap();
            for model in page["data"].as_array().unwrap() {
                seen.push(model["id"].as_str().unwrap().to_owned());
            }
            if page["has_more"] == false {
                break;
            }
            query = format!("limit=7&after_id={}", page["last_id"].as_str().unwrap());
        }
        assert_eq!(
            seen,
            models.iter().map(|model| model.id.clone()).collect::<Vec<_>>()
        );
        let back = list(&models, &format!("limit=2&before_id={}", seen[3])).unwrap();
        assert_eq!(back["data"][0]["id"], seen[1].as_str());
        assert_eq!(back["has_more"], true);
    }

    #[test]
    fn bad_paging_is_refused_with_the_parameter() {
        let models = ModelEntry::catalogue();
        for (query, start) in [
            ("limit=0", "limit:"),
            ("limit=x", "limit:"),
            ("after_id=nope", "after_id:"),
        ] {
            assert!(
                list(&models, query).unwrap_err().message.starts_with(start),
                "{query}"
            );
        }
    }

    #[test]
    fn aliases_and_names() {
        let models = ModelEntry::catalogue();
        assert_eq!(
            find(&models, "claude-opus-4-5").unwrap().display_name,
            "Claude Opus 4.5"
        );
        assert_eq!(
            find(&models, "claude-opus-5-5").unwrap().display_name,
            "Claude Opus 5.5"
        );
        assert_eq!(find(&models, "gpt").unwrap_err().message, "model: gpt");
    }
}
