//! Each rule: a change to a good request, and the API's words about it.

use serde_json::json;

use super::*;

mod accepted;
mod hostile;

fn good() -> Value {
    json!({
        "model": "claude-opus-5-5", "max_tokens": 4000,
        "messages": [
            { "role": "user", "content": "hello" },
            { "role": "assistant", "content": [
                { "type": "text", "text": "I look." },
                { "type": "tool_use", "id": "t1", "name": "read", "input": {} },
                { "type": "tool_use", "id": "t2", "name": "read", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": "x" },
                { "type": "tool_result", "tool_use_id": "t2", "content": [{ "type": "text", "text": "y" }], "is_error": true },
                { "type": "text", "text": "go on" },
            ] },
        ],
        "tools": [{ "name": "read", "input_schema": { "type": "object" } }],
    })
}

fn check(body: &Value, version: ApiVersion) -> Result<Request, String> {
    let models = ModelEntry::catalogue();
    let terms = Terms {
        version,
        has_beta: false,
        models: &models,
    };
    request(body.to_string().as_bytes(), terms)
        .map_err(|error| format!("{} {}", error.status.as_u16(), error.message))
}

/// Sets a value in a good request; `null` takes the field away.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(fields) if value.is_null() => drop(fields.remove(key)),
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) if value.is_null() => drop(items.remove(key.parse().unwrap())),
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    body
}

#[test]
fn a_good_request_passes_in_both_versions() {
    for version in [ApiVersion::V2023_06_01, ApiVersion::V2026_10_21] {
        let request = check(&good(), version).unwrap();
        assert_eq!(
            (request.max_tokens, request.stream, request.tools.len()),
            (4000, false, 1)
        );
    }
}

