//! One event's data to a typed event, in one pass and without a tree in between.

use std::borrow::Cow;
use std::fmt::Display;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Delta, MessageDelta, SseEvent, StreamError, StreamEvent, json_string};
use crate::messages::{ContentBlock, Message};

#[derive(Deserialize)]
struct Start {
    message: Box<Message>,
}

#[derive(Deserialize)]
struct BlockStart {
    index: usize,
    content_block: Box<ContentBlock>,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    index: usize,
    #[serde(borrow)]
    delta: DeltaFields<'a>,
}

/// Every field that some delta has. Strings stay as they are in the data until it is clear which of them counts.
#[derive(Deserialize)]
struct DeltaFields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BlockStop {
    index: usize,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(rename = "type")]
    _kind: Option<IgnoredAny>,
    #[serde(flatten)]
    rest: MessageDelta,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

impl StreamEvent {
    /// The typed event of an SSE event's name and data.
    ///
    /// Without a name, or with the format's default name `message`, the `type` in the data tells what it is.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when the data of a known event is not what the name says.
    pub fn parse(name: Option<&str>, data: &str) -> Result<Self, StreamError> {
        match name {
            Some(name) if !matches!(name, "" | "message") => Self::parse_named(name, data),
            // Some proxies keep a connection alive with events that say nothing.
            _ if data.trim_ascii().is_empty() => Self::parse_named("", data),
            _ => {
                let named: Named = json("", data)?;
                Self::parse_named(&named.kind, data)
            }
        }
    }

    fn parse_named(name: &str, data: &str) -> Result<Self, StreamError> {
        Ok(match name {
            "content_block_delta" => return block_delta(data),
            "message_start" => Self::MessageStart {
                message: json::<Start>(name, data)?.message,
            },
            "content_block_start" => {
                let BlockStart { index, content_block } = json(name, data)?;
                Self::ContentBlockStart {
                    index,
                    block: content_block,
                }
            }
            "content_block_stop" => Self::ContentBlockStop {
                index: json::<BlockStop>(name, data)?.index,
            },
            "message_delta" => Self::MessageDelta(Box::new(json::<Whole>(name, data)?.rest)),
            "message_stop" => Self::MessageStop,
            "ping" => Self::Ping,
            "error" => Self::Error(json(name, data)?),
            _ => Self::Unknown {
                name: name.to_owned(),
                data: data.to_owned(),
            },
        })
    }
}

impl SseEvent<'_> {
    /// The typed event; see [`StreamEvent::parse`].
    ///
    /// # Errors
    /// As [`StreamEvent::parse`].
    pub fn parse(&self) -> Result<StreamEvent, StreamError> {
        StreamEvent::parse(self.name, self.data)
    }
}

fn block_delta(data: &str) -> Result<StreamEvent, StreamError> {
    const NAME: &str = "content_block_delta";
    let BlockDelta { index, delta } = json(NAME, data)?;
    let text = |raw: Option<&RawValue>| {
        let raw = raw.ok_or_else(|| malformed(NAME, format_args!("a {} without its text", delta.kind)))?;
        json_string::decode(raw.get()).map_err(|message| malformed(NAME, message))
    };
    let delta = match &*delta.kind {
        "text_delta" => Delta::Text(text(delta.text)?),
        "input_json_delta" => Delta::InputJson(text(delta.partial_json)?),
        "thinking_delta" => Delta::Thinking(text(delta.thinking)?),
        "signature_delta" => Delta::Signature(text(delta.signature)?),
        "citations_delta" => {
            let raw = delta
                .citation
                .ok_or_else(|| malformed(NAME, "a citations_delta without its citation"))?;
            Delta::Citation(json(NAME, raw.get())?)
        }
        // Rare enough to read the data again.
        _ => Delta::Unknown(json::<Value>(NAME, data)?["delta"].take()),
    };
    Ok(StreamEvent::ContentBlockDelta { index, delta })
}

