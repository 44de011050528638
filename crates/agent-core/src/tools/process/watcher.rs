//! Kills a command's group when the agent is gone.
//!
//! The kernel's parent-death signal reaches only the direct child, and setting it needs unsafe code. This reaches
//! the whole group and works on every Unix: a shell waits on a pipe of which only the agent holds the other end.
//! However the agent ends, the kernel closes that end.

use std::io::{self, PipeWriter, Write as _};
use std::process::Stdio;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::Pid;
use tokio::process::Command;

/// The first line names the group; a second never comes, so the next `read` ends with the agent.
const SCRIPT: &str = r#"read -r group || exit 0; read -r _; kill -s KILL -- "-$group""#;

/// Best effort: without it a command runs all the same, and only outlives an agent that is killed.
pub(super) struct Watcher {
    running: Option<Running>,
}

/// Killed on drop before its pipe is closed, so that it never acts while the agent lives.
struct Running {
    child: Box<dyn ChildWrapper>,
    lifeline: PipeWriter,
}

impl Watcher {
    /// Starts before the group it will watch, so that the group is watched from its first moment.
    pub(super) fn start() -> Self {
        Self {
            running: start().ok(),
        }
    }

    /// Names the group to kill.
    pub(super) fn watch(&mut self, group: Pid) {
        if let Some(running) = &mut self.running {
            // Failing means that the watcher is gone: see above. A line this short never waits for the reader.
            let _unwatched = writeln!(running.lifeline, "{}", group.as_raw_nonzero());
        }
    }

    /// Ends the watcher and reaps it.
    pub(super) async fn stop(mut self) {
        if let Some(running) = &mut self.running {
            running.kill();
            // A killed shell ends at once; if it can't be waited for, the runtime reaps it later.
            drop(running.child.inner_mut().wait().await);
        }
    }
}

fn start() -> io::Result<Running> {
    // Both ends close on exec, so no other child keeps the lifeline alive.
    let (reader, lifeline) = io::pipe()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "part of the module that the lint points to"
    )]
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "claude-agent-watcher"])
        .env_clear()
        .current_dir("/")
        .stdin(reader)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut command = CommandWrap::from(command);
    // Its own session: signals to the agent's terminal or group must not end it first.
    command.wrap(ProcessSession);
    Ok(Running {
        child: command.spawn()?,
        lifeline,
    })
}

impl Running {
    fn kill(&mut self) {
        // Failing means that it is gone already.
        drop(self.child.inner_mut().start_kill());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
