//! The words that were judged are the words that a real shell runs.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests start processes and stop at the first surprise"
)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use agent_security::command::parse;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Command lines in one run of the shell: one start for all, so that thousands cost a second.
const LINES: usize = 4_000;

/// A program's name, and everything a shell could do with the words after it.
fn grammar() -> impl Strategy<Value = String> {
    let plain = "[a-z0-9./_=,:@%+-]{1,6}";
    let odd = prop::sample::select(vec![
        "'a b'",
        "\"a b\"",
        "\"a\\\"b\"",
        "a\\ b",
        "''",
        "\"\"",
        "'a'\"b\"c",
        "$HOME",
        "${HOME}",
        "$(p x)",
        "`p x`",
        "~",
        "~/x",
        "a=~",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "{1..3}",
        "a#b",
        "#c",
        "!",
        "!!",
        "!x",
        "$'a\\nb'",
        "$\"a\"",
        "<(p x)",
        "\\a",
        "'\\a'",
        "\"\\a\"",
        "\"\\\\\"",
        "a\\\nb",
        "\u{a0}",
        "\u{e9}",
        "\t",
        "$",
        "\"$\"",
        "a$",
        "$#",
        "--",
        "-",
        "=",
        "a=b",
        "\"!\"",
        "^a^b",
        "%1",
        "@(a)",
        "a\\",
        "[[",
        "]]",
        "{",
        "}",
        "(",
        ")",
        "if",
        "time",
        "\r",
        "\"a\nb\"",
        "&",
        "2",
        "2>x",
        ">x",
        "<x",
        "<<<x",
        "|&",
        "\u{2028}",
        "\u{200b}",
    ])
    .prop_map(str::to_owned);
    let word = prop_oneof![3 => plain.prop_map(|word: String| word), 2 => odd.clone(), 1 => (plain, odd).prop_map(|(a, b)| format!("{a}{b}"))];
    let command = prop::collection::vec(word, 0..4).prop_map(|words| {
        let mut line = "p".to_owned();
        for word in words {
            line.push(' ');
            line.push_str(&word);
        }
        line
    });
    let joint = prop::sample::select(vec![" && ", "; ", " | ", "&&", ";", "|", " || ", "\n"]);
    (command.clone(), prop::option::of((joint, command))).prop_map(|(first, more)| match more {
        None => first,
        Some((joint, second)) => format!("{first}{joint}{second}"),
    })
}

/// What `p` was run with, one list of words a run, in the order of writing.
fn words_of(folder: &Path, line: &str) -> Vec<Vec<String>> {
    let log = folder.join("log");
    std::fs::write(&log, "").unwrap();
    let mut shell = Command::new("/bin/bash")
        .args(["-c", line])
        .env_clear()
        .env("PATH", folder.join("bin"))
        .env("LOG", &log)
        .env("HOME", "/home/of-nobody")
        .current_dir(folder.join("empty"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    shell.wait().unwrap();
    let text = std::fs::read(&log).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut runs: Vec<Vec<String>> = text
        .split_terminator('\u{1}')
        .map(|run| run.split_terminator('\u{2}').map(str::to_owned).collect())
        .collect();
    runs.sort();
    runs
}

#[test]
fn command_allowlists_see_the_words_that_bash_runs() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bin", "empty"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    // The one program there is writes its words down, in one piece: runs of a pipeline come at the same time.
    let program = folder.path().join("bin/p");
    let mut file = std::fs::File::create(&program).unwrap();
    let script = b"#!/bin/bash\nprintf -v all '%s\\2' p \"$@\"; printf '%s\\1' \"$all\" >> \"$LOG\"\n";
    file.write_all(script).unwrap();
    drop(file);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut runner = TestRunner::deterministic();
    let lines = grammar();
    let mut compared = 0;
    for _ in 0..LINES {
        let line = lines.new_tree(&mut runner).unwrap().current();
        let Ok(commands) = parse(&line) else { continue };
        // `a || b` and `a && b` run one or both: only what is run each time can be compared.
        if line.contains("||") {
            continue;
        }
        let mut judged: Vec<Vec<String>> = commands.iter().map(|argv| argv.words().to_vec()).collect();
        judged.sort();
        // A shell each: enough of them, not all.
        compared += 1;
        if compared > 300 {
            break;
        }
        assert_eq!(words_of(folder.path(), &line), judged, "{line:?}");
    }
    assert!(compared > 200, "only {compared} lines were understood at all");
}
