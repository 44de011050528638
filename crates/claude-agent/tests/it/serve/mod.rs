//! `claude-agent serve`: the daemon as its clients and its operator meet it.

mod audited;
mod crashes;
mod ends;
mod health;
#[cfg(target_os = "linux")]
mod keyring;
mod keys;
mod observed;
mod page;
mod reload;
mod replicas;
mod signing;
mod start;
mod tasks;
mod telemetry;
mod tls;
mod wire;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{DEADLINE, Machine, Simulator, finish_child, wait_until};
use wire::{Answer, Request};

/// A daemon of this test's own, killed when dropped.
struct Daemon {
    child: Option<Child>,
    url: String,
    data: PathBuf,
}

impl Daemon {
    /// On a free port, in front of the simulator.
    fn start(machine: &Machine, simulator: &Simulator) -> Self {
        Self::start_with(machine, simulator, &[])
    }

    /// The same with `CLAUDE_AGENT__` variables, given without that prefix.
    fn start_with(machine: &Machine, simulator: &Simulator, variables: &[(&str, &str)]) -> Self {
        Self::start_command(machine, command(machine, simulator, variables))
    }

    fn start_command(machine: &Machine, mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("it did not start: {line}{said}");
        };
        Self {
            child: Some(child),
            url,
            data: machine.data(),
        }
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data.join("token")).unwrap();
        text.trim().to_owned()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn connect_unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.data.join("claude-agent.sock")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// A request of somebody who holds the token.
    fn request(&self, method: &str, path: &str) -> Request {
        self.stranger(method, path)
            .header("authorization", &format!("Bearer {}", self.token()))
    }

    /// A request of somebody who does not.
    fn stranger(&self, method: &str, path: &str) -> Request {
        Request::new(method, path)
            .header("host", self.address())
            .header("anthropic-version", "2023-06-01")
    }

    fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send(self.connect())
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).send(self.connect())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, within the deadline of all tests.
    fn output(mut self) -> Output {
        finish_child(self.child.take().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// `serve` on a free port, in front of the simulator, with `CLAUDE_AGENT__` variables given without that prefix.
fn command(machine: &Machine, simulator: &Simulator, variables: &[(&str, &str)]) -> Command {
    command_on("127.0.0.1:0", machine, simulator, variables)
}

/// The same on another address.
fn command_on(listen: &str, machine: &Machine, simulator: &Simulator, variables: &[(&str, &str)]) -> Command {
    let mut command = machine.against(simulator, &["serve", "--listen", listen]);
    // Its questions to the API would stand among those that tests count; `health` switches it on.
    command.env("CLAUDE_AGENT__MONITORING__ENABLE_HEALTH_CHECKS", "false");
    for (name, value) in variables {
        command.env(format!("CLAUDE_AGENT__{name}"), value);
    }
    command
}

/// A question for `/v1/messages`.
fn question(text: &str) -> Value {
    serde_json::json!({
        "model": "claude-opus-5-5",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": text}],
    })
}

/// The number of the process that has the socket's folder, once it listens.
fn wait_for_socket(daemon: &Daemon) {
    let socket = daemon.data.join("claude-agent.sock");
    wait_until("the socket", || UnixStream::connect(&socket).is_ok());
}
