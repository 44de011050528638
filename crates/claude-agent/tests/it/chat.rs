//! `claude-agent chat` in a real terminal: tmux types the keys and reads the screen.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::{Duration, Instant};

use crate::support::{Machine, Simulator, exists, wait_until};

/// A terminal of its own server, ended when dropped.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(machine: &Machine, simulator: &Simulator, flags: &str) -> Self {
        let terminal = Self::open(machine, simulator, &format!("chat {flags}"));
        terminal.wait_for("ask for something");
        terminal
    }

    /// A terminal in which the program runs with these arguments, and says how it ended.
    pub(crate) fn open(machine: &Machine, simulator: &Simulator, arguments: &str) -> Self {
        // A server that is ending still holds its socket, so each has its own.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tmux-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let socket = machine.home().join(name).to_str().unwrap().to_owned();
        let terminal = Self { socket };
        let command = format!(
            "trap '' INT; env -i PATH='{}' HOME='{}' LANG=C.UTF-8 TERM=screen-256color ANTHROPIC_BASE_URL={} ANTHROPIC_API_KEY=k \
             '{}' --data-dir '{}' {arguments}; echo CHAT-EXIT-$?; sleep 60",
            std::env::var("PATH").unwrap(),
            machine.home().display(),
            simulator.url,
            env!("CARGO_BIN_EXE_claude-agent"),
            machine.data().display(),
        );
        let workspace = machine.workspace();
        let new_session = [
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "30",
            "-c",
            workspace.to_str().unwrap(),
            &command,
        ];
        terminal.tmux(&new_session);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .env("LANG", "C.UTF-8")
            .args(["-u", "-S", &self.socket])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn send(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn key(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    /// The screen and all that scrolled off it.
    pub(crate) fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// The screen alone.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits for a question, and until it takes an answer.
    fn wait_for_question(&self) {
        self.wait_for("[y] once");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }

    pub(crate) fn wait_for(&self, text: &str) {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(text, || {
                last = self.text();
                last.contains(text)
            });
        }));
        assert!(found.is_ok(), "{text:?} never appeared:\n{}", self.text());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        Command::new("tmux")
            .args(["-S", &self.socket, "kill-server"])
            .output()
            .ok();
    }
}

#[test]
fn a_question_is_answered_with_tools_and_the_picture_is_clean() {
    let machine = Machine::new();
    machine.write("notes.txt", "the answer is forty-two\n");
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "");
    terminal.send("Read notes.txt");
    terminal.key("Enter");
    terminal.wait_for("forty-two");
    terminal.wait_for("ask for something");
    let text = terminal.text();
    assert_eq!(
        text.matches("❯ Read notes.txt").count(),
        1,
        "the prompt stands there once:\n{text}"
    );
    assert_eq!(
        text.matches("ask for something").count(),
        1,
        "no remains of earlier frames:\n{text}"
    );
    terminal.key("C-d");
    terminal.wait_for("CHAT-EXIT-0");
    assert!(
        terminal.text().contains("--session"),
        "it says how to go on:\n{}",
        terminal.text()
    );
}

#[test]
fn an_edit_asks_first_and_is_done_after_yes() {
    let machine = Machine::new();
    machine.write("hello.txt", "Helo\n");
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "");
    terminal.send("Replace 'Helo' with 'Hello' in hello.txt");
    terminal.key("Enter");
    terminal.wait_for_question();
    assert_eq!(
        machine.read("hello.txt"),
        "Helo\n",
        "nothing is done before the answer"
    );
    assert!(
        terminal.text().contains("+Hello"),
        "the diff is shown:\n{}",
        terminal.text()
    );
    terminal.key("y");
    wait_until("the edit", || machine.read("hello.txt") == "Hello\n");
    terminal.wait_for("ask for something");
}

/// Between two keys of somebody who types on: well below the pause after which a key counts as an answer.
const TYPING: Duration = Duration::from_millis(250);

#[test]
fn what_was_being_typed_when_a_question_came_up_is_no_answer() {
    // Where the machine is too busy to type without a pause, a key may rightly be an answer, and the attempt shows nothing.
    assert!(
        (0..10).any(|_| types_into_a_question()),
        "no attempt typed without a pause"
    );
}

/// Whether it was typed without a pause, so that what came of it counts.
fn types_into_a_question() -> bool {
    let machine = Machine::new();
    let simulator = Simulator::start(&["--fault", "latency=fixed:700ms"]);
    let terminal = Terminal::start(&machine, &simulator, "");
    terminal.send("Run `touch made-it`");
    terminal.key("Enter");
    let mut longest = Duration::ZERO;
    // Typed all the time, until well after the question is there.
    for _ in 0..15 {
        let begun = Instant::now();
        terminal.send("y");
        std::thread::sleep(Duration::from_millis(60));
        longest = longest.max(begun.elapsed());
    }
    if longest > TYPING {
        return false;
    }
    let early = exists(&machine.workspace().join("made-it"));
    terminal.wait_for("[y] once");
    assert!(!early && !exists(&machine.workspace().join("made-it")));
    true
}

#[test]
fn no_means_no() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "");
    terminal.send("Run `touch made-it`");
    terminal.key("Enter");
    terminal.wait_for_question();
    terminal.key("n");
    terminal.wait_for("ask for something");
    assert!(!exists(&machine.workspace().join("made-it")));
}

#[test]
fn ctrl_c_stops_the_answer_and_twice_quits() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "--permission-mode policy");
    terminal.send("Run `sleep 30`");
    terminal.key("Enter");
    terminal.wait_for("working");
    terminal.key("C-c");
    terminal.wait_for("stopped; what was done so far is kept");
    terminal.wait_for("ask for something");
    terminal.key("C-c");
    terminal.key("C-c");
    terminal.wait_for("CHAT-EXIT-0");
}

#[test]
fn one_ctrl_c_on_an_idle_line_only_clears_it() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "");
    terminal.send("half a thou");
    terminal.wait_for("half a thou");
    terminal.key("C-c");
    terminal.wait_for("Ctrl-C again quits");
    terminal.wait_for("ask for something");
    terminal.key("C-c");
    terminal.wait_for("CHAT-EXIT-0");
}

#[test]
fn what_is_typed_while_it_works_steers_it() {
    let machine = Machine::new();
    machine.write("notes.txt", "the answer is forty-two\n");
    let simulator = Simulator::start(&[]);
    let terminal = Terminal::start(&machine, &simulator, "--permission-mode policy");
    terminal.send("Run `sleep 2`");
    terminal.key("Enter");
    terminal.wait_for("type to steer");
    terminal.send("Read notes.txt");
    terminal.key("Enter");
    terminal.wait_for("forty-two");
}

#[test]
fn the_history_comes_back_in_the_next_chat() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let first = Terminal::start(&machine, &simulator, "");
    first.send("Look around");
    first.key("Enter");
    first.wait_for("❯ Look around");
    first.wait_for("ask for something");
    first.key("C-d");
    first.wait_for("CHAT-EXIT-0");
    drop(first);
    let second = Terminal::start(&machine, &simulator, "");
    second.key("Up");
    second.wait_for("❯ Look around");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let machine = Machine::new();
    let output = crate::support::finish(&mut machine.command(&["chat"]));
    crate::support::expect_code(&output, 2);
    assert!(crate::support::stderr(&output).contains("claude-agent run"));
}
