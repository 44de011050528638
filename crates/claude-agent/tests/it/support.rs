//! A machine of its own for each test: folders, a simulator, and the command with nothing inherited.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far above what any run here takes, far below the patience of CI.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Part of every secret that tests give to the command. `cargo xtask test` looks for it in every file that the command writes, [`finish`] in what it
/// prints.
const PLANTED: &str = "never-printed";

/// A home and a workspace that nobody else uses.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work", "data"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.workspace().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.workspace().join(name)).unwrap()
    }

    /// `claude-agent` with this machine's folders and an environment of nothing else.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let data = self.data();
        let mut all = vec!["--data-dir", data.to_str().unwrap()];
        all.extend(arguments);
        self.plain_command(&all)
    }

    /// The same without a data folder on the command line.
    pub(crate) fn plain_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-agent"));
        self.furnish(&mut command).args(arguments);
        command
    }

    /// Gives a command this machine's environment and nothing else.
    pub(crate) fn furnish<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("LANG", "C.UTF-8")
            .current_dir(self.workspace())
            .stdin(Stdio::null())
    }

    /// The same, talking to a simulator.
    pub(crate) fn against(&self, simulator: &Simulator, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command
            .env("ANTHROPIC_BASE_URL", &simulator.url)
            .env("ANTHROPIC_API_KEY", "test-key-never-printed");
        command
    }
}

/// `claude-agent simulate` on a free port, ended when dropped.
pub(crate) struct Simulator {
    child: Child,
    pub(crate) url: String,
}

impl Simulator {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", arguments)
    }

    /// On this address instead of a free port.
    pub(crate) fn start_on(address: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_claude-agent"))
            .args(["simulate", "--quiet", "--listen", address])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .next()
            .expect("the simulator says where it listens")
            .unwrap();
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect(&line)
            .to_owned();
        Self { child, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs to the end, or fails when that takes longer than [`DEADLINE`]: nothing may hang.
pub(crate) fn finish(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    finish_child(child)
}

pub(crate) fn finish_child(child: Child) -> Output {
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let waiter = std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status()
            .unwrap();
        panic!("still running after {DEADLINE:?}");
    };
    waiter.join().unwrap().unwrap();
    for (stream, printed) in [("output", &output.stdout), ("errors", &output.stderr)] {
        let printed = String::from_utf8_lossy(printed);
        assert!(
            !printed.contains(PLANTED),
            "a planted secret on standard {stream}: {printed}"
        );
    }
    output
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output, and a failure that shows everything when the exit code is another.
pub(crate) fn expect_code(output: &Output, code: i32) -> String {
    assert_eq!(
        output.status.code(),
        Some(code),
        "\nstdout: {}\nstderr: {}",
        stdout(output),
        stderr(output)
    );
    stdout(output)
}

/// The events of a `stream-json` run.
pub(crate) fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

pub(crate) fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// Waits until the condition holds, looking often; fails when it never does.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The command without root's right to pass by permissions. None when this is root and there is no way to give that up.
pub(crate) fn unprivileged(command: Command) -> Option<Command> {
    /// Effective user id, the first number after the real one.
    fn is_root() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        ids.split_whitespace().nth(1) == Some("0")
    }
    if !is_root() {
        return Some(command);
    }
    const RIGHTS: &str = "-dac_override,-dac_read_search";
    let without = ["--inh-caps", RIGHTS, "--bounding-set", RIGHTS];
    let works = Command::new("setpriv")
        .args(without)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(without)
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    Some(wrapped)
}