#[test]
fn every_rule_names_the_place_and_the_reason() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let marked = json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } });
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id });
    let signed = |thinking: &str, signature: &str| json!({ "type": "thinking", "thinking": thinking, "signature": signature });
    let cases = [
        ("/model", json!(null), "400 model: Field required"),
        ("/model", json!(3), "400 model: Input should be a valid string"),
        ("/model", json!("claude-none"), "404 model: claude-none"),
        ("/max_tokens", json!(null), "400 max_tokens: Field required"),
        (
            "/max_tokens",
            json!("9"),
            "400 max_tokens: Input should be a valid integer",
        ),
        (
            "/max_tokens",
            json!(1.5),
            "400 max_tokens: Input should be a valid integer",
        ),
        (
            "/max_tokens",
            json!(-1),
            "400 max_tokens: Input should be greater than or equal to 0",
        ),
        (
            "/max_tokens",
            json!(128_001),
            "400 max_tokens: 128001 > 128000, which is the maximum",
        ),
        ("/messages", json!(null), "400 messages: Field required"),
        (
            "/messages",
            json!("hi"),
            "400 messages: Input should be a valid array",
        ),
        (
            "/messages",
            json!([]),
            "400 messages: at least one message is required",
        ),
        (
            "/messages/0",
            json!("hi"),
            "400 messages.0: Input should be an object",
        ),
        (
            "/messages/0/role",
            json!(null),
            "400 messages.0.role: Field required",
        ),
        (
            "/messages/0/role",
            json!("tool"),
            "400 messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        (
            "/messages/0",
            json!(null),
            "400 messages: first message must use the \"user\" role",
        ),
        (
            "/messages/0/content",
            json!(""),
            "400 messages.0: all messages must have non-empty content",
        ),
        (
            "/messages/0/content",
            json!([]),
            "400 messages.0: all messages must have non-empty content",
        ),
        (
            "/messages/0/content",
            json!(null),
            "400 messages.0.content: Field required",
        ),
        (
            "/messages/0/content",
            json!(7),
            "400 messages.0.content: Input should be a valid string or a valid array",
        ),
        (
            "/messages/0/content",
            json!([text("")]),
            "400 messages.0.content.0: text content blocks must be non-empty",
        ),
        (
            "/messages/0/content",
            json!([text(" ")]),
            "400 messages.0.content.0: text content blocks must contain non-whitespace",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "text" }]),
            "400 messages.0.content.0.text.text: Field required",
        ),
        (
            "/messages/0/content",
            json!([{ "text": "x" }]),
            "400 messages.0.content.0.type: Field required",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "song" }]),
            "400 messages.0.content.0: Input tag 'song' found using 'type'",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "image" }]),
            "400 messages.0.content.0.image.source: Field required",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "tool_use" }]),
            "400 messages.0.content.0.tool_use: `tool_use` blocks can only be in `assistant`",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "text", "text": "a", "citations": [{}] }]),
            "400 messages.0.content.0.text.citations: ",
        ),
        (
            "/messages/0/content",
            json!([result("t9")]),
            "400 messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t9",
        ),
        (
            "/messages/1/content/1/id",
            json!("a b"),
            "400 messages.1.content.1.tool_use.id: String should match",
        ),
        (
            "/messages/1/content/1/input",
            json!("{}"),
            "400 messages.1.content.1.tool_use.input: Input should be a valid dictionary",
        ),
        (
            "/messages/1/content/1/name",
            json!(""),
            "400 messages.1.content.1.tool_use.name: String should match",
        ),
        (
            "/messages/1/content/2/id",
            json!("t1"),
            "400 messages.1: `tool_use` ids must be unique; t1",
        ),
        (
            "/messages/1/content/0",
            signed("a", "b"),
            "400 messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
        (
            "/messages/1/content/0",
            json!({ "type": "document", "source": {} }),
            "400 messages.1.content.0.document: `document` blocks are not permitted",
        ),
        (
            "/messages/2/content/1",
            json!(null),
            "400 messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t2.",
        ),
        (
            "/messages/2",
            json!(null),
            "400 messages.1: `tool_use` ids were found without",
        ),
        (
            "/messages/2/content/0",
            text("first"),
            "400 messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1, t2.",
        ),
        (
            "/messages/2/content/-",
            result("t1"),
            "400 messages.2.content.3: each tool_use must have a single result",
        ),
        (
            "/messages/2/content/-",
            result("other"),
            "400 messages.2.content.3: unexpected `tool_use_id`",
        ),
        (
            "/messages/2/content/0/is_error",
            json!("no"),
            "400 messages.2.content.0.tool_result.is_error: Input should be a valid boolean",
        ),
        (
            "/messages/2/content/0/content",
            json!(3),
            "400 messages.2.content.0.tool_result.content: ",
        ),
        (
            "/messages/2/content/0/content",
            json!([{ "type": "tool_use" }]),
            "400 messages.2.content.0.tool_result.content.0: Input tag 'tool_use'",
        ),
        (
            "/messages/-",
            json!({ "role": "assistant", "content": "So" }),
            "400 This model does not support assistant message prefill",
        ),
        (
            "/messages/0/content",
            json!([marked, marked, marked, marked, marked]),
            "400 A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
        (
            "/messages/0/content",
            json!([{ "type": "text", "text": "a", "cache_control": { "type": "x" } }]),
            "400 messages.0.content.0.text.cache_control.type: Input should be 'ephemeral'",
        ),
        (
            "/cache_control",
            json!({ "type": "ephemeral", "ttl": "2h" }),
            "400 cache_control.ttl: Input should be '5m' or '1h'",
        ),
        (
            "/temperature",
            json!(1.0),
            "400 temperature: Extra inputs are not permitted",
        ),
        ("/top_p", json!(0.9), "400 top_p: Extra inputs are not permitted"),
        ("/top_k", json!(4), "400 top_k: Extra inputs are not permitted"),
        (
            "/tempurature",
            json!(1),
            "400 tempurature: Extra inputs are not permitted",
        ),
        (
            "/stream",
            json!("yes"),
            "400 stream: Input should be a valid boolean",
        ),
        (
            "/system",
            json!(4),
            "400 system: Input should be a valid string or a valid array",
        ),
        (
            "/system",
            json!([{ "type": "image" }]),
            "400 system.0.type: Input should be 'text'",
        ),
        (
            "/system",
            json!([text("")]),
            "400 system.0: text content blocks must be non-empty",
        ),
        (
            "/stop_sequences",
            json!([" "]),
            "400 stop_sequences.0: each stop sequence must contain non-whitespace",
        ),
        (
            "/stop_sequences",
            json!([3]),
            "400 stop_sequences.0: Input should be a valid string",
        ),
        (
            "/metadata",
            json!({ "user_id": 4 }),
            "400 metadata.user_id: Input should be a valid string",
        ),
        (
            "/service_tier",
            json!("gold"),
            "400 service_tier: Input should be 'auto' or 'standard_only'",
        ),
        (
            "/output_config",
            json!({ "effort": "huge" }),
            "400 output_config.effort: Input should be 'low', 'medium'",
        ),
        (
            "/thinking",
            json!({ "type": "enabled" }),
            "400 thinking.enabled.budget_tokens: Field required",
        ),
        (
            "/thinking",
            json!({ "type": "enabled", "budget_tokens": 1023 }),
            "400 thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            "/thinking",
            json!({ "type": "enabled", "budget_tokens": 4000 }),
            "400 `max_tokens` must be greater than `thinking.budget_tokens`",
        ),
        (
            "/thinking",
            json!({ "type": "deep" }),
            "400 thinking.type: Input should be 'adaptive', 'between_tools', 'disabled' or 'enabled'",
        ),
        (
            "/thinking",
            json!({ "type": "enabled", "budget_tokens": 1024 }),
            "400 messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`",
        ),
        ("/tools", json!({}), "400 tools: Input should be a valid array"),
        (
            "/tools/0/name",
            json!("a b"),
            "400 tools.0.custom.name: String should match pattern",
        ),
        (
            "/tools/0/name",
            json!(null),
            "400 tools.0.custom.name: Field required",
        ),
        (
            "/tools/0/input_schema",
            json!(null),
            "400 tools.0.custom.input_schema: Field required",
        ),
        (
            "/tools/0/input_schema",
            json!({}),
            "400 tools.0.custom.input_schema.type: Field required",
        ),
        (
            "/tools/0/input_schema",
            json!({ "type": "array" }),
            "400 tools.0.custom.input_schema.type: Input should be 'object'",
        ),
        ("/tools/0/type", json!("magic"), "400 tools.0: Input tag 'magic'"),
        (
            "/tools/-",
            json!({ "name": "read", "input_schema": { "type": "object" } }),
            "400 tools: Tool names must be unique",
        ),
        (
            "/tool_choice",
            json!({ "type": "some" }),
            "400 tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        ),
        (
            "/tool_choice",
            json!({ "type": "tool", "name": "write" }),
            "400 tool_choice: Tool 'write' not found in provided tools",
        ),
        (
            "/tool_choice",
            json!({ "type": "none", "disable_parallel_tool_use": true }),
            "400 tool_choice.none.disable_parallel_tool_use: ",
        ),
    ];
    for (pointer, value, expected) in cases {
        let error = check(&with(pointer, value.clone()), ApiVersion::V2026_10_21).err();
        let error = error.unwrap_or_else(|| format!("{pointer} = {value} was accepted"));
        assert!(
            error.starts_with(expected),
            "{pointer} = {value}\n  {error}\n  {expected}"
        );
    }
}
