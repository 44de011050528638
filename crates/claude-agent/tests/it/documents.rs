//! The documents say what the program does: their commands parse, their tables are those of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use claude_agent::agent::{AgentEvent, Outcome};
use serde_json::{Value, json};

use crate::support::{Machine, Simulator, events, expect_code, finish, stderr};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md and everything in docs/.
fn documents() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(repository().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names
        .into_iter()
        .map(|name| (name.clone(), document(&name)))
        .collect()
}

/// Lines of code blocks, and code inside sentences.
fn code_of(markdown: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut in_block = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            code.push(line.to_owned());
        } else {
            code.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

/// The arguments of each `claude-agent` (or `cargo run … --`) in a line of shell, without redirections and comments.
fn invocations(line: &str) -> Vec<Vec<String>> {
    let words = shell_words(line);
    let mut found = Vec::new();
    for command in words.split(|word| matches!(word.as_str(), "|" | "&&" | ";" | "||")) {
        let past_variables: Vec<String> = command
            .iter()
            .skip_while(|word| word.contains('=') && !word.starts_with('-'))
            .cloned()
            .collect();
        let start = match past_variables.as_slice() {
            [first, ..] if first == "claude-agent" => 1,
            [cargo, run, rest @ ..] if cargo == "cargo" && run == "run" => {
                2 + rest
                    .iter()
                    .position(|word| word == "--")
                    .map_or(rest.len(), |place| place + 1)
            }
            _ => continue,
        };
        let end = past_variables
            .iter()
            .position(|word| word.starts_with('>') || word == "…" || word == "&");
        let arguments = &past_variables[start..end.unwrap_or(past_variables.len()).max(start)];
        found.extend(alternatives(arguments));
    }
    found
}

/// `sessions list|show` is two commands.
fn alternatives(arguments: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for argument in arguments {
        let plain = argument
            .chars()
            .all(|c| c.is_ascii_lowercase() || matches!(c, '-' | '|'));
        let choices: Vec<&str> = if plain {
            argument.split('|').collect()
        } else {
            vec![argument]
        };
        all = all
            .iter()
            .flat_map(|command| {
                choices
                    .iter()
                    .map(|choice| [command.as_slice(), &[(*choice).to_owned()]].concat())
            })
            .collect();
    }
    all
}

/// As much of a shell as the documents use: quotes, comments, and separators that stand alone.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None => match c {
                '"' | '\'' => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                '#' if word.is_none() => break,
                c if c.is_whitespace() => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            },
        }
    }
    words.extend(word);
    words
}

#[test]
fn shell_lines_are_understood() {
    for (line, expected) in [
        (
            "claude-agent run \"a b\" -o 'c' | jq .  # why",
            vec![vec!["run", "a b", "-o", "c"]],
        ),
        ("KEY=x claude-agent demo > file", vec![vec!["demo"]]),
        ("cargo run --release -- demo", vec![vec!["demo"]]),
        ("git diff | claude-agent run -", vec![vec!["run", "-"]]),
        ("alias claude-agent=\"x\"", vec![]),
        ("claude-agent sessions …", vec![vec!["sessions"]]),
        (
            "claude-agent config check|show --x",
            vec![vec!["config", "check", "--x"], vec!["config", "show", "--x"]],
        ),
    ] {
        assert_eq!(invocations(line), expected, "{line}");
    }
}

/// Every command line in the documents and in the examples of `--help`.
#[test]
fn every_command_in_the_documents_parses() {
    let machine = Machine::new();
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, text) in documents() {
        lines.extend(code_of(&text).into_iter().map(|line| (name.clone(), line)));
    }
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut next = 0;
    while let Some(command) = commands.get(next).cloned() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = expect_code(&finish(&mut machine.plain_command(&arguments)), 0);
        let name = format!("claude-agent {}", arguments.join(" "));
        lines.extend(help.lines().map(|line| (name.clone(), line.trim().to_owned())));
        let below = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        // Longer descriptions go on in lines that are indented further.
        let names = below
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with(' '));
        for sub in names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|sub| *sub != "help")
        {
            commands.push(command.iter().cloned().chain([sub.to_owned()]).collect());
        }
        next += 1;
    }
    assert!(commands.len() > 18, "{commands:?}");

    let mut seen = 0;
    for (place, line) in &lines {
        for invocation in invocations(line) {
            let mut arguments: Vec<&str> = invocation.iter().map(String::as_str).collect();
            arguments.push("--help");
            let output = finish(&mut machine.plain_command(&arguments));
            assert_eq!(
                output.status.code(),
                Some(0),
                "{place}: `{line}` does not parse: {}",
                stderr(&output)
            );
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen} command lines were found");
}

