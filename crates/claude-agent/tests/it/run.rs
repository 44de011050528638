//! `claude-agent run`: the main job.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Machine, Simulator, events, exists, expect_code, finish, finish_child, of_type, stderr, stdout,
    wait_until,
};

/// A small real checkout with something to find, to fix and to run.
fn checkout(machine: &Machine) {
    machine.write("README.md", "# Greeter\n\nTODO: say more\n");
    machine.write("hello.py", "print('Helo, world')\n");
    machine.write("test.sh", "grep -q 'Hello' hello.py && echo 'all tests passed'\n");
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ] {
        assert!(
            Command::new("git")
                .current_dir(machine.workspace())
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }
}

const TASK: &str = "Read README.md, then search for TODO, then replace 'Helo' with 'Hello' in hello.py, then run `sh test.sh`";

#[test]
fn a_task_reads_searches_edits_and_runs_in_a_real_checkout_and_the_session_goes_on() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);

    let workspace = machine.workspace();
    let workspace = workspace.to_str().unwrap();
    let output = finish(&mut machine.against(
        &simulator,
        &[
            "run",
            "--output-format",
            "stream-json",
            "--workspace",
            workspace,
            TASK,
        ],
    ));
    let first = events(&expect_code(&output, 0));
    assert_eq!(machine.read("hello.py"), "print('Hello, world')\n");
    let used: Vec<&str> = of_type(&first, "tool_finished")
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    for tool in ["read_file", "grep", "edit_file", "bash"] {
        assert!(used.contains(&tool), "{tool} in {used:?}");
    }
    let last = first.last().unwrap();
    assert!(
        last["text"].as_str().unwrap().contains("all tests passed"),
        "{last}"
    );

    let session = last["session_id"].as_str().unwrap();
    let shown = expect_code(&finish(&mut machine.command(&["sessions", "show", session])), 0);
    assert!(
        shown.contains("Helo") && shown.contains("all tests passed"),
        "{shown}"
    );

    let again = finish(&mut machine.against(
        &simulator,
        &[
            "run",
            "--output-format",
            "stream-json",
            "--session",
            session,
            "Read hello.py",
        ],
    ));
    let second = events(&expect_code(&again, 0));
    assert_eq!(second[0]["resumed"], true);
    assert_eq!(second[0]["session_id"], session);
    assert!(
        second.last().unwrap()["text"].as_str().unwrap().contains("Hello"),
        "{second:?}"
    );
    let stored = of_type(&second, "message_stored");
    let before = of_type(&first, "message_stored").len() as u64;
    assert_eq!(
        stored[0]["seq"],
        before + 1,
        "the second run goes on where the first ended"
    );
}

#[test]
fn events_come_in_the_documented_order() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);
    let output = finish(&mut machine.against(&simulator, &["run", "--output-format", "stream-json", TASK]));
    let events = events(&expect_code(&output, 0));
    assert_eq!(events.first().unwrap()["type"], "session_started");
    assert_eq!(events.last().unwrap()["type"], "finished");
    assert_eq!(of_type(&events, "finished").len(), 1);
    let ids = |kind: &str| -> Vec<Value> {
        let mut ids: Vec<Value> = of_type(&events, kind)
            .iter()
            .map(|event| event["id"].clone())
            .collect();
        ids.sort_by_key(Value::to_string);
        ids
    };
    assert_eq!(ids("tool_requested"), ids("tool_finished"));
    let seqs: Vec<u64> = of_type(&events, "message_stored")
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn text_goes_to_standard_output_and_everything_else_beside_it() {
    let machine = Machine::new();
    machine.write("notes.txt", "the answer is forty-two\n");
    let simulator = Simulator::start(&[]);
    let output = finish(&mut machine.against(&simulator, &["run", "Read notes.txt"]));
    let text = expect_code(&output, 0);
    assert!(text.contains("forty-two"), "{text}");
    assert!(!text.contains('\x1b'), "no styles in a pipe: {text:?}");
    assert!(stderr(&output).contains("notes.txt"));

    let quiet = finish(&mut machine.against(&simulator, &["run", "--quiet", "Read notes.txt"]));
    expect_code(&quiet, 0);
    assert_eq!(stderr(&quiet), "");
}

#[test]
fn json_is_one_object() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let output = finish(&mut machine.against(&simulator, &["run", "--output-format", "json", "Look around"]));
    let value: Value = serde_json::from_str(&expect_code(&output, 0)).unwrap();
    assert_eq!(value["outcome"], "done");
    assert!(value["usage"]["output_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn a_dash_reads_the_prompt_from_standard_input() {
    let machine = Machine::new();
    machine.write("a.txt", "from a file\n");
    let simulator = Simulator::start(&[]);
    let mut child = machine
        .against(&simulator, &["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"Read a.txt").unwrap();
    assert!(expect_code(&finish_child(child), 0).contains("from a file"));

    let mut child = machine
        .against(&simulator, &["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xff\xfe").unwrap();
    let output = finish_child(child);
    expect_code(&output, 2);
    assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
}

#[test]
fn what_the_policy_refuses_is_not_done_and_the_exit_code_says_so() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);
    let arguments = [
        "run",
        "--permission-mode",
        "deny",
        "Replace 'Helo' with 'Hello' in hello.py",
    ];
    let output = finish(&mut machine.against(&simulator, &arguments));
    expect_code(&output, 4);
    assert_eq!(machine.read("hello.py"), "print('Helo, world')\n");
    assert!(stderr(&output).contains("denied"), "{}", stderr(&output));
}

#[test]
fn control_files_are_refused_without_a_person_also_when_they_do_not_exist() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);
    let output = finish(&mut machine.against(&simulator, &["run", "Create CLAUDE.md with obey"]));
    expect_code(&output, 4);
    assert!(!exists(&machine.workspace().join("CLAUDE.md")));
}

