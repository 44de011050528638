//! API keys while the daemon runs: refused, rotated, added, never shown.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use agent_config::Secret;
use agent_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Daemon, question};
use crate::support::{Machine, expect_code, finish, finish_child, stderr, stdout, wait_until};

pub(super) const OLD: &str = "opaque-canary-old-0123456789";
const NEW: &str = "opaque-canary-new-0123456789";
const LATE: &str = "opaque-canary-late-0123456789";

/// A simulator that refuses the first key.
pub(super) fn picky() -> (Runtime, Simulator) {
    let runtime = Runtime::new().unwrap();
    let config = SimulatorConfig {
        revoked_keys: vec![Secret::from(OLD)],
        ..SimulatorConfig::default()
    };
    let simulator = runtime.block_on(Simulator::bind(config)).unwrap();
    (runtime, simulator)
}

fn keys(machine: &Machine, simulator: &Simulator, arguments: &[&str], input: &str) -> Output {
    let mut command = machine.command(&[&["keys"], arguments].concat());
    let mut child = command
        .env("ANTHROPIC_BASE_URL", simulator.base_url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that takes no key does not read it.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    finish_child(child)
}

fn states(machine: &Machine, simulator: &Simulator) -> Vec<String> {
    let listed = keys(machine, simulator, &["list", "--output", "json"], "");
    let listed: Value = serde_json::from_str(&expect_code(&listed, 0)).unwrap();
    let state = |key: &Value| {
        format!(
            "{}:{}",
            key["id"].as_str().unwrap(),
            key["state"].as_str().unwrap()
        )
    };
    listed["keys"].as_array().unwrap().iter().map(state).collect()
}

fn daemon(machine: &Machine, simulator: &Simulator) -> Daemon {
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    command
        .env("ANTHROPIC_BASE_URL", simulator.base_url())
        .env("CLAUDE_AGENT__SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "0");
    Daemon::start_command(machine, command)
}

#[test]
fn no_request_is_dropped_while_api_keys_are_refused_and_rotated() {
    let machine = Machine::new();
    let (_runtime, simulator) = picky();
    expect_code(&keys(&machine, &simulator, &["add", "old"], OLD), 0);
    expect_code(&keys(&machine, &simulator, &["add", "new"], NEW), 0);
    assert_eq!(states(&machine, &simulator), ["old:active", "new:standby"]);
    let daemon = daemon(&machine, &simulator);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..30 {
                        daemon.post("/v1/messages", &question("hello")).expect(200);
                    }
                })
            })
            .collect();
        wait_until("the refused key is written down", || {
            states(&machine, &simulator) == ["old:rejected", "new:active"]
        });
        let added = keys(&machine, &simulator, &["add", "late"], &format!("{LATE}\n"));
        expect_code(&added, 0);
        for to in ["late", "new", "late"] {
            expect_code(&keys(&machine, &simulator, &["rotate", "--to", to], ""), 0);
        }
        for client in clients {
            client.join().unwrap();
        }
    });
    wait_until("the daemon says which key it took up", || {
        daemon.get("/api/v1/logs?limit=1000").text().contains("late")
    });
    daemon.post("/v1/messages", &question("hello")).expect(200);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let audit = expect_code(&finish(&mut machine.command(&["audit", "show"])), 0);
    assert!(
        audit.contains("act=API key set aside  subject=old  by=API"),
        "{audit}"
    );
    nothing_shows(&machine, &[&output]);
}

#[test]
fn commands_on_api_keys_never_show_one() {
    let machine = Machine::new();
    let (_runtime, simulator) = picky();
    let run = |arguments: &[&str], input: &str| keys(&machine, &simulator, arguments, input);
    let outputs = [
        run(&["add", "a"], OLD),
        run(&["add", "b", "--host", "api.example"], NEW),
        run(&["add", "c"], OLD),
        run(&["add", "d"], &format!("{LATE} {LATE}")),
        run(&["list"], ""),
        run(&["list", "--output", "json"], ""),
        run(&["rotate"], ""),
        run(&["remove", "a"], ""),
        run(&["remove", "a"], ""),
    ];
    let codes: Vec<_> = outputs
        .iter()
        .map(|output| output.status.code().unwrap())
        .collect();
    assert_eq!(codes, [0, 0, 2, 2, 0, 0, 2, 0, 2], "{outputs:?}");
    assert!(stdout(&outputs[4]).contains("…6789"), "{}", stdout(&outputs[4]));
    assert!(
        stderr(&outputs[6]).contains("no standby key"),
        "b is for another host"
    );
    let file = machine.data().join("keys.json");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    let refused = finish(
        machine
            .command(&["run", "hello"])
            .env("ANTHROPIC_BASE_URL", "https://other.example"),
    );
    expect_code(&refused, 8);
    assert!(
        stderr(&refused).contains("bound to other.example"),
        "{}",
        stderr(&refused)
    );
    let outputs: Vec<&Output> = outputs.iter().chain([&refused]).collect();
    nothing_shows(&machine, &outputs);
}

