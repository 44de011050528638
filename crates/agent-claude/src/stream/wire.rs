//! Events back to what goes over the wire.

use serde::Serialize;
use serde_json::Value;

use super::{Delta, MessageDelta, StreamEvent};
use crate::messages::{ContentBlock, Message};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire<'a> {
    MessageStart {
        message: &'a Message,
    },
    ContentBlockStart {
        index: usize,
        content_block: &'a ContentBlock,
    },
    ContentBlockDelta {
        index: usize,
        delta: WireDelta<'a>,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta(&'a MessageDelta),
    MessageStop,
    Ping,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum WireDelta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "citations_delta")]
    Citation { citation: &'a Value },
    #[serde(untagged)]
    Unknown(&'a Value),
}

impl<'a> From<&'a Delta> for WireDelta<'a> {
    fn from(delta: &'a Delta) -> Self {
        match delta {
            Delta::Text(text) => Self::Text { text },
            Delta::InputJson(partial_json) => Self::InputJson { partial_json },
            Delta::Thinking(thinking) => Self::Thinking { thinking },
            Delta::Signature(signature) => Self::Signature { signature },
            Delta::Citation(citation) => Self::Citation { citation },
            Delta::Unknown(whole) => Self::Unknown(whole),
        }
    }
}

impl StreamEvent {
    /// The event's `data`: JSON in one line (for an unknown event, what came).
    pub fn to_data(&self) -> String {
        let wire = match self {
            Self::MessageStart { message } => Wire::MessageStart { message },
            Self::ContentBlockStart { index, block } => Wire::ContentBlockStart {
                index: *index,
                content_block: block,
            },
            Self::ContentBlockDelta { index, delta } => Wire::ContentBlockDelta {
                index: *index,
                delta: delta.into(),
            },
            Self::ContentBlockStop { index } => Wire::ContentBlockStop { index: *index },
            Self::MessageDelta(delta) => Wire::MessageDelta(delta),
            Self::MessageStop => Wire::MessageStop,
            Self::Ping => Wire::Ping,
            Self::Error(body) => return json(body),
            Self::Unknown { data, .. } => return data.clone(),
        };
        json(&wire)
    }

    /// The event as it goes over the wire: an `event` line, one `data` line for each line of the data, a blank line.
    pub fn to_sse(&self) -> String {
        let mut text = format!("event: {}\n", self.name());
        for line in self.to_data().split('\n') {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        text
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an event has only string keys, so it is always JSON")
}
