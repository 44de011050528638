//! A folder with tools for the mind to work in, and an agent's loop around both.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::digest::random_for;
use crate::models::ModelEntry;
use crate::validate::{self, Terms};

mod conversations;
mod tasks;

const ALL: &[&str] = summary::ALL_TOOLS;

/// A folder, with tools that answer as the agent's own do.
#[derive(Clone, Default)]
struct Folder {
    files: BTreeMap<String, String>,
    commands: BTreeMap<String, (String, bool)>,
    denied: Vec<&'static str>,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Self {
            files,
            ..Default::default()
        }
    }

    fn with_command(mut self, command: &str, output: &str, is_error: bool) -> Self {
        self.commands
            .insert(command.to_owned(), (output.to_owned(), is_error));
        self
    }

    fn run(&mut self, tool: &str, input: &Value) -> (String, bool) {
        let text = |key: &str| input[key].as_str().unwrap_or_default().to_owned();
        let missing = |path: &str| {
            (
                format!("{path} does not exist in the workspace; look with list_directory or glob"),
                true,
            )
        };
        if self.denied.contains(&tool) {
            return (format!("{tool} was denied by the policy"), true);
        }
        match tool {
            "list_directory" => {
                let lines = self
                    .files
                    .iter()
                    .map(|(path, text)| format!("{path}  {} bytes", text.len()));
                (lines.collect::<Vec<_>>().join("\n"), false)
            }
            "read_file" => match self.files.get(&text("path")) {
                None => missing(&text("path")),
                Some(text) => (
                    (1..)
                        .zip(text.lines())
                        .map(|(n, line)| format!("{n}\t{line}\n"))
                        .collect(),
                    false,
                ),
            },
            "glob" => {
                let pattern = text("pattern");
                let wanted = pattern.trim_start_matches("**/");
                let fits = |path: &str| {
                    let name = path.rsplit('/').next().unwrap();
                    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
                        (Some(end), _) => name.ends_with(end),
                        (_, Some(start)) => name.starts_with(start),
                        _ => name == wanted,
                    }
                };
                let found: Vec<_> = self.files.keys().filter(|path| fits(path)).cloned().collect();
                if found.is_empty() {
                    (format!("No file in . matches {pattern:?}."), false)
                } else {
                    (found.join("\n"), false)
                }
            }
            "grep" => {
                let pattern = regex::Regex::new(&text("pattern")).unwrap();
                let mut out = String::new();
                for (path, content) in self
                    .files
                    .iter()
                    .filter(|(path, _)| input["path"].is_null() || input["path"] == **path)
                {
                    for (number, line) in (1..)
                        .zip(content.lines())
                        .filter(|(_, line)| pattern.is_match(line))
                    {
                        out.push_str(&format!("{path}:{number}:{line}\n"));
                    }
                }
                if out.is_empty() {
                    ("No line matches (3 files searched).".into(), false)
                } else {
                    (out, false)
                }
            }
            "edit_file" => {
                let (old, new) = (text("old_string"), text("new_string"));
                let Some(content) = self.files.get_mut(&text("path")) else {
                    return missing(&text("path"));
                };
                match content.matches(&old).count() {
                    0 => ("old_string does not occur in it".into(), true),
                    2.. if input["replace_all"] != true => (
                        format!("old_string occurs {} times", content.matches(&old).count()),
                        true,
                    ),
                    _ => {
                        *content = content.replace(&old, &new);
                        (format!("{} was changed at line 1.", text("path")), false)
                    }
                }
            }
            "write_file" => {
                self.files.insert(text("path"), text("content"));
                (
                    format!(
                        "{} was made: 1 lines, {} bytes.",
                        text("path"),
                        text("content").len()
                    ),
                    false,
                )
            }
            "bash" => {
                let command = text("command");
                if let Some(files) = command.strip_prefix("wc -l ") {
                    let counts = files
                        .split(' ')
                        .map(|file| (file, self.files[file].lines().count()));
                    let lines = counts
                        .map(|(file, count)| format!("{count:4} {file}\n"))
                        .collect::<String>();
                    return (format!("{lines}   9 total\n[exit status 0; took 0.0 s]"), false);
                }
                self.commands
                    .get(&command)
                    .cloned()
                    .unwrap_or(("sh: not found\n[exit status 127; took 0.0 s]".into(), true))
            }
            _ => ("The plan was shown.".into(), false),
        }
    }
}

fn answer(messages: &[Value], tools: &[&str], extra: &Value) -> Vec<Block> {
    let tools: Vec<Value> = tools
        .iter()
        .map(|name| json!({ "name": name, "input_schema": { "type": "object" } }))
        .collect();
    let mut body =
        json!({ "model": "claude-opus-5-5", "max_tokens": 9000, "messages": messages, "tools": tools });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let models = ModelEntry::catalogue();
    let terms = Terms {
        version: crate::ApiVersion::V2026_10_21,
        has_beta: false,
        models: &models,
    };
    let bytes = body.to_string().into_bytes();
    let request = validate::request(&bytes, terms).expect("the agent's side follows the rules");
    reply(&request, &mut random_for(5, messages.len() as u64, &bytes)).blocks
}

/// Works through a task as an agent does. Gives the calls of each turn and the final text; the messages grow.
fn work(
    messages: &mut Vec<Value>,
    task: &str,
    folder: &mut Folder,
    tools: &[&str],
    extra: &Value,
) -> (Vec<String>, String) {
    messages.push(json!({ "role": "user", "content": task }));
    let mut turns = Vec::new();
    for _ in 0..30 {
        let mut content = Vec::new();
        let mut results = Vec::new();
        let mut calls = Vec::new();
        let mut said = String::new();
        for block in answer(messages, tools, extra) {
            match block {
                Block::Text(text) => {
                    content.push(json!({ "type": "text", "text": text }));
                    said = text;
                }
                Block::ToolUse { id, name, input } => {
                    let input: Value = serde_json::from_str(&input).unwrap();
                    let (output, is_error) = folder.run(&name, &input);
                    let shown: Vec<String> = input
                        .as_object()
                        .unwrap()
                        .values()
                        .map(|value| match value {
                            Value::String(text) => text.clone(),
                            other => other.to_string(),
                        })
                        .collect();
                    if name != "update_plan" {
                        calls.push(
                            format!("{name} {}", shown.join(" "))
                                .trim_end_matches(' ')
                                .to_owned(),
                        );
                    }
                    content.push(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
                    results.push(json!({ "type": "tool_result", "tool_use_id": id, "content": output, "is_error": is_error }));
                }
                Block::Thinking(text) => {
                    content.push(json!({ "type": "thinking", "thinking": text, "signature": crate::digest::signature(&text) }));
                }
                Block::Whole(_) => {}
            }
        }
        messages.push(json!({ "role": "assistant", "content": content }));
        if results.is_empty() {
            return (turns, said);
        }
        if !calls.is_empty() {
            turns.push(calls.join(" | "));
        }
        messages.push(json!({ "role": "user", "content": results }));
    }
    panic!("no end: {turns:?}");
}
