//! `claude-agent sessions`: what happened can be found, read, taken along, branched and deleted.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Machine, Simulator, exists, expect_code, finish, stderr};

fn ok(machine: &Machine, arguments: &[&str]) -> String {
    expect_code(&finish(&mut machine.command(arguments)), 0)
}

fn json(machine: &Machine, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(machine, arguments)).unwrap()
}

/// Runs a task and gives its session's id.
fn session(machine: &Machine, simulator: &Simulator, arguments: &[&str]) -> String {
    let mut all = vec!["run", "--output-format", "json"];
    all.extend(arguments);
    let output = finish(&mut machine.against(simulator, &all));
    let value: Value = serde_json::from_str(&expect_code(&output, 0)).unwrap();
    value["session_id"].as_str().unwrap().to_owned()
}

fn messages(machine: &Machine, id: &str) -> Vec<Value> {
    json(machine, &["sessions", "show", id, "--output", "json"])["messages"]
        .as_array()
        .unwrap()
        .clone()
}

/// Fails with this code and says all of these.
fn refused(machine: &Machine, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = finish(&mut machine.command(arguments));
    expect_code(&output, code);
    for part in parts {
        assert!(
            stderr(&output).contains(part),
            "{arguments:?}: {part:?} in {}",
            stderr(&output)
        );
    }
}

fn with_a_fact() -> (Machine, Simulator) {
    let machine = Machine::new();
    machine.write("fact.txt", "the canary sings at dawn\n");
    (machine, Simulator::start(&[]))
}

#[test]
fn an_empty_store_says_how_to_begin() {
    let machine = Machine::new();
    assert!(ok(&machine, &["sessions", "list"]).contains("claude-agent run"));
    assert_eq!(
        json(&machine, &["sessions", "list", "--output", "json"]),
        Value::Array(Vec::new())
    );
    assert!(ok(&machine, &["sessions", "search", "canary"]).contains("nothing"));
}

