//! API keys while the daemon runs: refused, rotated, added, never shown.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Output, Stdio};

use agent_config::Secret;
use agent_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Daemon, question};
use crate::support::{Machine, expect_code, finish, finish_child, stderr, stdout, wait_until};

const OLD: &str = "opaque-canary-old-0123456789";
const NEW: &str = "opaque-canary-new-0123456789";
const LATE: &str = "opaque-canary-late-0123456789";

/// A simulator that refuses the first key.
fn picky() -> (Runtime, Simulator) {
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
            } else if path.is_file() && !path.ends_with("keys.json") {
                assert!(!canary(&std::fs::read(&path).unwrap()), "{}", path.display());
            }
        }
    }
}
