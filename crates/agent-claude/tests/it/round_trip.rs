//! Whatever a server or a caller adds to the known shapes survives being read and written.

use agent_claude::messages::{
    ApiErrorBody, Message, MessageParam, MessageRequest, ModelList, TokenCount, Usage,
};
use agent_claude::stream::StreamEvent;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter_map("finite", Number::from_f64)
            .prop_map(Value::Number),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Fields with names that no shape knows.
fn extras() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![4 => "x_[a-z]{1,6}", 1 => any::<String>().prop_map(|name| format!("x_{name}"))];
    prop::collection::vec((name, any_json()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

/// Objects of the known shapes, each object of which gets extra fields.
fn shapes() -> Vec<Value> {
    let usage = json!({
        "input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
        "output_tokens_details": {"thinking_tokens": 1}, "service_tier": "standard", "inference_geo": "us", "speed": "fast"
    });
    let blocks = json!([
        {"type": "text", "text": "t", "citations": [{"type": "char_location"}], "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "tool_use", "id": "i", "name": "n", "input": {}, "caller": {"type": "direct"}, "toolset_name": "s"},
        {"type": "tool_result", "tool_use_id": "i", "content": [{"type": "text", "text": "r"}], "is_error": true},
        {"type": "tool_result", "tool_use_id": "i", "content": "plain"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "url", "url": "u"}, "title": "t", "context": "c", "citations": {"enabled": true}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "c"}]}},
        {"type": "document", "source": {"type": "later"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]},
        {"type": "server_tool_use", "id": "i", "name": "n", "input": {"q": 1}},
        {"type": "web_search_tool_result", "tool_use_id": "i", "content": {"type": "web_search_tool_result_error", "error_code": "x"}},
        {"type": "container_upload", "file_id": "f"},
        {"type": "later"}
    ]);
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": "later",
        "stop_sequence": "s", "stop_details": {"type": "refusal"}, "container": null, "usage": usage
    });
    let request = json!({
        "model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": blocks}, {"role": "assistant", "content": "p"}],
        "system": [{"type": "text", "text": "s"}], "tools": [{"name": "n", "input_schema": {"type": "object"}}, {"type": "later"}],
        "tool_choice": {"type": "tool", "name": "n"}, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "later", "format": {"type": "json_schema"}}, "metadata": {"user_id": "u"},
        "cache_control": {"type": "ephemeral"}, "temperature": 0.1, "stream": true
    });
    let others = [
        json!({"type": "adaptive", "display": "omitted"}),
        json!({"type": "between_tools"}),
        json!({"type": "disabled"}),
        json!({"type": "later"}),
    ];
    let choices = [
        json!({"type": "auto"}),
        json!({"type": "any"}),
        json!({"type": "none"}),
        json!({"type": "later"}),
    ];
    let mut shapes = vec![message, request.clone(), usage];
    for (thinking, choice) in others.into_iter().zip(choices) {
        let mut request = request.clone();
        request["thinking"] = thinking;
        request["tool_choice"] = choice;
        shapes.push(request);
    }
    shapes
}

/// Adds `extras` to every object, except where any key would be data (a schema, say): there it does not matter.
fn sprinkle(value: &mut Value, extras: &Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| sprinkle(value, extras));
            fields.extend(extras.clone());
        }
        Value::Array(values) => values.iter_mut().for_each(|value| sprinkle(value, extras)),
        _ => {}
    }
}

fn survives<T: Serialize + DeserializeOwned>(value: &Value) -> Result<(), TestCaseError> {
    let typed: T =
        serde_json::from_str(&value.to_string()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let written = serde_json::to_string(&typed).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let back: Value =
        serde_json::from_str(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&back, value);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn unknown_fields_survive_everywhere(extras in extras()) {
        for mut shape in shapes() {
            sprinkle(&mut shape, &extras);
            if shape.get("max_tokens").is_some() {
                survives::<MessageRequest>(&shape)?;
                for message in shape["messages"].as_array().unwrap() {
                    survives::<MessageParam>(message)?;
                }
            } else if shape.get("content").is_some() {
                survives::<Message>(&shape)?;
                let start = json!({"type": "message_start", "message": shape});
                let event = StreamEvent::parse(None, &start.to_string()).unwrap();
                prop_assert_eq!(serde_json::from_str::<Value>(&event.to_data()).unwrap(), start);
            } else {
                survives::<Usage>(&shape)?;
            }
        }
        let mut small = [
            json!({"type": "error", "error": {"type": "later_error", "message": "m", "details": {"error_code": "c"}}, "request_id": "r"}),
            json!({"data": [{"type": "model", "id": "i", "display_name": "d", "created_at": "c", "line": "opus"}], "has_more": true, "first_id": "a", "last_id": null}),
            json!({"input_tokens": 5}),
        ];
        small.iter_mut().for_each(|value| sprinkle(value, &extras));
        survives::<ApiErrorBody>(&small[0])?;
        survives::<ModelList>(&small[1])?;
        survives::<TokenCount>(&small[2])?;
    }

    #[test]
    fn any_tool_input_and_any_unknown_block_survive(input in any_json(), extras in extras(), kind in any_json()) {
        let message = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": "n", "input": input},
            {"type": kind, "fields": extras},
        ]});
        survives::<MessageParam>(&message)?;
    }

    #[test]
    fn unknown_deltas_and_events_survive(delta in extras(), kind in "x_[a-z]{1,8}", whole in any_json()) {
        let mut delta = delta;
        delta.insert("type".into(), kind.clone().into());
        let data = json!({"type": "content_block_delta", "index": 3, "delta": delta}).to_string();
        let event = StreamEvent::parse(Some("content_block_delta"), &data).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&event.to_data()).unwrap(), serde_json::from_str::<Value>(&data).unwrap());

        let data = whole.to_string();
        let event = StreamEvent::parse(Some(&kind), &data).unwrap();
        prop_assert_eq!(event.to_data(), data);
    }
}
