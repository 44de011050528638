//! Runs a child and everything it starts as one group that ends with the call: the only place where the agent
//! starts programs.
//!
//! The child leads a session of its own: no terminal to ask passwords on, and one signal reaches all of its
//! descendants but those that made themselves a session, too. Those are not killed, yet they hold nothing up.
//! While the child runs, a watcher waits for the agent's end; if the agent is killed, the watcher kills the group.

mod group;
mod secret;
mod watcher;

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use agent_performance::memory::{MemoryPool, PooledBuffer};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::children::{Child, Children};
use super::live::Pacer;
use super::{Bounded, HeadTail, LiveOutput};
use group::Group;
pub use secret::{SecretCommand, SecretCommandError};
use watcher::Watcher;

/// From the polite signal to the one that can't be refused: enough to flush files and remove locks.
const GRACE: Duration = Duration::from_secs(2);
/// How long output is still read after the child itself has ended. What it wrote is in the pipe already; only
/// processes it left behind can write more.
const DRAIN: Duration = Duration::from_millis(300);
/// How long the kernel may take to end a killed process. Only one that hangs in a file system takes longer.
const DYING: Duration = Duration::from_secs(5);
/// Holds the program back until its watcher knows its group: an agent killed in between would leave it behind. The end
/// of the gate without a line is the agent's end. What is started takes the place of this shell and its number.
const GATE: &str = r#"read -r _ || exit 1; exec "$0" "$@" </dev/null"#;
/// Bytes read at once; the size of a pipe on Linux.
const BLOCK: usize = 64 * 1024;

/// What to run.
pub(super) struct Spec<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: &'a [&'a str],
    pub(super) folder: &'a Path,
    /// The whole environment of the child.
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) max_output: usize,
    /// Where it is written down while it lives.
    pub(super) children: &'a Children,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) how: End,
    /// Standard output and standard error as they came.
    pub(super) output: Bounded,
    pub(super) duration: Duration,
    /// Processes still held the output open after the child had ended; the group was killed.
    pub(super) left_behind: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited(ExitStatus),
    TimedOut,
    Cancelled,
}

/// Runs a child until it ends, `spec.timeout` is over or `cancel` fires. When this returns or is dropped, the
/// child's group is dead.
///
/// # Errors
/// The program can't be started.
pub(super) async fn run(spec: &Spec<'_>, cancel: &CancellationToken, live: &LiveOutput) -> io::Result<Ended> {
    let started = Instant::now();
    // The order counts when this is dropped: the group dies before its watcher does, and before it is struck out.
    let mut watcher = Watcher::start();
    let entry: Child;
    let Held {
        reader,
        mut child,
        gate,
    } = spawn(spec)?;
    let group = Group::led_by(&*child)?;
    watcher.watch(group.id());
    entry = spec.children.begun(group.number(), spec.program);
    open(gate);
    let mut output = Output::new(reader, spec.max_output, spec.children.buffers(), live, &entry)?;
    let mut exit = group.leader_exit();
    let timeout = tokio::time::sleep_until(started + spec.timeout);
    let asked_to_end = tokio::select! {
        () = output.pump_until(&mut exit) => None,
        () = timeout => Some(End::TimedOut),
        () = cancel.cancelled() => Some(End::Cancelled),
    };
    if asked_to_end.is_some() {
        group.signal(Signal::TERM);
        if tokio::time::timeout(GRACE, output.pump_until(&mut exit))
            .await
            .is_err()
        {
            group.signal(Signal::KILL);
            // Nothing else can be done about a process that the kernel can't end.
            drop(tokio::time::timeout(DYING, output.pump_until(&mut exit)).await);
        }
    }
    let mut left_behind = tokio::time::timeout(DRAIN, output.pump_to_end()).await.is_err();
    // The leader is not reaped yet, so its number can't belong to somebody else.
    group.signal(Signal::KILL);
    if left_behind {
        // Those in the group are dead now; whoever still holds the pipe is out of reach.
        left_behind = asked_to_end.is_none();
        drop(tokio::time::timeout(DRAIN, output.pump_to_end()).await);
    }
    let status = match tokio::time::timeout(DYING, child.inner_mut().wait()).await {
        Ok(status) => Some(status?),
        Err(_) => None,
    };
    group.disarm();
    watcher.stop().await;
    let how = match (asked_to_end, status) {
        (Some(end), _) => end,
        (None, Some(status)) => End::Exited(status),
        (None, None) => return Err(io::Error::other("its exit status can't be read")),
    };
    Ok(Ended {
        how,
        output: output.finish(),
        duration: started.elapsed(),
        left_behind,
    })
}

/// A child that waits to begin.
struct Held {
    reader: PipeReader,
    child: Box<dyn ChildWrapper>,
    gate: PipeWriter,
}

/// Lets the child begin.
fn open(mut gate: PipeWriter) {
    // Failing means that it is gone, which its exit status will tell. A line this short never waits for the reader.
    let _gone = gate.write_all(b"\n");
}

fn spawn(spec: &Spec<'_>) -> io::Result<Held> {
    // One pipe for both: what the child prints keeps its order.
    let (reader, writer) = io::pipe()?;
    let (held, gate) = io::pipe()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the module that the lint points to"
    )]
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", GATE, spec.program])
        .args(spec.arguments)
        .current_dir(spec.folder)
        .env_clear()
        .envs(spec.environment)
        .envs(spec.children.mark())
        .stdin(held)
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut command = CommandWrap::from(command);
    command.wrap(ProcessSession);
    // The command, and with it our ends of the pipe to write to, is dropped here.
    let child = command.spawn()?;
    Ok(Held { reader, child, gate })
}

/// Collects what comes out of the pipe.
struct Output<'a> {
    pipe: Receiver,
    /// What was read last; emptied before each reading, so its bytes need no value before they are read.
    block: PooledBuffer,
    kept: HeadTail,
    pacer: Pacer,
    child: &'a Child,
    ended: bool,
}

impl<'a> Output<'a> {
    fn new(
        pipe: PipeReader,
        limit: usize,
        buffers: &MemoryPool,
        live: &LiveOutput,
        child: &'a Child,
    ) -> io::Result<Self> {
        let pipe = Receiver::from_owned_fd(pipe.into())?;
        Ok(Self {
            pipe,
            block: buffers.get_buffer(BLOCK),
            kept: HeadTail::pooled(limit, buffers),
            pacer: live.pacer(),
            child,
            ended: false,
        })
    }

    /// Reads until `stop` is done, the pipe ended or not. Can be dropped and called again.
    async fn pump_until(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) {
        loop {
            tokio::select! {
                biased;
                () = &mut *stop => return,
                () = self.step(), if !self.ended => {}
            }
        }
    }

    async fn pump_to_end(&mut self) {
        while !self.ended {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let due = self.pacer.due();
        let pause = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        self.block.clear();
        tokio::select! {
            read = self.pipe.read_buf(&mut *self.block) => match read {
                Ok(0) | Err(_) => self.ended = true,
                Ok(_) => {
                    self.child.touch();
                    self.kept.push(&self.block);
                    self.pacer.push(&self.block);
                }
            },
            () = pause => self.pacer.flush(),
        }
    }

    fn finish(mut self) -> Bounded {
        self.pacer.flush();
        self.kept.finish()
    }
}

#[cfg(test)]
mod tests;
