//! The conversation in memory: what is stored, byte for byte, and how many tokens it is likely to be.
//!
//! Contents are kept as the JSON that was stored and are never written anew, because prompt caching and thinking
//! signatures depend on prefixes that do not change.

use std::collections::HashSet;
use std::sync::Arc;

use agent_claude::messages::{Content, ContentBlock, MessageParam, Role, Usage};
use serde_json::value::RawValue;
use tokio::time::{Duration, Instant};

use crate::limits::PromptEstimate;

/// Bytes of JSON a token is taken for until the API has counted a prompt of this session. Prose and code are at 3.5 to
/// 4.5; the guess is low so that compaction comes too early rather than too late.
const DEFAULT_BYTES_PER_TOKEN: f64 = 3.3;

/// What calibration may make of it: outside, the count belongs to another prompt than the one that was measured.
const BYTES_PER_TOKEN: std::ops::RangeInclusive<f64> = 1.5..=8.0;

/// How long what the API said of its cache is relied on. It keeps a prompt for five minutes after the last use; the rest
/// is for the way there and the time of building the next request.
const CACHE_LIFETIME: Duration = Duration::from_secs(270);

/// One stored message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) role: Role,
    pub(crate) content: Arc<RawValue>,
}

impl Entry {
    pub(crate) fn blocks(&self) -> Vec<ContentBlock> {
        // What can't be read as blocks is still sent as it is; it only has no tools in it.
        Content::Stored(Arc::clone(&self.content))
            .blocks()
            .unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        self.content.get().len() as u64
    }

    /// The API refuses a message without content in the middle of a conversation; the model may well write one.
    fn is_empty(&self) -> bool {
        matches!(self.content.get(), "[]" | "\"\"")
    }

    /// True for every message with a tool result, and for some that only speak of one.
    fn may_answer_tools(&self) -> bool {
        self.role == Role::User && self.content.get().contains("\"tool_result\"")
    }
}

/// The conversation as the model sees it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Stands for the messages before the first entry; its `seq` is that of the last of them.
    summary: Option<Entry>,
    entries: Vec<Entry>,
    /// Bytes of system prompt and tools: part of every prompt.
    fixed_bytes: u64,
    bytes_per_token: f64,
    measured: Option<Measured>,
}

/// What the API counted for the first `entries` messages.
#[derive(Clone, Copy, Debug)]
struct Measured {
    entries: usize,
    tokens: u64,
    /// When the server is thought to forget them; none when it did not cache them.
    cached_until: Option<Instant>,
}