#[test]
fn sessions_are_listed_with_the_newest_change_first() {
    let (machine, simulator) = with_a_fact();
    let first = session(&machine, &simulator, &["Read fact.txt"]);
    let second = session(&machine, &simulator, &["Look around"]);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["sessions", "list", "--output", "json"];
        all.extend(arguments);
        let list = json(&machine, &all);
        list.as_array()
            .unwrap()
            .iter()
            .map(|session| session["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&[]), [second.clone(), first.clone()]);
    session(&machine, &simulator, &["--session", &first, "Look around"]);
    assert_eq!(
        ids(&[]),
        [first.clone(), second.clone()],
        "what was gone on with is new again"
    );
    assert_eq!(ids(&["--limit", "1"]), std::slice::from_ref(&first));

    let elsewhere = machine.home().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    let third = session(&machine, &simulator, &["--workspace", elsewhere, "Look around"]);
    assert_eq!(ids(&["--workspace", elsewhere]), [third]);

    let text = ok(&machine, &["sessions", "list"]);
    assert_eq!(text.lines().count(), 4, "{text}");
    let row = text
        .lines()
        .find(|line| line.contains("Read fact.txt"))
        .expect("the task is the title");
    let short = row.split_whitespace().next().unwrap();
    assert!(first.ends_with(short), "{row}");
    assert!(
        ok(&machine, &["sessions", "show", short]).contains(&first),
        "what the list shows can be typed"
    );
}

#[test]
fn a_session_is_shown_as_text_and_as_json() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Read fact.txt"]);
    let text = ok(&machine, &["sessions", "show", &id]);
    assert!(
        text.contains("Read fact.txt") && text.contains("the canary sings at dawn"),
        "{text}"
    );

    let value = json(&machine, &["sessions", "show", &id, "--output", "json"]);
    assert_eq!(value["session"]["id"], id.as_str());
    assert_eq!(
        value["session"]["workspace"],
        machine.workspace().canonicalize().unwrap().to_str().unwrap()
    );
    let messages = value["messages"].as_array().unwrap();
    let seqs: Vec<u64> = messages
        .iter()
        .map(|message| message["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(messages[0]["role"], "user");
    assert!(messages.iter().any(|message| {
        message["usage"]["output_tokens"]
            .as_u64()
            .is_some_and(|tokens| tokens > 0)
    }));
}

#[test]
fn words_are_found_in_all_sessions() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Read fact.txt"]);
    session(&machine, &simulator, &["Look around"]);

    let hits = json(
        &machine,
        &["sessions", "search", "canary dawn", "--output", "json"],
    );
    assert!(!hits.as_array().unwrap().is_empty());
    for hit in hits.as_array().unwrap() {
        assert_eq!(hit["session"], id.as_str());
        let snippet = hit["snippet"].as_str().unwrap();
        for mark in hit["marks"].as_array().unwrap() {
            let range = |side: usize| {
                mark[side]
                    .as_u64()
                    .or(mark[["start", "end"][side]].as_u64())
                    .unwrap() as usize
            };
            let marked = snippet[range(0)..range(1)].to_lowercase();
            assert!(
                marked.contains("canary") || marked.contains("dawn"),
                "{marked:?} in {snippet:?}"
            );
        }
    }
    let one = json(
        &machine,
        &["sessions", "search", "canary", "--limit", "1", "--output", "json"],
    );
    assert_eq!(one.as_array().unwrap().len(), 1);

    let text = ok(&machine, &["sessions", "search", "\"sings at\""]);
    assert!(
        text.contains(&id[id.len() - 8..]) && text.contains("sings at"),
        "{text}"
    );
    for nothing in [
        "zebra",
        "\"dawn at sings\"",
        "canary zebra",
        "   ",
        "NEAR(",
        "\"open",
        "*",
        "a AND",
    ] {
        let hits = json(&machine, &["sessions", "search", nothing, "--output", "json"]);
        assert_eq!(hits, Value::Array(Vec::new()), "{nothing:?}");
    }
}

#[test]
fn exports_are_whole_and_private_and_replace_nothing() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Read fact.txt"]);
    let markdown = ok(&machine, &["sessions", "export", &id]);
    assert!(
        markdown.starts_with("# Read fact.txt") && markdown.contains("the canary sings at dawn"),
        "{markdown}"
    );
    let value = json(&machine, &["sessions", "export", &id, "--format", "json"]);
    assert_eq!(value["format"], "claude-agent-session/1");
    assert_eq!(value["messages"], Value::Array(messages(&machine, &id)));

    for (format, expected) in [
        ("markdown", &markdown),
        (
            "json",
            &ok(&machine, &["sessions", "export", &id, "--format", "json"]),
        ),
    ] {
        let file = machine.home().join(format);
        let path = file.to_str().unwrap();
        let told = ok(
            &machine,
            &["sessions", "export", &id, "--format", format, "--to", path],
        );
        assert!(told.contains(path), "{told}");
        assert_eq!(&std::fs::read_to_string(&file).unwrap(), expected);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        std::fs::write(&file, "mine").unwrap();
        refused(
            &machine,
            &["sessions", "export", &id, "--to", path],
            1,
            &[path, "another name"],
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
    refused(
        &machine,
        &["sessions", "export", &id, "--to", "/nowhere/at/all/x.md"],
        1,
        &["/nowhere/at/all/x.md"],
    );
}

#[test]
fn a_fork_goes_its_own_way() {
    let (machine, simulator) = with_a_fact();
    let original = session(&machine, &simulator, &["Read fact.txt"]);
    let before = messages(&machine, &original);
    assert!(before.len() >= 4, "a call, its result and an answer: {before:?}");

    let forked = json(&machine, &["sessions", "fork", &original, "--output", "json"]);
    assert_eq!(forked["forked_from"], original.as_str());
    let copy = forked["id"].as_str().unwrap();
    let contents = |messages: &[Value]| {
        messages
            .iter()
            .map(|message| message["content"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(contents(&messages(&machine, copy)), contents(&before));

    // In the middle of a turn: the call's result is not copied.
    let text = ok(&machine, &["sessions", "fork", &original, "--at", "2"]);
    let cut = text.lines().next().unwrap().to_owned();
    assert!(text.contains("run --session"), "it says how to go on: {text}");
    assert_eq!(contents(&messages(&machine, &cut)), contents(&before[..2]));
    let shown = json(&machine, &["sessions", "show", &cut, "--output", "json"]);
    assert_eq!(
        shown["session"]["forked_from"]["session"],
        original.as_str(),
        "{}",
        shown["session"]
    );

    machine.write("fact.txt", "the canary sleeps\n");
    session(&machine, &simulator, &["--session", &cut, "Read fact.txt"]);
    assert!(ok(&machine, &["sessions", "show", &cut]).contains("the canary sleeps"));
    assert_eq!(messages(&machine, &original), before, "the original is as it was");
    session(&machine, &simulator, &["--session", &original, "Look around"]);
    assert!(!ok(&machine, &["sessions", "show", &original]).contains("the canary sleeps"));

    refused(
        &machine,
        &["sessions", "fork", &original, "--at", "999"],
        2,
        &["999", &original],
    );
}

#[test]
fn a_session_can_be_renamed() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Look around"]);
    ok(&machine, &["sessions", "rename", &id, "Release notes\x1b[31m"]);
    let list = json(&machine, &["sessions", "list", "--output", "json"]);
    assert_eq!(list[0]["title"], "Release notes\x1b[31m");
    let text = ok(&machine, &["sessions", "list"]);
    assert!(
        text.contains("Release notes") && !text.contains('\x1b'),
        "{text:?}"
    );
    refused(
        &machine,
        &["sessions", "rename", &id, &"x".repeat(513)],
        1,
        &["512"],
    );
}

#[test]
fn deleting_asks_first_and_leaves_no_trace() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Read fact.txt"]);
    let kept = session(&machine, &simulator, &["Look around"]);

    refused(&machine, &["sessions", "delete", &id], 2, &["--yes"]);
    assert!(
        !messages(&machine, &id).is_empty(),
        "nothing is deleted without an answer"
    );

    assert!(ok(&machine, &["sessions", "delete", &id, "--yes"]).contains(&id));
    refused(&machine, &["sessions", "show", &id], 2, &[&id, "sessions list"]);
    let hits = json(&machine, &["sessions", "search", "canary", "--output", "json"]);
    assert_eq!(hits, Value::Array(Vec::new()));
    for name in ["sessions.db", "sessions.db-wal"] {
        let file = machine.data().join(name);
        if exists(&file) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(
                !bytes.windows(6).any(|window| window == b"canary"),
                "{name} still holds what was deleted"
            );
        }
    }
    assert!(!messages(&machine, &kept).is_empty());
}

#[test]
fn ids_that_name_no_session_or_several_say_so() {
    let (machine, simulator) = with_a_fact();
    let first = session(&machine, &simulator, &["Look around"]);
    let second = session(&machine, &simulator, &["Read fact.txt"]);
    // Ids begin with the time: those of the same minute share their beginning.
    let shared: String = first
        .chars()
        .zip(second.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    assert!(!shared.is_empty());
    for command in [
        &["sessions", "show"][..],
        &["sessions", "export"],
        &["sessions", "fork"],
        &["sessions", "delete", "--yes"],
    ] {
        let with = |id: &'static str| command.iter().copied().chain([id]).collect::<Vec<_>>();
        let ambiguous: Vec<&str> = command.iter().copied().chain([shared.as_str()]).collect();
        refused(&machine, &ambiguous, 2, &[&first, &second, "type more"]);
        refused(&machine, &with("ffffffff"), 2, &["ffffffff", "sessions list"]);
        refused(&machine, &with("%"), 2, &["there is no session"]);
        refused(&machine, &with(""), 2, &["there is no session"]);
    }
    let output = finish(&mut machine.against(&simulator, &["run", "--session", "ffffffff", "Look around"]));
    expect_code(&output, 2);
    assert!(stderr(&output).contains("sessions list"), "{}", stderr(&output));
    assert_eq!(
        json(&machine, &["sessions", "list", "--output", "json"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_session_stays_in_its_folder() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Look around"]);
    let home = machine.home();
    let arguments = [
        "run",
        "--session",
        &id,
        "--workspace",
        home.to_str().unwrap(),
        "Look around",
    ];
    let output = finish(&mut machine.against(&simulator, &arguments));
    expect_code(&output, 8);
    assert!(
        stderr(&output).contains(home.to_str().unwrap()),
        "{}",
        stderr(&output)
    );
    // From anywhere, without naming it.
    let mut command = machine.against(&simulator, &["run", "--session", &id, "Read fact.txt"]);
    assert!(expect_code(&finish(command.current_dir("/")), 0).contains("the canary sings at dawn"));
}

#[test]
fn a_session_belongs_to_one_run_at_a_time() {
    let (machine, simulator) = with_a_fact();
    let id = session(&machine, &simulator, &["Look around"]);
    let slow = Simulator::start(&["--fault", "silence"]);
    let mut child = machine
        .against(
            &slow,
            &[
                "run",
                "--session",
                &id,
                "--output-format",
                "stream-json",
                "Look around",
            ],
        )
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    crate::support::wait_until("the first run owns the session", || {
        let locks = std::fs::read_dir(machine.data().join("sessions.db-locks"));
        locks.is_ok_and(|locks| locks.flatten().any(|lock| lock.file_name().to_str() == Some(&id)))
    });
    let output = finish(&mut machine.against(&simulator, &["run", "--session", &id, "Look around"]));
    expect_code(&output, 1);
    let pid = child.id().to_string();
    assert!(
        stderr(&output).contains(&id) && stderr(&output).contains(&pid),
        "{}",
        stderr(&output)
    );
    refused(&machine, &["sessions", "delete", &id, "--yes"], 1, &[&pid]);
    assert!(!messages(&machine, &id).is_empty(), "reading is open to everyone");
    child.kill().unwrap();
    child.wait().unwrap();
    session(&machine, &simulator, &["--session", &id, "Read fact.txt"]);
}
