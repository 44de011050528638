//! What a person would read in a message: for the search index and for the Markdown export.

use serde_json::Value;

/// Of one text block, what the index takes: more than an answer is long.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Of one tool's input or output: the beginning says what it was; the rest is mostly files that are still there.
const MAX_TOOL_BYTES: usize = 8 * 1024;

/// Of one message in all: bounds the index whatever the blocks are.
const MAX_MESSAGE_TEXT_BYTES: usize = 256 * 1024;

/// A piece of a message, for a reader.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    ToolUse {
        name: String,
        input: Value,
    },
    ToolResult {
        text: String,
        is_error: bool,
    },
    /// Of this type, with nothing to read in it here: an image, thinking, what we do not know.
    Other(String),
}

/// The pieces of a content as it goes over the wire: a string, or a list of blocks. Anything else has none.
pub(super) fn parts(content: &str) -> Vec<Part> {
    match serde_json::from_str(content) {
        Ok(Value::String(text)) => vec![Part::Text(text)],
        Ok(Value::Array(blocks)) => blocks.into_iter().map(part).collect(),
        _ => Vec::new(),
    }
}

fn part(mut block: Value) -> Part {
    let text_of = |block: &Value, key: &str| block[key].as_str().unwrap_or_default().to_owned();
    let kind = text_of(&block, "type");
    match kind.as_str() {
        "text" => Part::Text(text_of(&block, "text")),
        _ if kind.ends_with("tool_use") => Part::ToolUse {
            name: text_of(&block, "name"),
            input: block["input"].take(),
        },
        _ if kind.ends_with("tool_result") => {
            let mut text = String::new();
            read_result(&block["content"], &mut text);
            Part::ToolResult {
                text,
                is_error: block["is_error"] == true,
            }
        }
        _ => Part::Other(kind),
    }
}

/// A result is a string or a list of blocks like a message; images in it have nothing to read.
fn read_result(content: &Value, into: &mut String) {
    match content {
        Value::String(text) => push_line(into, text),
        Value::Array(blocks) => {
            for block in blocks {
                if let Some(text) = block["text"].as_str() {
                    push_line(into, text);
                }
            }
        }
        _ => {}
    }
}

/// What search finds the message by. Marks of a hit are control characters, so the text holds none of those.
pub(super) fn searchable(content: &str) -> String {
    let mut all = String::new();
    for part in parts(content) {
        match part {
            Part::Text(text) => push_line(&mut all, cut(&text, MAX_TEXT_BYTES)),
            Part::ToolUse { name, input } => {
                push_line(&mut all, cut(&name, MAX_TOOL_BYTES));
                let mut strings = String::new();
                read_strings(&input, &mut strings);
                push_line(&mut all, cut(&strings, MAX_TOOL_BYTES));
            }
            Part::ToolResult { text, .. } => push_line(&mut all, cut(&text, MAX_TOOL_BYTES)),
            Part::Other(_) => {}
        }
        if all.len() >= MAX_MESSAGE_TEXT_BYTES {
            break;
        }
    }
    let kept = cut(&all, MAX_MESSAGE_TEXT_BYTES);
    kept.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn read_strings(value: &Value, into: &mut String) {
    if into.len() >= MAX_TOOL_BYTES {
        return;
    }
    match value {
        Value::String(text) => push_line(into, text),
        Value::Array(values) => values.iter().for_each(|value| read_strings(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| read_strings(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn push_line(into: &mut String, text: &str) {
    if !into.is_empty() && !text.is_empty() {
        into.push('\n');
    }
    into.push_str(text);
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_content_gives_its_words() {
        let cases = [
            (json!("hello"), "hello"),
            (
                json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                "a\nb",
            ),
            (
                json!([{"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "ls", "n": 3, "more": ["x"]}}]),
                "bash\nls\nx",
            ),
            (
                json!([{"type": "tool_result", "tool_use_id": "t", "content": "out"}]),
                "out",
            ),
            (
                json!([{"type": "tool_result", "content": [{"type": "text", "text": "one"}, {"type": "image"}]}]),
                "one",
            ),
            (
                json!([{"type": "server_tool_use", "name": "web", "input": {"q": "rust"}}]),
                "web\nrust",
            ),
            (
                json!([{"type": "thinking", "thinking": "hidden", "signature": "s"}]),
                "",
            ),
            (
                json!([{"type": "image", "source": {"data": "AAAA"}}, 7, null, "loose"]),
                "",
            ),
            (json!({"not": "a content"}), ""),
            (json!("a\u{2}b\u{0}c\nd"), "a b c\nd"),
        ];
        for (content, expected) in cases {
            assert_eq!(searchable(&content.to_string()), expected, "{content}");
        }
    }

    #[test]
    fn what_the_index_takes_is_bounded_on_a_character() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let text = searchable(&json!(long).to_string());
        assert_eq!(text.len(), MAX_TEXT_BYTES);
        let tool = json!([{"type": "tool_result", "content": long}]);
        assert_eq!(searchable(&tool.to_string()).len(), MAX_TOOL_BYTES);
        let many = json!(vec![json!({"type": "text", "text": long}); 9]);
        assert!(searchable(&many.to_string()).len() <= MAX_MESSAGE_TEXT_BYTES);
    }

    #[test]
    fn deep_nesting_is_left_unread() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(searchable(&deep), "");
    }
}