impl History {
    pub(crate) fn new(summary: Option<Entry>, entries: Vec<Entry>, fixed_bytes: u64) -> Self {
        Self {
            summary,
            entries,
            fixed_bytes,
            bytes_per_token: DEFAULT_BYTES_PER_TOKEN,
            measured: None,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn summary(&self) -> Option<&Entry> {
        self.summary.as_ref()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Replaces the first `cut` messages by `summary`.
    pub(crate) fn compact(&mut self, summary: Entry, cut: usize) {
        self.entries.drain(..cut);
        self.summary = Some(summary);
        self.measured = None;
    }

    /// The messages of the next request.
    pub(crate) fn messages(&self) -> Vec<MessageParam> {
        let entries = self
            .summary
            .iter()
            .chain(&self.entries)
            .filter(|entry| !entry.is_empty());
        entries
            .map(|entry| MessageParam::new(entry.role, Content::Stored(Arc::clone(&entry.content))))
            .collect()
    }

    /// Ids of the tool calls of the last answer that have no result: a run that ended in between left them.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let Some(last) = self
            .entries
            .iter()
            .rposition(|entry| entry.role == Role::Assistant)
        else {
            return Vec::new();
        };
        let answered: HashSet<String> = self.entries[last + 1..]
            .iter()
            .filter(|entry| entry.may_answer_tools())
            .flat_map(Entry::blocks)
            .filter_map(|block| match block {
                ContentBlock::ToolResult(result) => Some(result.tool_use_id),
                _ => None,
            })
            .collect();
        let called = self.entries[last]
            .blocks()
            .into_iter()
            .filter_map(|block| match block {
                ContentBlock::ToolUse(call) => Some(call.id),
                _ => None,
            });
        called.filter(|id| !answered.contains(id)).collect()
    }

    /// Takes what the API counted for a prompt of all messages but the last `since`, sent at `asked_at`.
    pub(crate) fn measure(&mut self, usage: &Usage, since: usize, asked_at: Instant) {
        let tokens = usage.prompt_tokens();
        if tokens == 0 {
            return;
        }
        let entries = self.entries.len().saturating_sub(since);
        let ratio = self.bytes(0, entries) as f64 / tokens as f64;
        if BYTES_PER_TOKEN.contains(&ratio) {
            self.bytes_per_token = ratio;
        }
        let cached =
            usage.cache_read_input_tokens.unwrap_or(0) + usage.cache_creation_input_tokens.unwrap_or(0) > 0;
        self.measured = Some(Measured {
            entries,
            tokens,
            cached_until: cached.then(|| asked_at + CACHE_LIFETIME),
        });
    }

    /// What the next prompt is thought to hold.
    pub(crate) fn estimate(&self) -> PromptEstimate {
        match self.measured {
            Some(measured) => {
                let since = self.tokens(self.entry_bytes(measured.entries, self.entries.len()));
                if measured.cached_until.is_some_and(|until| Instant::now() < until) {
                    PromptEstimate {
                        cached: measured.tokens,
                        fresh: since,
                    }
                } else {
                    PromptEstimate {
                        cached: 0,
                        fresh: measured.tokens + since,
                    }
                }
            }
            None => PromptEstimate {
                cached: 0,
                fresh: self.tokens(self.bytes(0, self.entries.len())),
            },
        }
    }

    /// How many messages to summarise so that at most `keep_messages` and, where that can be, `keep_tokens` stay:
    /// none when there is nothing that could go. A tool's result always stays with its call.
    pub(crate) fn cut(&self, keep_messages: usize, keep_tokens: u64) -> Option<usize> {
        let length = self.entries.len();
        let possible = |cut: &usize| !self.entries[*cut].may_answer_tools();
        let fits = |cut: &usize| self.tokens(self.entry_bytes(*cut, length)) <= keep_tokens;
        let first = length.saturating_sub(keep_messages).max(1);
        (first..length)
            .filter(possible)
            .find(fits)
            .or_else(|| (1..length).rev().find(possible))
    }

    fn bytes(&self, from: usize, to: usize) -> u64 {
        let summary = self.summary.as_ref().map_or(0, Entry::bytes);
        self.fixed_bytes + summary + self.entry_bytes(from, to)
    }

    fn entry_bytes(&self, from: usize, to: usize) -> u64 {
        self.entries[from..to].iter().map(Entry::bytes).sum()
    }

    fn tokens(&self, bytes: u64) -> u64 {
        (bytes as f64 / self.bytes_per_token).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn entry(seq: u64, role: Role, content: &Value) -> Entry {
        Entry {
            seq,
            role,
            content: Arc::from(serde_json::value::to_raw_value(content).unwrap()),
        }
    }

    fn call(id: &str) -> Value {
        json!([{"type": "tool_use", "id": id, "name": "read_file", "input": {}}])
    }

    fn result(id: &str) -> Value {
        json!([{"type": "tool_result", "tool_use_id": id, "content": "x"}])
    }

    fn history(messages: &[(Role, Value)]) -> History {
        let entries = messages
            .iter()
            .enumerate()
            .map(|(at, (role, content))| entry(at as u64 + 1, *role, content));
        History::new(None, entries.collect(), 0)
    }

    #[test]
    fn calls_without_results_are_found() {
        let user = (Role::User, json!("hi"));
        let calls = (
            Role::Assistant,
            json!([{"type": "text", "text": "a"}, call("a")[0], call("b")[0]]),
        );
        let cases = [
            (vec![user.clone()], vec![]),
            (
                vec![
                    user.clone(),
                    (Role::Assistant, json!([{"type": "text", "text": "done"}])),
                ],
                vec![],
            ),
            (vec![user.clone(), calls.clone()], vec!["a", "b"]),
            (
                vec![user.clone(), calls.clone(), (Role::User, result("a"))],
                vec!["b"],
            ),
            (
                vec![
                    user.clone(),
                    calls.clone(),
                    (Role::User, result("a")),
                    (Role::User, result("b")),
                ],
                vec![],
            ),
            (vec![user.clone(), calls, user], vec!["a", "b"]),
        ];
        for (messages, expected) in cases {
            assert_eq!(history(&messages).unanswered(), expected, "{messages:?}");
        }
    }

    #[test]
    fn contents_are_sent_byte_for_byte_and_empty_ones_not_at_all() {
        let odd = RawValue::from_string(r#"[ {"text":"\u0041","type":"text"} ]"#.to_owned()).unwrap();
        let mut history = history(&[(Role::User, json!("hi")), (Role::Assistant, json!([]))]);
        history.push(Entry {
            seq: 3,
            role: Role::User,
            content: Arc::from(odd),
        });
        let sent = serde_json::to_string(&history.messages()).unwrap();
        assert_eq!(
            sent,
            r#"[{"role":"user","content":"hi"},{"role":"user","content":[ {"text":"\u0041","type":"text"} ]}]"#
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_estimate_follows_what_the_api_counted() {
        let mut history = history(&[(Role::User, json!("x".repeat(4000)))]);
        assert_eq!(history.estimate().cached, 0);
        let usage = Usage {
            input_tokens: Some(200),
            cache_read_input_tokens: Some(800),
            ..Usage::default()
        };
        history.push(entry(2, Role::Assistant, &json!("y".repeat(398))));
        history.measure(&usage, 1, Instant::now());
        // 4002 bytes were 1000 tokens, so the 400 bytes since are 100.
        assert_eq!(
            history.estimate(),
            PromptEstimate {
                cached: 1000,
                fresh: 100
            }
        );
        // While a person thinks about an approval, the server forgets.
        tokio::time::advance(Duration::from_secs(5 * 60)).await;
        assert_eq!(
            history.estimate(),
            PromptEstimate {
                cached: 0,
                fresh: 1100
            }
        );
    }

    #[test]
    fn a_single_message_cannot_be_compacted() {
        assert_eq!(history(&[(Role::User, json!("hi"))]).cut(4, 0), None);
        assert_eq!(history(&[]).cut(4, 0), None);
    }

    proptest! {
        #[test]
        fn a_cut_never_parts_a_result_from_its_call(
            turns in prop::collection::vec((0usize..3, 0usize..400), 1..20),
            keep_messages in 0usize..10,
            keep_tokens in 0u64..400,
        ) {
            let mut messages = Vec::new();
            for (turn, (tools, size)) in turns.iter().enumerate() {
                messages.push((Role::User, json!("p".repeat(*size))));
                for tool in 0..*tools {
                    messages.push((Role::Assistant, call(&format!("{turn}-{tool}"))));
                    messages.push((Role::User, result(&format!("{turn}-{tool}"))));
                }
            }
            let mut history = history(&messages);
            let before = history.entries().len();
            if let Some(cut) = history.cut(keep_messages, keep_tokens) {
                prop_assert!(cut >= 1 && cut < before);
                let summary = entry(cut as u64, Role::User, &json!("summary"));
                history.compact(summary, cut);
                let mut open: HashSet<String> = HashSet::new();
                for entry in history.entries() {
                    for block in entry.blocks() {
                        match block {
                            ContentBlock::ToolUse(call) => { open.insert(call.id); }
                            ContentBlock::ToolResult(result) => prop_assert!(open.remove(&result.tool_use_id)),
                            _ => {}
                        }
                    }
                }
                prop_assert!(history.messages()[0].content.blocks().unwrap()[0].as_text() == Some("summary"));
            } else {
                prop_assert_eq!(before, 1);
            }
        }
    }
}
