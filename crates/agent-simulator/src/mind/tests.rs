//! Tasks as data: a task, a folder, the tools offered; the calls of each turn and what the report must say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::digest::random_for;
use crate::models::ModelEntry;
use crate::validate::{self, Terms};

const ALL: &[&str] = &[
    "list_directory",
    "read_file",
    "grep",
    "glob",
    "edit_file",
    "write_file",
    "bash",
    "update_plan",
];

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

struct Case {
    task: &'static str,
    folder: Folder,
    tools: &'static [&'static str],
    calls: &'static [&'static str],
    says: &'static [&'static str],
}

fn sample() -> Folder {
    Folder::new(&[
        ("hello.py", "# TODO: tidy\nprint('Helo')\n"),
        ("src/util.py", "def f():\n    return 1  # TODO\n\n"),
        ("notes.txt", "one two\nthree\n"),
        ("test.sh", "python3 hello.py\n"),
    ])
    .with_command("sh test.sh", "Hello\n[exit status 0; took 0.1 s]", false)
    .with_command("false", "(no output)\n[exit status 1; took 0.0 s]", true)
}

fn cases() -> Vec<Case> {
    let case = |task, calls, says| Case {
        task,
        folder: sample(),
        tools: ALL,
        calls,
        says,
    };
    vec![
        case(
            "What is in this folder?",
            &["list_directory"],
            &["4 entries", "hello.py", "notes.txt"],
        ),
        case(
            "read notes.txt and hello.py",
            &["read_file notes.txt | read_file hello.py"],
            &["three", "print('Helo')", "(2 lines)"],
        ),
        case(
            "find every TODO",
            &["grep TODO"],
            &["2 lines", "2 files", "`hello.py:1`", "`src/util.py:2`"],
        ),
        case(
            "count occurrences of 'o' in notes.txt",
            &["grep o notes.txt"],
            &["**2 times**", "1 line"],
        ),
        case(
            "how many lines do the Python files have?",
            &["glob **/*.py", "bash wc -l hello.py src/util.py"],
            &["**5 lines** in 2 files", "`hello.py`: 2", "`src/util.py`: 3"],
        ),
        Case {
            tools: &["glob", "read_file"],
            ..case(
                "count the words of notes.txt",
                &["read_file notes.txt"],
                &["**3 words** in 1 file"],
            )
        },
        case(
            "replace 'Helo' with 'Hello' in hello.py",
            &[
                "read_file hello.py",
                "edit_file hello.py Helo Hello",
                "read_file hello.py",
            ],
            &["`Helo` is now `Hello`", "2\tprint('Hello')"],
        ),
        case(
            "replace 'zzz' with 'y' in hello.py",
            &["read_file hello.py"],
            &["does not contain `zzz`", "nothing was changed"],
        ),
        case(
            "change 'o' to '0' in notes.txt",
            &["read_file notes.txt", "edit_file notes.txt o 0"],
            &[
                "was not changed",
                "occurs 2 times",
                "2 times (lines 1 and 1)",
                "replace all",
            ],
        ),
        case(
            "change every 'TODO' to 'DONE' everywhere",
            &[
                "grep TODO",
                "read_file hello.py | read_file src/util.py",
                "edit_file hello.py TODO DONE true | edit_file src/util.py TODO DONE true",
                "read_file hello.py | read_file src/util.py",
            ],
            &["# DONE: tidy", "return 1  # DONE"],
        ),
        case(
            "read util.py",
            &["read_file util.py", "glob **/util.py", "read_file src/util.py"],
            &["`util.py` does not exist; I took `src/util.py`", "def f()"],
        ),
        case(
            "read gone.txt",
            &["read_file gone.txt", "glob **/gone.txt"],
            &["does not exist", "No file named `gone.txt`"],
        ),
        case(
            "create x.txt with 'hi there', then read it",
            &["write_file x.txt hi there\n", "read_file x.txt"],
            &["`x.txt` is written", "hi there"],
        ),
        case(
            "add 'four' to notes.txt",
            &[
                "read_file notes.txt",
                "write_file notes.txt one two\nthree\nfour\n",
            ],
            &["`notes.txt` is written (3 lines)"],
        ),
        case(
            "run `sh test.sh`",
            &["bash sh test.sh"],
            &["exit status 0", "Hello"],
        ),
        case(
            "run the tests",
            &["list_directory", "bash sh test.sh"],
            &["`sh test.sh` ended: exit status 0"],
        ),
        case(
            "run `false`, then read notes.txt",
            &["bash false", "read_file notes.txt"],
            &["(not done)", "exit status 1", "1 of 2 steps", "three"],
        ),
        case(
            "find all Python files",
            &["glob **/*.py"],
            &["2 files", "`src/util.py`"],
        ),
        case("how many files are there?", &["glob **/*"], &["**4 files**"]),
        case(
            "paint the house",
            &[],
            &["did not understand", "no language model", "run `sh test.sh`"],
        ),
        case(
            "read notes.txt and then sing",
            &["read_file notes.txt"],
            &["three"],
        ),
        case(
            "read notes.txt; paint the house",
            &["read_file notes.txt"],
            &[
                "did not understand “paint the house”",
                "1 of 2",
                "no language model",
            ],
        ),
        case("hello", &[], &["Hello!", "simulation"]),
        Case {
            tools: &["read_file"],
            ..case("run `ls`", &[], &["`bash` was not offered"])
        },
        Case {
            tools: &[],
            ..case("look around", &[], &["`list_directory` was not offered"])
        },
        Case {
            tools: &["bash"],
            ..case(
                "find every TODO",
                &["bash grep -rnF -e TODO ."],
                &["The search failed"],
            )
        },
        Case {
            folder: Folder {
                denied: vec!["edit_file"],
                ..sample()
            },
            ..case(
                "replace 'Helo' with 'Hello' in hello.py",
                &["read_file hello.py", "edit_file hello.py Helo Hello"],
                &["was not changed", "denied by the policy"],
            )
        },
        case(
            "Look around, find every TODO, count the lines of the Python files, fix the greeting in hello.py (replace \
             'Helo' with 'Hello'), run the tests with `sh test.sh`, and tell me what you did",
            &[
                "list_directory | grep TODO | glob **/*.py",
                "bash wc -l hello.py src/util.py",
                "read_file hello.py",
                "edit_file hello.py Helo Hello",
                "read_file hello.py",
                "bash sh test.sh",
            ],
            &[
                "All 5 steps are done.",
                "### 1. Look around",
                "`hello.py:1`",
                "**5 lines**",
                "print('Hello')",
                "exit status 0",
            ],
        ),
    ]
}

