//! An answer as server-sent events, made one by one while they are sent.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{Answer, Block};
use crate::digest::Random;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) data: Value,
}

impl Event {
    fn new(name: &'static str, mut fields: Value) -> Self {
        let mut data = Map::new();
        data.insert("type".to_owned(), json!(name));
        if let Value::Object(fields) = &mut fields {
            data.append(fields);
        }
        Self {
            name,
            data: Value::Object(data),
        }
    }

    pub(crate) fn ping() -> Self {
        Self::new("ping", Value::Null)
    }

    pub(crate) fn is_content(&self) -> bool {
        self.name == "content_block_delta"
    }

    /// The event on the wire. `padding` spaces follow the data, as the real service sends them.
    pub(crate) fn to_bytes(&self, padding: usize) -> Bytes {
        Bytes::from(format!(
            "event: {}\ndata: {}{:padding$}\n\n",
            self.name, self.data, ""
        ))
    }
}

/// The events of an answer, in order.
#[derive(Debug)]
pub(crate) struct Events {
    answer: Answer,
    random: Random,
    next_block: usize,
    open: Option<Open>,
    ready: VecDeque<Event>,
    ended: bool,
}

/// A block that is being sent.
#[derive(Debug)]
struct Open {
    index: usize,
    kind: &'static str,
    field: &'static str,
    rest: String,
    signature: Option<String>,
}

impl Events {
    pub(crate) fn new(answer: Answer, random: Random) -> Self {
        let mut usage = answer.usage.clone();
        usage.insert("output_tokens".to_owned(), json!(answer.output_tokens.min(1)));
        usage.remove("output_tokens_details");
        let message = answer.envelope(json!([]), Value::Null, Value::Null, json!(usage));
        let ready = VecDeque::from([
            Event::new("message_start", json!({ "message": message })),
            Event::ping(),
        ]);
        Self {
            answer,
            random,
            next_block: 0,
            open: None,
            ready,
            ended: false,
        }
    }

    fn advance(&mut self) {
        if let Some(open) = &mut self.open {
            let index = open.index;
            if !open.rest.is_empty() {
                let piece = take_piece(open, &mut self.random);
                self.ready.push_back(delta(index, open.kind, open.field, &piece));
                return;
            }
            if let Some(signature) = open.signature.take() {
                self.ready
                    .push_back(delta(index, "signature_delta", "signature", &signature));
            }
            self.ready
                .push_back(Event::new("content_block_stop", json!({ "index": index })));
            self.open = None;
        } else if let Some(block) = self.answer.blocks.get(self.next_block) {
            let index = self.next_block;
            self.next_block += 1;
            let (start, open) = begin(&self.answer, block, index);
            self.ready.push_back(Event::new(
                "content_block_start",
                json!({ "index": index, "content_block": start }),
            ));
            if open.kind == "input_json_delta" {
                self.ready.push_back(delta(index, open.kind, open.field, ""));
            }
            self.open = Some(open);
        } else if !self.ended {
            self.ended = true;
            let end = json!({
                "stop_reason": self.answer.stop_reason, "stop_sequence": self.answer.stop_sequence,
                "stop_details": null, "container": null,
            });
            self.ready.push_back(Event::new(
                "message_delta",
                json!({ "delta": end, "usage": self.answer.usage }),
            ));
            self.ready.push_back(Event::new("message_stop", Value::Null));
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !(self.ended && self.open.is_none()) {
            self.advance();
        }
        self.ready.pop_front()
    }
}

/// The block as it stands in its start event, and what follows by pieces.
fn begin(answer: &Answer, block: &Block, index: usize) -> (Value, Open) {
    let open = |kind, field, rest: &str, signature| Open {
        index,
        kind,
        field,
        rest: rest.to_owned(),
        signature,
    };
    match block {
        Block::Thinking(text) => (
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
            open(
                "thinking_delta",
                "thinking",
                answer.shown(text),
                Some(answer.signature(text)),
            ),
        ),
        Block::Text(text) => (
            json!({ "type": "text", "text": "" }),
            open("text_delta", "text", text, None),
        ),
        Block::ToolUse { id, name, input } => (
            json!({ "type": "tool_use", "id": id, "name": name, "input": {}, "caller": { "type": "direct" } }),
            // A call without arguments sends the empty piece only.
            open(
                "input_json_delta",
                "partial_json",
                if input == "{}" { "" } else { input },
                None,
            ),
        ),
        Block::Whole(value) => (value.clone(), open("", "", "", None)),
    }
}

fn delta(index: usize, kind: &str, field: &str, piece: &str) -> Event {
    let mut delta = Map::new();
    delta.insert("type".to_owned(), json!(kind));
    delta.insert(field.to_owned(), json!(piece));
    Event::new("content_block_delta", json!({ "index": index, "delta": delta }))
}

/// A few words of text, or a few bytes of JSON wherever they end.
fn take_piece(open: &mut Open, random: &mut Random) -> String {
    let end = if open.kind == "input_json_delta" {
        random.random_range(1..=24).min(open.rest.len())
    } else {
        words_end(&open.rest, random.random_range(1..=3))
    };
    let rest = open.rest.split_off(end);
    std::mem::replace(&mut open.rest, rest)
}

/// Where the first `count` words end. A word takes the white space before it along.
fn words_end(text: &str, count: usize) -> usize {
    let mut words = 0;
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        let starts = !character.is_whitespace() && !in_word;
        in_word = !character.is_whitespace();
        words += usize::from(starts);
        if character.is_whitespace() && words == count {
            return at;
        }
    }
    text.len()
}