fn json<'a, T: Deserialize<'a>>(event: &str, data: &'a str) -> Result<T, StreamError> {
    serde_json::from_str(data).map_err(|error| malformed(event, error))
}

fn malformed(event: &str, message: impl Display) -> StreamError {
    StreamError::Malformed {
        event: event.to_owned(),
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round_trip(data: Value) -> StreamEvent {
        let text = data.to_string();
        let event = StreamEvent::parse(data["type"].as_str(), &text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&event.to_data()).unwrap(), data);
        assert_eq!(StreamEvent::parse(None, &text).unwrap(), event, "without a name");
        assert_eq!(
            StreamEvent::parse(Some("message"), &text).unwrap(),
            event,
            "with the default name"
        );
        event
    }

    #[test]
    fn every_event_survives_a_round_trip() {
        round_trip(json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": {"input_tokens": 1, "new": [1]}, "container": null
        }}));
        round_trip(
            json!({"type": "content_block_start", "index": 2, "content_block": {"type": "later", "x": 1}}),
        );
        for delta in [
            json!({"type": "text_delta", "text": "a\n\"\u{2028}😀"}),
            json!({"type": "input_json_delta", "partial_json": "{\"a\": \"\\u00"}),
            json!({"type": "thinking_delta", "thinking": "hm"}),
            json!({"type": "signature_delta", "signature": "s"}),
            json!({"type": "citations_delta", "citation": {"type": "later", "n": 1.5}}),
            json!({"type": "later_delta", "text": 5, "z": {}}),
        ] {
            round_trip(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        }
        round_trip(json!({"type": "content_block_stop", "index": 7}));
        round_trip(json!({"type": "message_delta",
            "delta": {"stop_reason": "later", "stop_sequence": null, "stop_details": {"type": "refusal"}},
            "usage": {"output_tokens": 5}, "context_management": {"applied_edits": []}}));
        round_trip(json!({"type": "message_stop"}));
        round_trip(json!({"type": "ping"}));
        round_trip(
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}, "request_id": "r", "n": 1}),
        );
        let unknown = round_trip(json!({"type": "later_event", "a": [1, 2]}));
        assert!(matches!(unknown, StreamEvent::Unknown { .. }));
    }

    #[test]
    fn an_unknown_event_may_have_any_data() {
        let event = StreamEvent::parse(Some("later"), "not\njson").unwrap();
        assert_eq!(
            event,
            StreamEvent::Unknown {
                name: "later".into(),
                data: "not\njson".into()
            }
        );
        assert_eq!(event.to_sse(), "event: later\ndata: not\ndata: json\n\n");
    }

    #[test]
    fn broken_data_of_a_known_event_is_an_error_that_names_it() {
        for (name, data) in [
            (
                "content_block_delta",
                r#"{"index":0,"delta":{"type":"text_delta"}}"#,
            ),
            (
                "content_block_delta",
                r#"{"index":0,"delta":{"type":"text_delta","text":5}}"#,
            ),
            (
                "content_block_delta",
                r#"{"index":0,"delta":{"type":"text_delta","text":"\ud800"}}"#,
            ),
            (
                "content_block_delta",
                r#"{"delta":{"type":"text_delta","text":""}}"#,
            ),
            (
                "content_block_delta",
                r#"{"index":0,"delta":{"type":"citations_delta"}}"#,
            ),
            ("content_block_start", r#"{"index":-1,"content_block":{}}"#),
            ("content_block_stop", "{"),
            ("message_start", r#"{"message":[]}"#),
            ("message_delta", "[]"),
            ("error", "upstream timed out"),
        ] {
            match StreamEvent::parse(Some(name), data) {
                Err(StreamError::Malformed { event, message }) => {
                    assert_eq!(event, name);
                    assert!(!message.is_empty());
                }
                other => panic!("{name} {data}: {other:?}"),
            }
        }
        assert!(StreamEvent::parse(None, "{}").is_err(), "neither name nor type");
    }
}
