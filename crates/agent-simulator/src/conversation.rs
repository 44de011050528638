//! A request's messages as a task and what was done about it so far.

use serde_json::Value;

/// What a tool returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) is_error: bool,
}

/// One call that was made, and its result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) input: Value,
    pub(crate) output: Option<Output>,
}

/// The last task of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Thread {
    pub(crate) task: String,
    /// What the user said while the task was under way.
    pub(crate) additions: Vec<String>,
    /// The calls for this task, in order.
    pub(crate) records: Vec<Record>,
    /// The calls for the tasks before it.
    pub(crate) earlier: Vec<Record>,
    /// How many answers this task has had.
    pub(crate) rounds: usize,
}

impl Thread {
    pub(crate) fn of(body: &Value) -> Self {
        let mut thread = Self::default();
        for message in body
            .get("messages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let content = message.get("content").unwrap_or(&Value::Null);
            match message.get("role").and_then(Value::as_str) {
                Some("assistant") => thread.assistant(content),
                Some("user") => thread.user(content),
                _ => {}
            }
        }
        thread
    }

    fn assistant(&mut self, content: &Value) {
        self.rounds += 1;
        for block in blocks_of(content, "tool_use") {
            let text = |key| {
                block
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let input = block.get("input").cloned().unwrap_or(Value::Null);
            self.records.push(Record {
                id: text("id"),
                name: text("name"),
                input,
                output: None,
            });
        }
    }

    fn user(&mut self, content: &Value) {
        let mut answers = false;
        for block in blocks_of(content, "tool_result") {
            answers = true;
            let id = block
                .get("tool_use_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_error = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            let text = text_of(block.get("content").unwrap_or(&Value::Null));
            if let Some(record) = self.records.iter_mut().rev().find(|record| record.id == id) {
                record.output = Some(Output { text, is_error });
            }
        }
        let text = without_reminders(&text_of(content));
        let goes_on = self.rounds > 0 && is_continue(&text);
        if text.trim().is_empty() || goes_on {
            return;
        }
        if answers {
            self.additions.push(text);
            return;
        }
        self.earlier.append(&mut self.records);
        self.additions.clear();
        self.rounds = 0;
        self.task = text;
    }
}

/// The text of the last user message that has any.
pub(crate) fn last_user_text(body: &Value) -> String {
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .rev();
    messages
        .filter(|message| message.get("role").and_then(Value::as_str) == Some("user"))
        .map(|message| text_of(message.get("content").unwrap_or(&Value::Null)))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn blocks_of<'v>(content: &'v Value, kind: &'static str) -> impl Iterator<Item = &'v Value> {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter(move |block| block.get("type").and_then(Value::as_str) == Some(kind))
}

/// A string as it is, of blocks the text ones, a line each.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        _ => {
            let texts =
                blocks_of(content, "text").filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

/// Agents add notes to what the user said, in tags of their own; they are no task.
fn without_reminders(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, inside)) = rest.split_once("<system-reminder>") {
        kept.push_str(before);
        rest = inside
            .split_once("</system-reminder>")
            .map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

fn is_continue(text: &str) -> bool {
    let text = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    matches!(
        text.strip_prefix("please ").unwrap_or(&text),
        "continue" | "go on" | "proceed" | "carry on" | "keep going"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_text_is_the_task_and_the_calls_since_belong_to_it() {
        let call = |id: &str| {
            json!({ "role": "assistant", "content": [
            { "type": "tool_use", "id": id, "name": "read_file", "input": { "path": id } },
        ] })
        };
        let result = |id: &str, extra: Value| {
            json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": id, "content": [{ "type": "text", "text": "was read" }], "is_error": true },
            extra,
        ] })
        };
        let nothing = json!({ "type": "image" });
        let thread = Thread::of(&json!({ "messages": [
            { "role": "user", "content": "old task" }, call("a"), result("a", nothing.clone()),
            { "role": "assistant", "content": "done" },
            { "role": "user", "content": "new <system-reminder>noise</system-reminder>task" },
            call("b"), result("b", json!({ "type": "text", "text": "be quick" })),
            call("c"), result("c", nothing), { "role": "assistant", "content": "half" },
            { "role": "user", "content": "Go on." },
        ] }));
        assert_eq!((thread.task.as_str(), thread.rounds), ("new task", 3));
        assert_eq!(thread.additions, ["be quick"]);
        let names = |records: &[Record]| records.iter().map(|record| record.id.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&thread.earlier), names(&thread.records)),
            (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()])
        );
        assert_eq!(
            thread.records[0].output,
            Some(Output {
                text: "was read".into(),
                is_error: true
            })
        );
    }
}
