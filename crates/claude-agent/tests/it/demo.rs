//! `claude-agent demo`: the first thing that anybody tries, on a machine where nothing is set up.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Machine, expect_code, finish, stderr};

/// What a person waits before they look for another program.
const PATIENCE: Duration = Duration::from_secs(30);

/// Processes whose environment or working folder is in this folder: whatever the demo started there.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let in_folder = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if in_folder || String::from_utf8_lossy(&environment).contains(folder) {
            found.push(std::fs::read_to_string(process.join("cmdline")).unwrap_or_default());
        }
    }
    found
}

fn names_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn it_works_with_nothing_set_up_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let temporary = machine.home().join("tmp");
    let empty_home = machine.home().join("empty");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::create_dir(&empty_home).unwrap();

    let mut command = machine.plain_command(&["demo"]);
    command
        .env("HOME", &empty_home)
        .env("TMPDIR", &temporary)
        .current_dir("/");
    let start = Instant::now();
    let output = finish(&mut command);
    let took = start.elapsed();
    let answer = expect_code(&output, 0);
    assert!(took < PATIENCE, "{took:?}");

    let notes = stderr(&output);
    assert!(
        notes.contains("Answers are simulated"),
        "it says what it is: {notes}"
    );
    assert!(
        notes.contains("ANTHROPIC_API_KEY"),
        "it says how to go on: {notes}"
    );
    assert!(
        format!("{answer}{notes}").contains("1 passed, 0 failed"),
        "{answer}\n{notes}"
    );
    assert!(
        answer.contains("TODO") && answer.contains("greeter.py"),
        "the report tells what the tools found: {answer}"
    );

    assert_eq!(names_in(&temporary), Vec::<String>::new());
    assert_eq!(names_in(&empty_home), Vec::<String>::new());
    assert_eq!(processes_of(&machine.home()), Vec::<String>::new());
}

#[test]
fn it_uses_neither_the_users_settings_nor_their_key() {
    let machine = Machine::new();
    let config = machine.home().join(".config/claude-agent");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "this is = not toml").unwrap();
    machine.write(".claude-agent/config.toml", "[agent]\nmax_turns = 1\n");
    let mut command = machine.plain_command(&["demo", "--quiet"]);
    command
        .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        .env("ANTHROPIC_API_KEY", "test-key-never-printed")
        .env("CLAUDE_AGENT__AGENT__MAX_TURNS", "1");
    let output = finish(&mut command);
    assert!(
        expect_code(&output, 0).contains("1 passed, 0 failed"),
        "{output:?}"
    );
    assert_eq!(stderr(&output), "", "--quiet prints the answer only");
    assert_eq!(names_in(&machine.data()), Vec::<String>::new());
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let temporary = machine.home().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = machine.plain_command(&["demo"]);
    command
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let working = || {
        // The demo's own folder, its data, the locks of the sessions that run.
        let demo = names_in(&temporary)
            .pop()
            .map(|name| temporary.join(name).join("data/sessions.db-locks"));
        demo.and_then(|locks| std::fs::read_dir(locks).ok())
            .is_some_and(|mut locks| locks.next().is_some())
    };
    crate::support::wait_until("the run has begun", working);
    std::thread::sleep(Duration::from_millis(100));
    std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let output = crate::support::finish_child(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(names_in(&temporary), Vec::<String>::new());
    assert_eq!(processes_of(&temporary), Vec::<String>::new());
}
