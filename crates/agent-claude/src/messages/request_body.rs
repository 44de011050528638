//! How a request is written. One list of fields serves every form of it.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{ApiVersion, MessageRequest};

/// How the reply of a request should come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// One JSON object.
    Whole,
    /// A stream of events.
    Stream,
}

/// A request with what its receiver refuses left out.
struct Body<'a> {
    request: &'a MessageRequest,
    stream: Option<bool>,
    /// `temperature`, `top_p`, `top_k`.
    sampling: bool,
    /// `max_tokens`, `stream`, `stop_sequences`, `metadata`: what count_tokens does not take.
    generation: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r = self.request;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", &r.model)?;
        if self.generation {
            map.serialize_entry("max_tokens", &r.max_tokens)?;
            optional(&mut map, "stream", &self.stream)?;
            list(&mut map, "stop_sequences", &r.stop_sequences)?;
            optional(&mut map, "metadata", &r.metadata)?;
        }
        if self.sampling {
            optional(&mut map, "temperature", &r.temperature)?;
            optional(&mut map, "top_p", &r.top_p)?;
            optional(&mut map, "top_k", &r.top_k)?;
        }
        optional(&mut map, "tool_choice", &r.tool_choice)?;
        optional(&mut map, "thinking", &r.thinking)?;
        optional(&mut map, "output_config", &r.output_config)?;
        optional(&mut map, "cache_control", &r.cache_control)?;
        optional(&mut map, "service_tier", &r.service_tier)?;
        optional(&mut map, "speed", &r.speed)?;
        optional(&mut map, "inference_geo", &r.inference_geo)?;
        optional(&mut map, "container", &r.container)?;
        optional(&mut map, "diagnostics", &r.diagnostics)?;
        for (key, value) in &r.extra {
            map.serialize_entry(key, value)?;
        }
        list(&mut map, "tools", &r.tools)?;
        optional(&mut map, "system", &r.system)?;
        map.serialize_entry("messages", &r.messages)?;
        map.end()
    }
}

fn optional<M: SerializeMap>(map: &mut M, key: &str, value: &Option<impl Serialize>) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => Ok(()),
    }
}

fn list<M: SerializeMap>(map: &mut M, key: &str, values: &[impl Serialize]) -> Result<(), M::Error> {
    if values.is_empty() {
        Ok(())
    } else {
        map.serialize_entry(key, values)
    }
}

impl Body<'_> {
    fn to_bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("a request has only string keys, so it is always JSON"))
    }
}

impl Serialize for MessageRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body {
            request: self,
            stream: self.stream,
            sampling: true,
            generation: true,
        }
        .serialize(serializer)
    }
}

impl MessageRequest {
    /// The body as it stands, nothing left out.
    pub fn to_body(&self) -> Bytes {
        Body {
            request: self,
            stream: self.stream,
            sampling: true,
            generation: true,
        }
        .to_bytes()
    }

    /// The body for one API version and form of reply: without sampling parameters where the version refuses them,
    /// and with `stream` set from `reply`, whatever the request says.
    pub fn to_body_for(&self, version: ApiVersion, reply: Reply) -> Bytes {
        let stream = match reply {
            Reply::Whole => None,
            Reply::Stream => Some(true),
        };
        Body {
            request: self,
            stream,
            // From 2026-10-21 on the mere presence of a sampling parameter is refused.
            sampling: version == ApiVersion::V2023_06_01,
            generation: true,
        }
        .to_bytes()
    }

    /// The body for `/v1/messages/count_tokens`: without `max_tokens`, `stream`, `stop_sequences`, `metadata` and the
    /// sampling parameters, none of which bear on the prompt's size.
    pub fn to_count_tokens_body(&self) -> Bytes {
        Body {
            request: self,
            stream: None,
            sampling: false,
            generation: false,
        }
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Content, MessageParam};
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    fn full() -> Value {
        json!({
            "model": "claude-opus-5-5", "max_tokens": 100, "stream": false, "stop_sequences": ["END"],
            "metadata": {"user_id": "u", "later": 1}, "temperature": 0.5, "top_p": 0.25, "top_k": 7,
            "tool_choice": {"type": "tool", "name": "read", "disable_parallel_tool_use": true, "later": 2},
            "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted", "block_binding": "x"},
            "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {}}, "task_budget": {"total": 5}},
            "cache_control": {"type": "ephemeral", "ttl": "1h"}, "service_tier": "auto", "speed": "fast",
            "inference_geo": "us", "container": {"id": "c", "skills": []}, "diagnostics": {"previous_message_id": "m"},
            "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "mcp_servers": [{"type": "url"}],
            "tools": [
                {"name": "read", "description": "d", "input_schema": {"type": "object"}, "strict": true},
                {"name": "web_search", "type": "web_search_20260318", "max_uses": 3},
                {"type": "mcp_toolset", "mcp_server_name": "s"}
            ],
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "system", "content": [{"type": "text", "text": "x"}], "clear_at": "turn"},
                {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": 1}}]}
            ]
        })
    }

    fn keys(body: &Bytes) -> Vec<String> {
        let value: Value = serde_json::from_slice(body).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_request_with_every_field_survives_a_round_trip() {
        let request: MessageRequest = serde_json::from_value(full()).unwrap();
        assert_eq!(serde_json::to_value(&request).unwrap(), full());
        assert_eq!(
            serde_json::from_slice::<Value>(&request.to_body()).unwrap(),
            full()
        );
    }

    #[test]
    fn sampling_is_left_out_for_the_version_that_refuses_it() {
        let request: MessageRequest = serde_json::from_value(full()).unwrap();
        let newer = keys(&request.to_body_for(ApiVersion::V2026_10_21, Reply::Stream));
        let older = keys(&request.to_body_for(ApiVersion::V2023_06_01, Reply::Stream));
        for key in ["temperature", "top_p", "top_k"] {
            assert!(!newer.iter().any(|k| k == key), "{key}");
            assert!(older.iter().any(|k| k == key), "{key}");
        }
        assert_eq!(older.len(), newer.len() + 3);
    }

    #[test]
    fn stream_follows_the_wanted_reply() {
        let request: MessageRequest = serde_json::from_value(full()).unwrap();
        let stream: Value =
            serde_json::from_slice(&request.to_body_for(ApiVersion::default(), Reply::Stream)).unwrap();
        assert_eq!(stream["stream"], true);
        assert!(
            !keys(&request.to_body_for(ApiVersion::default(), Reply::Whole)).contains(&"stream".to_owned())
        );
    }

    #[test]
    fn counting_leaves_out_what_does_not_bear_on_the_prompt() {
        let request: MessageRequest = serde_json::from_value(full()).unwrap();
        let counted = keys(&request.to_count_tokens_body());
        for key in [
            "max_tokens",
            "stream",
            "stop_sequences",
            "metadata",
            "temperature",
            "top_p",
            "top_k",
        ] {
            assert!(!counted.iter().any(|k| k == key), "{key}");
        }
        for key in ["model", "messages", "system", "tools", "tool_choice", "thinking"] {
            assert!(counted.iter().any(|k| k == key), "{key}");
        }
    }

    #[test]
    fn an_empty_request_has_three_fields_and_stored_bytes_stay() {
        let raw = RawValue::from_string("[{ \"type\":\"text\",\"text\":\"\\u0041\" }]".to_owned()).unwrap();
        let message = MessageParam::assistant(Content::from(raw));
        let body = MessageRequest::new("m", 5, vec![MessageParam::user("hi"), message]).to_body();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{ "type":"text","text":"\u0041" }]}]}"#
        );
    }
}
