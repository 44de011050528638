//! Questions of `run` and `sessions` at a terminal. `script` gives the command a terminal and passes on what is typed.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::{Machine, Simulator, exists, expect_code, finish, wait_until};

/// A command with a person in front of it.
struct Seat {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Seat {
    fn take(machine: &Machine, simulator: &Simulator, arguments: &str) -> Self {
        let line = format!(
            "'{}' --data-dir '{}' {arguments}",
            env!("CARGO_BIN_EXE_claude-agent"),
            machine.data().display()
        );
        let mut command = Command::new("script");
        machine.furnish(&mut command);
        let mut child = command
            .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
            .env("ANTHROPIC_BASE_URL", &simulator.url)
            .env("ANTHROPIC_API_KEY", "k")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let mut output = child.stdout.take().unwrap();
        let reader = std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut block = [0; 4096];
                while let Ok(read @ 1..) = output.read(&mut block) {
                    screen.lock().unwrap().extend_from_slice(&block[..read]);
                }
            }
        });
        Self {
            keys: child.stdin.take().unwrap(),
            child,
            screen,
            reader,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.text().contains(text));
    }

    fn type_line(&mut self, text: &str) {
        writeln!(self.keys, "{text}").unwrap();
    }

    /// Everything that was shown, and the exit code.
    fn end(self) -> (String, Option<i32>) {
        let Self {
            mut child,
            keys,
            screen,
            reader,
        } = self;
        let mut status = None;
        wait_until("the command ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        drop(keys);
        reader.join().unwrap();
        let text = String::from_utf8_lossy(&screen.lock().unwrap()).into_owned();
        (text, status.unwrap().code())
    }
}

/// A change is asked for; what is typed then decides whether it is done. Gives what the terminal showed.
fn asked(keys: &[u8], content: &str) -> String {
    let machine = Machine::new();
    machine.write("hello.txt", "Helo\n");
    let simulator = Simulator::start(&[]);
    let mut seat = Seat::take(
        &machine,
        &simulator,
        "run \"Replace 'Helo' with 'Hello' in hello.txt\"",
    );
    seat.wait_for("[y] once");
    assert!(
        seat.text().contains("+Hello"),
        "the change is shown: {}",
        seat.text()
    );
    assert_eq!(
        machine.read("hello.txt"),
        "Helo\n",
        "nothing is done before the answer"
    );
    seat.keys.write_all(keys).unwrap();
    let (text, ended) = seat.end();
    assert_eq!(machine.read("hello.txt"), content, "{text}");
    // A person's own no is no failure of the run.
    assert_eq!(ended, Some(0), "{text}");
    text
}

#[test]
fn a_run_at_a_terminal_asks_before_it_writes_and_does_as_it_is_told() {
    asked(b"y\n", "Hello\n");
    asked(b"n\n", "Helo\n");
    let text = asked(b"what?\ny\n", "Hello\n");
    assert!(text.contains("Please answer"), "{text}");
}

#[test]
fn always_is_asked_once() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    let mut seat = Seat::take(
        &machine,
        &simulator,
        "run 'Run `touch made`, then run `touch made`'",
    );
    seat.wait_for("[y] once");
    seat.type_line("a");
    let (text, ended) = seat.end();
    assert_eq!(ended, Some(0), "{text}");
    assert_eq!(text.matches("[y] once").count(), 1, "{text}");
    assert!(exists(&machine.workspace().join("made")));
}

#[test]
fn the_end_of_input_is_a_no() {
    // Ctrl-D
    asked(b"\x04", "Helo\n");
}

/// The text without styles.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
            .get(1..)
            .unwrap_or("")
    })
}

/// `script` gives a terminal of 0 columns when it has none itself, as do `docker exec -t` and some CI systems.
#[test]
fn a_terminal_that_does_not_tell_its_width_is_taken_for_an_ordinary_one() {
    let machine = Machine::new();
    let fact = "the canary sings at dawn and the owl listens until it is noon";
    machine.write("answers.toml", format!("[[steps]]\ntext = \"{fact}\"\n"));
    let simulator = Simulator::start(&[
        "--scenario",
        machine.workspace().join("answers.toml").to_str().unwrap(),
    ]);
    let (text, ended) = Seat::take(&machine, &simulator, "run 'Tell me'").end();
    assert_eq!(ended, Some(0), "{text}");
    assert!(plain(&text).contains(fact), "one line: {:?}", plain(&text));
}

#[test]
fn what_a_file_holds_cannot_command_the_terminal() {
    let machine = Machine::new();
    machine.write("evil.txt", "\x1b]0;owned\x07 \x1b[2J text \u{202e}txet\n");
    let simulator = Simulator::start(&[]);
    let (text, ended) = Seat::take(&machine, &simulator, "run 'Read evil.txt'").end();
    assert_eq!(ended, Some(0), "{text}");
    assert!(text.contains("]0;owned"), "the text is shown: {text:?}");
    for hidden in ["\x1b]0", "\x07", "\x1b[2J", "\u{202e}"] {
        assert!(
            !text.contains(hidden),
            "{hidden:?} reached the terminal: {text:?}"
        );
    }
}

#[test]
fn deleting_a_session_asks_and_only_yes_deletes() {
    let machine = Machine::new();
    let simulator = Simulator::start(&[]);
    expect_code(
        &finish(&mut machine.against(&simulator, &["run", "Look around"])),
        0,
    );
    let list = || {
        expect_code(
            &finish(&mut machine.command(&["sessions", "list", "--output", "json"])),
            0,
        )
    };
    let sessions: serde_json::Value = serde_json::from_str(&list()).unwrap();
    let id = sessions[0]["id"].as_str().unwrap();
    for (answer, left) in [("n", true), ("", true), ("maybe", true), ("y", false)] {
        let mut seat = Seat::take(&machine, &simulator, &format!("sessions delete {id}"));
        seat.wait_for("[y/N]");
        seat.type_line(answer);
        let (text, ended) = seat.end();
        assert_eq!(ended, Some(0), "{text}");
        assert_eq!(list().contains(id), left, "{answer:?}: {text}");
    }
}