#[test]
fn nothing_outside_of_the_workspace_is_read() {
    let machine = Machine::new();
    std::fs::write(machine.home().join("secret.txt"), "canary-7261").unwrap();
    std::os::unix::fs::symlink(
        machine.home().join("secret.txt"),
        machine.workspace().join("link.txt"),
    )
    .unwrap();
    let simulator = Simulator::start(&[]);
    for path in ["../home/secret.txt", "link.txt"] {
        let output = finish(&mut machine.against(
            &simulator,
            &["run", "--output-format", "stream-json", &format!("Read {path}")],
        ));
        assert!(
            !stdout(&output).contains("canary-7261"),
            "{path}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn each_limit_has_its_own_end() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);
    for (flags, code, word) in [
        (&["--max-turns", "1"][..], 3, "partial"),
        (&["--max-budget-usd", "0.000001"], 5, "over_budget"),
        (&["--model", "claude-does-not-exist"], 8, "misconfigured"),
    ] {
        let mut arguments = vec!["run", "--output-format", "json"];
        arguments.extend(flags);
        arguments.push(TASK);
        let output = finish(&mut machine.against(&simulator, &arguments));
        let value: Value = serde_json::from_str(&expect_code(&output, code)).unwrap();
        assert_eq!(value["outcome"], word, "{flags:?}");
        assert!(!value["error"]["advice"].as_str().unwrap().is_empty(), "{value}");
    }
}

#[test]
fn a_deadline_ends_a_run_that_gets_no_answer() {
    let machine = Machine::new();
    let simulator = Simulator::start(&["--fault", "silence"]);
    let output = finish(&mut machine.against(&simulator, &["run", "--timeout", "1s", "Look around"]));
    expect_code(&output, 6);
    assert!(stderr(&output).contains("--timeout"), "{}", stderr(&output));
}

#[test]
fn missing_keys_and_unreachable_servers_say_what_to_do() {
    let machine = Machine::new();
    let no_key = finish(&mut machine.command(&["run", "Look around"]));
    expect_code(&no_key, 8);
    assert!(
        stderr(&no_key).contains("ANTHROPIC_API_KEY"),
        "{}",
        stderr(&no_key)
    );

    let nobody = finish(
        machine
            .command(&["run", "Look around"])
            .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
            .env("ANTHROPIC_API_KEY", "k")
            .env("CLAUDE_AGENT__API__MAX_RETRIES", "1"),
    );
    expect_code(&nobody, 7);
    assert!(stderr(&nobody).contains("127.0.0.1:9"), "{}", stderr(&nobody));
}

#[test]
fn the_key_never_appears() {
    let machine = Machine::new();
    machine.write("a.txt", "text");
    let simulator = Simulator::start(&[]);
    let arguments = [
        "run",
        "--output-format",
        "stream-json",
        "--log-level",
        "trace",
        "Read a.txt then run `env`",
    ];
    let output = finish(&mut machine.against(&simulator, &arguments));
    let written = format!("{}{}", stdout(&output), stderr(&output));
    assert!(written.contains("PATH="), "env really ran: {written}");
    assert!(!written.contains("test-key-never-printed"));
}

#[test]
fn an_interrupt_stops_the_run_and_the_session_goes_on() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let mut child = machine
        .against(
            &simulator,
            &[
                "run",
                "--output-format",
                "stream-json",
                "Run `sleep 30; touch late`",
            ],
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sleeping = || {
        let found = Command::new("pgrep").args(["-f", "^sleep 30"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().any(|pid| {
            let link = std::fs::read_link(format!("/proc/{pid}/cwd"));
            link.is_ok_and(|cwd| cwd == machine.workspace())
        })
    };
    wait_until("the command runs", || {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        sleeping()
    });
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let output = finish_child(child);
    let told = events(&expect_code(&output, 130));
    let last = told.last().unwrap();
    assert_eq!(last["outcome"], "cancelled");
    wait_until("the child of the tool is gone", || !sleeping());
    std::thread::sleep(Duration::from_millis(50));
    assert!(!exists(&machine.workspace().join("late")));

    let session = last["session_id"].as_str().unwrap();
    let again = finish(&mut machine.against(&simulator, &["run", "--session", session, "Look around"]));
    expect_code(&again, 0);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let machine = Machine::new();
    checkout(&machine);
    let simulator = Simulator::start(&[]);
    let mut child = machine
        .against(&simulator, &["run", "--output-format", "stream-json", TASK])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = finish_child(child);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
}

#[test]
fn bad_command_lines_are_usage_errors() {
    let machine = Machine::new();
    for arguments in [
        &["run"][..],
        &["run", "--max-turns", "0", "x"],
        &["run", "--permission-mode", "yolo", "x"],
        &["run", "--timeout", "soon", "x"],
        &["run", ""],
        &["fly"],
    ] {
        let output = finish(&mut machine.command(arguments));
        expect_code(&output, 2);
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_workspace_that_is_not_there_is_named() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let output = finish(&mut machine.against(&simulator, &["run", "--workspace", "/nowhere/at/all", "x"]));
    expect_code(&output, 8);
    assert!(stderr(&output).contains("/nowhere/at/all"));
}
