//! What the tests share: temporary stores, messages, and this binary run again as another process.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use agent_claude::messages::{Role, Usage};
use agent_core::session::{Context, NewMessage, NewSession, SessionId, SessionStore};
use serde_json::value::RawValue;

/// Tells a test of ours that it is the child, and on which store.
const CHILD: &str = "SESSION_STORE_TEST_CHILD";

pub(crate) struct TempStore {
    pub(crate) folder: tempfile::TempDir,
}

impl TempStore {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    pub(crate) fn open(&self) -> SessionStore {
        SessionStore::open(self.path()).expect("the store opens")
    }
}

pub(crate) fn new_session(title: &str) -> NewSession {
    NewSession {
        workspace: "/repo/space".into(),
        model: "some-model".into(),
        title: Some(title.into()),
    }
}

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("valid JSON")
}

pub(crate) fn message(role: Role, json: &str) -> NewMessage {
    NewMessage {
        role,
        content: raw(json),
        usage: None,
        cost_usd: None,
    }
}

pub(crate) fn user(text: &str) -> NewMessage {
    message(Role::User, &serde_json::Value::from(text).to_string())
}

pub(crate) fn assistant(text: &str) -> NewMessage {
    message(
        Role::Assistant,
        &serde_json::json!([{"type": "text", "text": text}]).to_string(),
    )
}

pub(crate) fn paid(text: &str, input: u64, output: u64, cost_usd: Option<f64>) -> NewMessage {
    let usage = Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        ..Usage::default()
    };
    NewMessage {
        usage: Some(usage),
        cost_usd,
        ..assistant(text)
    }
}

/// The contents of a context's messages, as their bytes.
pub(crate) fn contents(context: &Context) -> Vec<String> {
    context
        .messages
        .iter()
        .map(|message| message.content.get().to_owned())
        .collect()
}

/// The store's path if this process was started by [`child`].
#[expect(
    clippy::disallowed_methods,
    reason = "a child of the test gets its orders this way"
)]
pub(crate) fn order() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// A line for the parent. `println!` would be held back by the test harness.
pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "tell {line}")
        .and_then(|()| out.flush())
        .expect("the parent reads");
}

/// This binary again, running one test of it.
pub(crate) struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test needs another process, and ends it itself"
    )]
    pub(crate) fn start(test: &str, store: &Path) -> Self {
        let program = std::env::current_exe().expect("a test knows its binary");
        let mut command = Command::new(program);
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, store);
        Self::spawn(command)
    }

    /// The same after `setup` ran in a mount namespace of its own, with `"$1"` for the store's folder.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test needs another process, and ends it itself"
    )]
    pub(crate) fn start_in_namespace(test: &str, store: &Path, setup: &str) -> Self {
        let program = std::env::current_exe().expect("a test knows its binary");
        let run = "exec \"$2\" --exact \"$3\" --nocapture --test-threads=1";
        let mut command = Command::new("unshare");
        command.args([
            "-Urm",
            "sh",
            "-c",
            &format!("{setup} && echo 'tell mounted' && {run}"),
            "sh",
        ]);
        command
            .arg(store.parent().expect("a folder"))
            .arg(program)
            .arg(test)
            .env(CHILD, store);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the child told next; `None` when it has ended.
    pub(crate) fn next(&mut self) -> Option<String> {
        // The harness writes `test name ... ` without a line end before the first of ours.
        self.lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, told) = line.split_once("tell ")?;
            Some(told.to_owned())
        })
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    pub(crate) fn succeeded(&mut self) -> bool {
        self.child.wait().expect("it can be waited for").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) async fn make(store: &SessionStore, title: &str) -> SessionId {
    store.create(new_session(title)).await.expect("a session is made")
}
