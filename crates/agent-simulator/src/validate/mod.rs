//! From a body to a request that can be answered, or to the API's 400.

mod blocks;
mod conversation;
pub(crate) mod options;
mod reader;
pub(crate) mod tools;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::ApiVersion;
use crate::error::ApiError;
use crate::models::{self, ModelEntry};
use crate::tokens::Prompt;

use options::ThinkingMode;
use reader::{Checked, Place, object, required_string};
use tools::{Tool, ToolChoice};

/// The API allows four cache markers in a request.
const MAX_CACHE_MARKERS: usize = 4;

/// A request that follows the rules.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) body: Value,
    pub(crate) model: ModelEntry,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) thinking: ThinkingMode,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) stop_sequences: Vec<String>,
    pub(crate) prompt: Prompt,
}

/// What besides the body decides how it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) version: ApiVersion,
    pub(crate) has_beta: bool,
    pub(crate) models: &'a [ModelEntry],
}

/// Reads the body of `POST /v1/messages`.
pub(crate) fn request(bytes: &[u8], terms: Terms) -> Checked<Request> {
    let body = parse(bytes)?;
    let fields = object(&body, &Place::Root)
        .map_err(|_| ApiError::invalid("The request body must be a JSON object"))?;
    let model = shared(fields, terms)?;
    let max_tokens = options::max_tokens(fields, model)?;
    let thinking = options::thinking(fields, Some(max_tokens))?;
    let tools = tools::tools(fields)?;
    let tool_choice = tools::tool_choice(fields, &tools, thinking)?;
    let stream = options::stream(fields)?;
    let stop_sequences = options::stop_sequences(fields)?;
    conversation(fields, terms, model, thinking)?;
    let prompt = Prompt::of(&body);
    if prompt.tokens() > model.context_window {
        let (found, most) = (prompt.tokens(), model.context_window);
        return Err(ApiError::invalid(format!(
            "prompt is too long: {found} tokens > {most} maximum"
        )));
    }
    let model = model.clone();
    Ok(Request {
        body,
        model,
        max_tokens,
        stream,
        thinking,
        tools,
        tool_choice,
        stop_sequences,
        prompt,
    })
}

/// Reads the body of `POST /v1/messages/count_tokens` and counts.
pub(crate) fn count_tokens(bytes: &[u8], terms: Terms) -> Checked<u64> {
    let body = parse(bytes)?;
    let fields = object(&body, &Place::Root)
        .map_err(|_| ApiError::invalid("The request body must be a JSON object"))?;
    for key in ["max_tokens", "stream", "stop_sequences", "metadata"] {
        if fields.contains_key(key) && !terms.has_beta {
            return Err(Place::Root.key(key).refuse("Extra inputs are not permitted"));
        }
    }
    let model = shared(fields, terms)?;
    let thinking = options::thinking(fields, None)?;
    let tools = tools::tools(fields)?;
    tools::tool_choice(fields, &tools, thinking)?;
    conversation(fields, terms, model, thinking)?;
    Ok(Prompt::of(&body).tokens())
}

fn parse(bytes: &[u8]) -> Checked<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid(format!("The request body is not valid JSON: {error}")))
}

/// The rules that both endpoints have, up to the messages.
fn shared<'m>(fields: &Map<String, Value>, terms: Terms<'m>) -> Checked<&'m ModelEntry> {
    let name = required_string(fields, "model", &Place::Root)?;
    if name.is_empty() {
        return Err(Place::Root
            .key("model")
            .refuse("String should have at least 1 character"));
    }
    options::known_fields(fields, terms.has_beta)?;
    let model = models::find(terms.models, name)?;
    options::sampling(fields, terms.version, model)?;
    options::system(fields)?;
    options::the_rest(fields)?;
    Ok(model)
}

fn conversation(
    fields: &Map<String, Value>,
    terms: Terms,
    model: &ModelEntry,
    thinking: ThinkingMode,
) -> Checked<()> {
    let context = conversation::Context {
        version: terms.version,
        thinking,
        prefill: model.prefill,
    };
    conversation::check(fields, context)?;
    let markers = markers(fields);
    if markers > MAX_CACHE_MARKERS {
        return Err(ApiError::invalid(format!(
            "A maximum of {MAX_CACHE_MARKERS} blocks with cache_control may be provided. Found {markers}."
        )));
    }
    Ok(())
}

/// Counts the blocks with `cache_control` in tools, system and messages.
fn markers(fields: &Map<String, Value>) -> usize {
    let marked = |blocks: Option<&Value>| {
        let listed = blocks.and_then(Value::as_array).into_iter().flatten();
        listed
            .filter(|block| block.get("cache_control").is_some_and(Value::is_object))
            .count()
    };
    let messages = fields
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    marked(fields.get("tools"))
        + marked(fields.get("system"))
        + messages
            .map(|message| marked(message.get("content")))
            .sum::<usize>()
        + usize::from(fields.get("cache_control").is_some_and(Value::is_object))
}
