//! Running a client's script and keeping what it saw.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use agent_simulator::ReceivedRequest;
use serde_json::Value;

use super::rig::{Rig, repository};
use crate::support::DEADLINE;

/// The case after which the daemon must not go on asking upstream, with the client still running.
const CANCEL: &str = "cancel";
const POLL: Duration = Duration::from_millis(10);

/// What a client saw, and what the simulator behind the daemon saw of it.
#[derive(Debug)]
pub(crate) struct Run {
    cases: BTreeMap<String, Value>,
    pub(crate) requests: Vec<ReceivedRequest>,
    /// After `cancel`: whether the simulator was left alone while the client went on running.
    pub(crate) cancelled_upstream: bool,
    /// Whether it wanted to reach other hosts.
    pub(crate) strayed: bool,
}

impl Run {
    pub(crate) fn case(&self, name: &str) -> &Value {
        self.cases
            .get(name)
            .unwrap_or_else(|| panic!("the client said nothing about {name}: {:?}", self.cases.keys()))
    }

    /// The requests that arrived upstream with this in their body.
    pub(crate) fn upstream(&self, part: &str) -> Vec<&ReceivedRequest> {
        let holds = |request: &&ReceivedRequest| String::from_utf8_lossy(&request.body).contains(part);
        self.requests.iter().filter(holds).collect()
    }
}

/// A client that runs once, with a daemon and a simulator of its own, for all tests that look at it.
pub(crate) struct Client {
    script: fn(&Rig) -> Result<Command, String>,
    /// Names of cases, several in a text.
    cases: &'static [&'static str],
    run: OnceLock<Result<Run, String>>,
}

impl Client {
    pub(crate) const fn new(
        script: fn(&Rig) -> Result<Command, String>,
        cases: &'static [&'static str],
    ) -> Self {
        Self {
            script,
            cases,
            run: OnceLock::new(),
        }
    }

    pub(crate) fn seen(&self) -> &Run {
        let once = || {
            let rig = Rig::start(&[]);
            let cases: Vec<&str> = self
                .cases
                .iter()
                .flat_map(|names| names.split_whitespace())
                .collect();
            run(&rig, (self.script)(&rig)?, &cases)
        };
        self.run
            .get_or_init(once)
            .as_ref()
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The interpreter of a Python environment.
pub(crate) fn python(environment: &str) -> Result<PathBuf, String> {
    Ok(installed(environment)?.join("bin/python"))
}

/// The modules of a Node environment.
pub(crate) fn modules(environment: &str) -> Result<PathBuf, String> {
    Ok(installed(environment)?.join("node_modules"))
}

/// A folder that `cargo xtask test` made from the requirements as they are now.
fn installed(environment: &str) -> Result<PathBuf, String> {
    let root = repository();
    let folder = root.join("target/clients").join(environment);
    let wanted = root.join("fixtures/clients").join(environment);
    let requirements: String = ["requirements.txt", "package.json", "package-lock.json"]
        .iter()
        .filter_map(|name| std::fs::read_to_string(wanted.join(name)).ok())
        .collect();
    match std::fs::read_to_string(folder.join("made-from")) {
        Ok(made_from) if made_from == requirements => Ok(folder),
        Ok(_) => Err(format!(
            "target/clients/{environment} was made from other requirements: run `cargo xtask setup`, which makes it anew"
        )),
        Err(_) => Err(format!(
            "target/clients/{environment} is missing: run `cargo xtask setup`, which installs the clients that these tests \
             run (`cargo xtask test` does so by itself)"
        )),
    }
}

/// Where the scripts lie.
pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("fixtures/clients/scripts").join(name)
}

/// A Python script as a command.
pub(crate) fn python_script(rig: &Rig, environment: &str, name: &str) -> Result<Command, String> {
    let mut command = rig.command(python(environment)?);
    command.arg(script(name));
    Ok(command)
}

/// A Node script as a command. Modules are looked for beside the script, so it runs from a folder that links to them.
pub(crate) fn node_script(rig: &Rig, environment: &str, name: &str) -> Result<Command, String> {
    let modules = modules(environment)?;
    let folder = rig.machine.home().join("node");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(modules.canonicalize().unwrap(), folder.join("node_modules")).unwrap();
    for file in [name, "report.mjs"] {
        std::fs::copy(script(file), folder.join(file)).unwrap();
    }
    let mut command = rig.command(Path::new("node"));
    command.arg(folder.join(name));
    Ok(command)
}

/// Runs the script with these cases to its end.
pub(crate) fn run(rig: &Rig, mut command: Command, cases: &[&str]) -> Result<Run, String> {
    let mut child = command
        .args(cases)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!("{command:?}: {error}; `cargo xtask setup` installs what these tests run")
        })?;
    let open = child.stdin.take();
    let output = child.stdout.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let (sender, lines) = sync_channel(cases.len());
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).ok();
        text
    });
    let begun = Instant::now();
    let mut seen = BTreeMap::new();
    let mut cancelled_upstream = false;
    while seen.len() < cases.len() {
        match lines.recv_timeout(DEADLINE.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                let value: Value = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
                let name = value["case"].as_str().unwrap_or_default().to_owned();
                if name == CANCEL {
                    cancelled_upstream = is_left_alone(rig);
                }
                seen.insert(name, value);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().ok();
                break;
            }
        }
    }
    drop(open);
    let status = child.wait().unwrap();
    reader.join().unwrap();
    let complaints = complaints.join().unwrap();
    if seen.len() < cases.len() {
        return Err(format!(
            "{command:?} ended early ({status}) after {:?}: {complaints}",
            seen.keys()
        ));
    }
    Ok(Run {
        cases: seen,
        requests: rig.simulator.requests(),
        cancelled_upstream,
        strayed: rig.strayed(),
    })
}

fn is_left_alone(rig: &Rig) -> bool {
    let begun = Instant::now();
    while rig.simulator.answers_in_flight() > 0 {
        if begun.elapsed() > DEADLINE / 3 {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}
