//! Bad input of every kind: an error that says what, where and what to do; what was stored stays, and the session goes on.

mod arguments;
mod configuration;
mod disk;
mod files;
mod store;

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Machine, Simulator, events, expect_code, finish, stderr, stdout};

/// A run with its events, its session and how the answer ended.
struct Run {
    events: Vec<Value>,
    session: String,
}

impl Run {
    /// A run that ends as done, whatever its tools met.
    fn done(machine: &Machine, simulator: &Simulator, task: &str) -> Self {
        let output =
            finish(&mut machine.against(simulator, &["run", "--output-format", "stream-json", task]));
        Self::of(&expect_code(&output, 0))
    }

    fn of(text: &str) -> Self {
        let events = events(text);
        let session = events.first().expect("a run has events")["session_id"]
            .as_str()
            .unwrap()
            .to_owned();
        Self { events, session }
    }

    /// The result of each tool of this name.
    fn results(&self, tool: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter(|event| event["type"] == "tool_finished" && event["name"] == tool)
            .collect()
    }

    fn acknowledged(&self) -> usize {
        self.events
            .iter()
            .filter(|event| event["type"] == "message_stored")
            .count()
    }
}

/// The session takes another task, and everything that was acknowledged is in it.
fn goes_on(machine: &Machine, simulator: &Simulator, session: &str, acknowledged: usize) {
    let output =
        finish(&mut machine.against(simulator, &["run", "--session", session, "Run `echo goes-on`"]));
    assert!(expect_code(&output, 0).contains("goes-on"), "{}", stdout(&output));
    let shown = finish(&mut machine.command(&["sessions", "show", session, "--output", "json"]));
    let shown: Value = serde_json::from_str(&expect_code(&shown, 0)).unwrap();
    assert!(shown["messages"].as_array().unwrap().len() > acknowledged);
}

/// Fails with this code, without a panic, and says all of these on standard error.
fn refused(command: &mut Command, code: i32, parts: &[&str]) -> Output {
    let output = finish(command);
    expect_code(&output, code);
    let told = stderr(&output);
    assert!(!told.contains("panicked"), "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    output
}