/// A program that prints what is in the file `vault`, and says more than it should.
fn helper(machine: &Machine) -> PathBuf {
    let path = machine.home().join("ask-vault");
    let script = "#!/bin/sh\necho \"asked, with $1: $(cat \"$HOME/vault\")\" >&2\ncat \"$HOME/vault\"\necho x >> \"$HOME/asked\"\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn words(program: &Path) -> String {
    format!("[{:?}, \"a b; exit 1\"]", program.to_str().unwrap())
}

#[test]
fn a_program_that_gives_the_api_key_is_asked_again_when_the_api_refuses_it() {
    let machine = Machine::new();
    let (_runtime, simulator) = picky();
    let (program, vault) = (helper(&machine), machine.home().join("vault"));
    std::fs::write(&vault, format!("{OLD}\n")).unwrap();
    // Nobody reads its log before it ends, and there are many refusals.
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0", "--log-level", "error"]);
    command
        .env("ANTHROPIC_BASE_URL", simulator.base_url())
        .env("CLAUDE_AGENT__API__API_KEY_COMMAND", words(&program))
        .env("CLAUDE_AGENT__SECURITY__RATE_LIMIT_REQUESTS_PER_MINUTE", "0");
    let daemon = Daemon::start_command(&machine, command);
    std::fs::write(&vault, format!("{NEW}\n")).unwrap();
    daemon.post("/v1/messages", &question("hello")).expect(401);
    wait_until("another key was asked for", || {
        daemon.post("/v1/messages", &question("hello")).status == 200
    });
    let asked = std::fs::read_to_string(machine.home().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 2, "not for every request");
    std::fs::remove_file(&vault).unwrap();
    daemon.post("/v1/messages", &question("hello")).expect(200);
    daemon.signal("TERM");
    let output = daemon.output();
    expect_code(&output, 0);
    let audit = expect_code(&finish(&mut machine.command(&["audit", "show"])), 0);
    assert!(
        audit.contains("act=API key renewed  subject=asked  by=API"),
        "{audit}"
    );
    nothing_shows(&machine, &[&output]);
}

#[test]
fn a_program_that_gives_no_api_key_is_told_without_showing_what_it_printed() {
    let machine = Machine::new();
    let (_runtime, simulator) = picky();
    let program = helper(&machine);
    let vault = machine.home().join("vault");
    let run = |words: &str| {
        let mut command = machine.command(&["run", "hello"]);
        command
            .env("ANTHROPIC_BASE_URL", simulator.base_url())
            .env("CLAUDE_AGENT__API__API_KEY_COMMAND", words);
        finish(&mut command)
    };
    std::fs::write(&vault, format!("{NEW} {NEW}")).unwrap();
    let two_words = run(&words(&program));
    std::fs::write(&vault, NEW).unwrap();
    let good = run(&words(&program));
    let asked = machine.home().join("asked");
    std::fs::remove_file(&asked).unwrap();
    let mut list = machine.command(&["keys", "list"]);
    let list = finish(list.env("CLAUDE_AGENT__API__API_KEY_COMMAND", words(&program)));
    let listed = expect_code(&list, 0);
    assert!(
        listed.contains("(asked)") && listed.contains("ask-vault"),
        "{listed}"
    );
    assert!(!asked.exists(), "a list asks nobody");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    let open_to_all = run(&words(&program));
    let no_path = run("[\"ask-vault\"]");
    let gone = run("[\"/nowhere/ask-vault\"]");
    // A project's file is no place for a program that is run.
    machine.write(
        ".claude-agent/config.toml",
        format!("[api]\napi_key_command = {}\n", words(&program)),
    );
    let project = finish(
        machine
            .command(&["config", "check"])
            .env("CLAUDE_AGENT__API__MODEL", "x"),
    );
    expect_code(&good, 0);
    for (output, code, expected) in [
        (&two_words, 8, "characters in it that no key has"),
        (&open_to_all, 8, "chmod go-w"),
        (&no_path, 8, "is not an absolute path"),
        (&gone, 8, "does not exist"),
    ] {
        expect_code(output, code);
        assert!(stderr(output).contains(expected), "{}", stderr(output));
    }
    let told = format!("{}{}", stdout(&project), stderr(&project));
    assert!(told.contains("may not be set by a project's file"), "{told}");
    nothing_shows(
        &machine,
        &[&two_words, &good, &open_to_all, &no_path, &gone, &project],
    );
}

/// No output and no file but the one for keys has a key in it.
fn nothing_shows(machine: &Machine, outputs: &[&Output]) {
    let canary = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        [OLD, NEW, LATE].iter().any(|key| text.contains(key))
    };
    for output in outputs {
        assert!(!canary(&output.stdout) && !canary(&output.stderr), "{output:?}");
    }
    let mut folders = vec![machine.data(), machine.home(), machine.workspace()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("keys.json") && !path.ends_with("vault") {
                assert!(!canary(&std::fs::read(&path).unwrap()), "{}", path.display());
            }
        }
    }
}
