//! `bash`: a command line, run in the workspace.

mod environment;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use agent_claude::messages::ToolDefinition;
use agent_performance::instrumentation::current;
use agent_security::command::fetching;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::input::{definition, parse};
use super::process::{self, End, Ended, Spec};
use super::{Children, Prepared, Tool, ToolContext, ToolError, ToolLimits, ToolResult};
use crate::workspace::Workspace;

const NAME: &str = "bash";
/// Bytes of one command line. The kernel takes 128 KiB in one argument; a longer script belongs into a file.
const MAX_COMMAND: usize = 100 * 1024;
/// Characters of the command in the one-line summary.
const SUMMARY_CHARS: usize = 120;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The command line, for bash.
    command: String,
    /// Seconds after which it is stopped.
    timeout_seconds: Option<u64>,
}

pub(super) struct Bash {
    limits: Arc<ToolLimits>,
    children: Children,
}

impl Bash {
    pub(super) fn new(limits: Arc<ToolLimits>, children: Children) -> Self {
        Self { limits, children }
    }
}

impl Tool for Bash {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Runs a command line in the workspace's root folder; each call starts afresh there. Returns standard \
             output and standard error together, then the exit status. There is no terminal and no input. When the \
             command ends, everything it started in the background is stopped. Long output keeps its beginning and \
             its end.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let Input {
            command,
            timeout_seconds,
        } = parse(NAME, input)?;
        let wrong = |message: String| Err(ToolError::new(format!("bash: {message}")));
        if command.trim().is_empty() {
            return wrong("the command is empty; give a command line".to_owned());
        }
        if command.contains('\0') {
            return wrong(
                "the command holds a NUL character, which no command line can; write it as $'\\0'".to_owned(),
            );
        }
        if command.len() > MAX_COMMAND {
            return wrong(format!(
                "the command has {} bytes, more than {MAX_COMMAND}; write it to a file and run that",
                command.len()
            ));
        }
        let max = self.limits.max_command_timeout.max(self.limits.command_timeout);
        let timeout = match timeout_seconds.map(Duration::from_secs) {
            Some(Duration::ZERO) => {
                return wrong("timeout_seconds is 0; leave it out or give at least 1".to_owned());
            }
            Some(timeout) if timeout > max => {
                return wrong(format!("timeout_seconds may be {} at most", max.as_secs()));
            }
            Some(timeout) => timeout,
            None => self.limits.command_timeout,
        };
        Ok(Box::new(Call {
            command,
            timeout,
            limits: self.limits.clone(),
            children: self.children.clone(),
            workspace: workspace.clone(),
        }))
    }
}

struct Call {
    command: String,
    timeout: Duration,
    limits: Arc<ToolLimits>,
    children: Children,
    workspace: Workspace,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        vec![Action::Command(&self.command)]
    }

    fn summary(&self) -> String {
        let mut lines = self.command.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default().trim();
        let cut: String = first.chars().take(SUMMARY_CHARS).collect();
        let whole = cut.len() == first.len() && lines.next().is_none();
        format!("run {cut}{}", if whole { "" } else { " …" })
    }

    fn detail(&self) -> Option<String> {
        Some(self.command.clone())
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let mut environment = environment::clean(&self.limits.environment);
            if let Some(place) = current() {
                // What the command measures of itself then belongs to the same trace.
                environment.insert("TRACEPARENT".to_owned(), place.to_string());
            }
            let program = shell();
            let asks_network = fetching(&self.command);
            let spec = Spec {
                program,
                arguments: &["-c", &self.command],
                folder: self.workspace.root(),
                environment: &environment,
                timeout: self.timeout,
                max_output: self.limits.max_output,
                children: &self.children,
            };
            match process::run(&spec, &context.cancel, &context.output).await {
                Ok(ended) => {
                    let result = result(ended, self.timeout);
                    match asks_network {
                        Some(by) => result.distrusting(&format!("a command that asks the network ({by})")),
                        None => result,
                    }
                }
                Err(error) => ToolResult::error(format!(
                    "the command was not run: {program} in {}: {error}",
                    self.workspace.root().display()
                )),
            }
        }
        .boxed()
    }
}

fn shell() -> &'static str {
    if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    }
}

fn result(ended: Ended, timeout: Duration) -> ToolResult {
    let mut text = ended.output.text;
    if text.is_empty() {
        text.push_str("(no output)");
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let (how, is_error) = match ended.how {
        End::Exited(status) => (exit(status), !status.success()),
        End::TimedOut => (
            format!(
                "stopped after its time limit of {} s; a longer timeout_seconds may help",
                timeout.as_secs_f64()
            ),
            true,
        ),
        End::Cancelled => ("stopped because the call was cancelled".to_owned(), true),
    };
    text.push_str(&format!("[{how}; took {:.1} s]", ended.duration.as_secs_f64()));
    if ended.left_behind {
        text.push_str(
            "\n[processes that it left in the background still held its output; they were stopped, as always when a \
             command ends]",
        );
    }
    ToolResult {
        is_error,
        ..ToolResult::ok(text)
    }
    .with_truncated(ended.output.left_out > 0)
}

fn exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}{}", signal_name(signal)),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        2 => " (SIGINT)",
        6 => " (SIGABRT: it crashed)",
        9 => " (SIGKILL: somebody, or the kernel for lack of memory)",
        11 => " (SIGSEGV: it crashed)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