/// `UPDATE_DOCS=1 cargo test -p claude-agent documents` writes the file.
#[test]
fn the_configuration_reference_is_that_of_the_code() {
    let expected = agent_config::reference_markdown();
    let path = repository().join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert!(
        document("docs/configuration.md") == expected,
        "docs/configuration.md is not what the code says; write it with UPDATE_DOCS=1 cargo test -p claude-agent documents"
    );
}

/// The names that serde knows for an enum, from its own error message.
fn variants<T: serde::de::DeserializeOwned>(wrong: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(wrong)
        .err()
        .expect("nothing is called `none-such`")
        .to_string();
    let (_, list) = error
        .split_once("expected one of")
        .unwrap_or_else(|| panic!("{error}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the Markdown table below a heading, as cells.
fn table(markdown: &str, heading: &str) -> Vec<Vec<String>> {
    let section = markdown
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

fn code_words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn documented_events() -> BTreeMap<String, BTreeSet<String>> {
    let rows = table(&document("docs/stream-json.md"), "Events");
    rows.iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), code_words(&row[1])))
        .collect()
}

#[test]
fn every_event_is_documented_and_every_documented_event_exists() {
    let known = variants::<AgentEvent>(json!({ "type": "none-such" }));
    assert!(known.len() > 15, "{known:?}");
    assert_eq!(documented_events().into_keys().collect::<BTreeSet<_>>(), known);
}

/// Fields of the events of real runs against those of the table.
#[test]
fn the_fields_of_events_are_those_that_are_documented() {
    let machine = Machine::new();
    machine.write("README.md", "TODO: more\n");
    machine.write("hello.py", "print('Helo')\n");
    let simulator = Simulator::start(&["--fault", "status=529*1", "--fault", "reset-mid*1"]);
    let task = "Look around, then search for TODO, then replace 'Helo' with 'Hello' in hello.py, then run `echo done`";
    let documented = documented_events();
    let mut seen = BTreeSet::new();
    for (flags, code) in [(&[][..], 0), (&["--permission-mode", "deny"], 4)] {
        let mut arguments = vec!["run", "--output-format", "stream-json"];
        arguments.extend(flags);
        arguments.push(task);
        for event in events(&expect_code(
            &finish(&mut machine.against(&simulator, &arguments)),
            code,
        )) {
            let kind = event["type"].as_str().unwrap();
            let fields: BTreeSet<&str> = event
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .filter(|key| *key != "type")
                .collect();
            let all: BTreeSet<&str> = documented[kind].iter().map(String::as_str).collect();
            let missing: Vec<_> = fields.difference(&all).collect();
            assert!(
                missing.is_empty(),
                "{kind} has fields that docs/stream-json.md does not name: {missing:?}"
            );
            if !matches!(kind, "finished" | "plan_updated") {
                let gone: Vec<_> = all.difference(&fields).collect();
                assert!(
                    gone.is_empty(),
                    "{kind} has no {gone:?}, which docs/stream-json.md names: {event}"
                );
            }
            seen.insert(kind.to_owned());
        }
        machine.write("hello.py", "print('Helo')\n");
    }
    for kind in [
        "retrying",
        "turn_restarted",
        "tool_output",
        "usage_reported",
        "plan_updated",
        "finished",
    ] {
        assert!(seen.contains(kind), "no {kind} among {seen:?}");
    }
}

#[test]
fn outcomes_and_exit_codes_are_those_of_the_program() {
    let mut rows = BTreeMap::new();
    for row in table(&document("docs/stream-json.md"), "Outcomes and exit codes") {
        rows.insert(row[0].trim_matches('`').to_owned(), row[1].clone());
    }
    let mut named: BTreeSet<String> = rows.keys().cloned().collect();
    assert!(
        named.remove("–"),
        "a wrong command line has a code and no outcome"
    );
    assert_eq!(named, variants::<Outcome>(json!("none-such")));

    let machine = Machine::new();
    let help = expect_code(&finish(&mut machine.plain_command(&["--help"])), 0);
    let told: BTreeSet<String> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert_eq!(rows.values().cloned().collect::<BTreeSet<_>>(), told);
    assert_eq!(rows.len(), told.len(), "each way to end has a code of its own");
}

/// Each outcome that a run can be brought to gives the code of its row.
#[test]
fn the_documented_codes_are_those_that_runs_end_with() {
    let rows: BTreeMap<String, i32> = table(&document("docs/stream-json.md"), "Outcomes and exit codes")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].parse().unwrap()))
        .collect();
    let machine = Machine::new();
    let (healthy, silent, broken) = (
        Simulator::start(&[]),
        Simulator::start(&["--fault", "silence"]),
        Simulator::start(&["--fault", "status=400"]),
    );
    for (simulator, flags, outcome) in [
        (&healthy, &[][..], "done"),
        (&healthy, &["--max-turns", "1"], "partial"),
        (&healthy, &["--permission-mode", "deny"], "denied"),
        (&healthy, &["--max-budget-usd", "0.000001"], "over_budget"),
        (&healthy, &["--model", "none-such"], "misconfigured"),
        (&silent, &["--timeout", "300ms"], "timed_out"),
        (&broken, &[], "upstream_failed"),
    ] {
        let mut arguments = vec!["run", "--output-format", "json"];
        arguments.extend(flags);
        arguments.push("Run `touch done.txt`");
        let output = finish(&mut machine.against(simulator, &arguments));
        let last: Value = serde_json::from_str(&expect_code(&output, rows[outcome])).unwrap();
        assert_eq!(last["outcome"], outcome, "{flags:?}");
    }
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = expect_code(&finish(&mut machine.plain_command(&["completions", shell])), 0);
        for word in ["simulate", "sessions", "permission-mode", "list-faults"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
        if shell == "bash" {
            std::fs::write(machine.home().join("complete.sh"), &script).unwrap();
            let check = finish(
                std::process::Command::new("bash")
                    .arg("-n")
                    .arg(machine.home().join("complete.sh")),
            );
            assert_eq!(check.status.code(), Some(0), "{}", stderr(&check));
        }
    }
    let page = expect_code(&finish(&mut machine.plain_command(&["man"])), 0);
    assert!(page.contains(".TH claude-agent 1"));
    for command in [
        "demo",
        "run",
        "chat",
        "simulate",
        "sessions\\-list",
        "config\\-check",
        "completions",
        "metrics",
        "health",
        "audit\\-verify",
        "top",
    ] {
        assert!(
            page.contains(&format!("\nclaude\\-agent\\-{command} \\- ")),
            "{command} has no section"
        );
    }
    assert!(page.contains("over budget"), "the exit codes are in the manual");
}

/// A row without a test is no defence, and neither is one whose test is gone.
#[test]
fn every_defence_of_the_security_page_has_a_test_that_exists() {
    let page = document("docs/security.md");
    let mut seen = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        if row.starts_with("| threat") || row.starts_with("| ---") {
            continue;
        }
        let tests: Vec<&str> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.contains(".rs::"))
            .collect();
        assert!(!tests.is_empty(), "no test for: {row}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = document(file);
            let at = source.find(&format!("fn {name}(")).unwrap_or_else(|| {
                panic!("{file} has no `{name}`; name the test that shows this now: {row}")
            });
            // Attributes stand above it; a property test has no other mark than the macro around it.
            let before = &source[..at];
            let above: Vec<&str> = before.lines().rev().take(4).collect();
            assert!(
                above.iter().any(|line| line.contains("test")),
                "{test} is not run as a test"
            );
            seen.insert(test.to_owned());
        }
    }
    assert!(seen.len() > 30, "the tables were not understood: {seen:?}");
}