#[test]
fn tasks_are_done_with_the_tools_and_reported_as_they_went() {
    for mut case in cases() {
        let (calls, said) = work(
            &mut Vec::new(),
            case.task,
            &mut case.folder,
            case.tools,
            &json!({}),
        );
        assert_eq!(calls, case.calls, "{}\n{said}", case.task);
        for part in case.says {
            assert!(said.contains(part), "{}: {part:?} is not in\n{said}", case.task);
        }
    }
}

#[test]
fn thinking_or_one_call_at_a_time_change_nothing_in_the_outcome() {
    let extras = [
        json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }),
        json!({ "tool_choice": { "type": "auto", "disable_parallel_tool_use": true } }),
    ];
    for extra in extras {
        let single = extra.get("tool_choice").is_some();
        for mut case in cases() {
            // A choice among no tools is refused.
            let extra = if single && case.tools.is_empty() {
                json!({})
            } else {
                extra.clone()
            };
            let (calls, said) = work(&mut Vec::new(), case.task, &mut case.folder, case.tools, &extra);
            assert!(
                !single || calls.iter().all(|turn| !turn.contains(" | ")),
                "{calls:?}"
            );
            for part in case.says {
                assert!(said.contains(part), "{}: {part:?} is not in\n{said}", case.task);
            }
        }
    }
}

#[test]
fn a_conversation_goes_on() {
    let mut folder = sample();
    let mut messages = Vec::new();
    let mut ask = |task: &str| work(&mut messages, task, &mut folder, ALL, &json!({}));
    ask("change 'Helo' to 'Hello' in hello.py");
    let (calls, said) = ask("now change it back");
    assert_eq!(
        calls,
        [
            "read_file hello.py",
            "edit_file hello.py Hello Helo",
            "read_file hello.py"
        ]
    );
    assert!(said.contains("print('Helo')"), "{said}");
    let (calls, said) = ask("what did you do?");
    assert!(
        calls.is_empty() && said.contains("6 calls") && said.contains("`edit_file`"),
        "{said}"
    );
    let (calls, _) = ask("read notes.txt");
    assert_eq!(calls, ["read_file notes.txt"]);
}

#[test]
fn the_plan_follows_the_work() {
    let mut messages = Vec::new();
    let task = "look around, then change 'Helo' to 'Hello' in hello.py, then run `sh test.sh`";
    work(&mut messages, task, &mut sample(), ALL, &json!({}));
    let plans: Vec<String> = messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter(|block| block["name"] == "update_plan")
        .map(|block| {
            let items = block["input"]["items"].as_array().unwrap();
            items
                .iter()
                .map(|item| &item["status"].as_str().unwrap()[..1])
                .collect()
        })
        .collect();
    assert_eq!(plans, ["ipp", "cip", "cci", "ccc"]);
}

#[test]
fn what_the_user_adds_on_the_way_is_done_too() {
    let mut messages = vec![json!({ "role": "user", "content": "read notes.txt" })];
    let first = answer(&messages, ALL, &json!({}));
    let Some(Block::ToolUse { id, name, input }) = first.last() else {
        panic!("{first:?}")
    };
    let input: Value = serde_json::from_str(input).unwrap();
    messages.push(json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": id, "name": name, "input": input }] }));
    messages.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": id, "content": "1\tone" },
        { "type": "text", "text": "also find every TODO" },
    ] }));
    let next = answer(&messages, ALL, &json!({}));
    assert!(
        matches!(next.last(), Some(Block::ToolUse { name, .. }) if name == "grep"),
        "{next:?}"
    );
}

#[test]
fn a_forced_tool_is_called_and_a_format_is_kept() {
    let messages = [json!({ "role": "user", "content": "hello" })];
    let forced = answer(
        &messages,
        &["read_file"],
        &json!({ "tool_choice": { "type": "tool", "name": "read_file" } }),
    );
    assert!(
        matches!(forced.last(), Some(Block::ToolUse { name, .. }) if name == "read_file"),
        "{forced:?}"
    );
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    let formatted = answer(
        &messages,
        &[],
        &json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } }),
    );
    assert_eq!(formatted, [Block::Text("{\"n\":0}".into())]);
}

#[test]
fn a_conversation_that_makes_no_sense_ends() {
    let mut messages = vec![json!({ "role": "user", "content": "read notes.txt" })];
    for round in 0..=MAX_ROUNDS {
        messages.push(json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": format!("t{round}"), "name": "other", "input": {} }] }));
        messages.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": format!("t{round}") }] }));
    }
    let last = answer(&messages, ALL, &json!({}));
    assert!(
        matches!(&last[..], [Block::Text(text)] if text.contains("not reached")),
        "{last:?}"
    );
}
