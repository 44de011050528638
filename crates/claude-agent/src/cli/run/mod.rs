//! `run`: one task, then the exit code that tells how it went.

mod approve;
mod text;

use std::io::{self, Read};

use agent_config::Loaded;
use agent_config::environment::Environment;
use agent_core::{AgentEvent, TurnHandle};

pub(super) use super::args::RunFormat;

use super::args::RunArgs;
use super::exit::Exit;
use super::signals::Interrupts;
use super::{Failure, output};
use crate::app::{App, Keys, Presence};
use approve::Approver;
use text::TextPrinter;

/// A prompt from standard input: more than any model's window holds.
const MAX_PROMPT_BYTES: u64 = 16 * 1024 * 1024;

pub(super) async fn execute(
    loaded: Loaded,
    environment: &Environment,
    keys: &Keys,
    args: RunArgs,
    quiet: bool,
) -> Result<Exit, Failure> {
    let prompt = prompt(args.prompt)?;
    let presence = if Approver::new(args.output_format).is_present() {
        Presence::Person
    } else {
        Presence::Nobody
    };
    let agent = &args.agent;
    let app = App::build(
        &loaded,
        environment,
        keys,
        agent.session.as_deref(),
        agent.workspace.as_deref(),
        presence,
    )
    .await?;
    execute_in(app, prompt, args.output_format, quiet).await
}

/// Does the task in an agent that is put together already.
pub(super) async fn execute_in(
    app: App,
    prompt: String,
    format: RunFormat,
    quiet: bool,
) -> Result<Exit, Failure> {
    let done = match app.agent.start_session(app.choice.clone()).await {
        Ok(session) => {
            let _working = app.working();
            let handle = session.run(prompt, app.limits.clone());
            watch(handle, Printer::new(format, quiet), Approver::new(format)).await
        }
        Err(error) => Err(error.into()),
    };
    app.shutdown().await?;
    done
}

/// Reads the prompt, from standard input for `-`.
fn prompt(argument: String) -> Result<String, Failure> {
    let text = if argument == "-" { from_stdin()? } else { argument };
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "the prompt is empty").advise("say what is to be done"));
    }
    Ok(text)
}

fn from_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_PROMPT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failed, format!("standard input can't be read: {error}")))?;
    if bytes.len() as u64 > MAX_PROMPT_BYTES {
        let failure = Failure::new(
            Exit::Usage,
            format!("the prompt on standard input is larger than {MAX_PROMPT_BYTES} bytes"),
        );
        return Err(failure.advise("save it in the workspace and ask the agent to read it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::Usage,
            format!("the prompt on standard input is not UTF-8: byte {at} is wrong"),
        )
        .advise("convert it first, for instance with iconv")
    })
}

/// Follows a run to its end.
async fn watch(handle: TurnHandle, mut printer: Printer, mut approver: Approver) -> Result<Exit, Failure> {
    let TurnHandle {
        mut events,
        control,
        join: _,
    } = handle;
    let mut interrupts = Interrupts::listen()?;
    let mut interrupted = false;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = interrupts.next() => {
                if interrupted {
                    return Err(Failure::told(Exit::Cancelled));
                }
                interrupted = true;
                control.cancel();
                continue;
            }
            answered = approver.next_answer() => {
                // Not open any more: the run was cancelled meanwhile, and said so.
                control.answer(answered.id, answered.answer).ok();
                continue;
            }
        };
        let Some(event) = event else {
            return Err(Failure::internal("the run ended without saying how"));
        };
        approver.see(&event);
        printer.show(&event)?;
        if let AgentEvent::Finished(finished) = event {
            return Ok(finished.outcome.into());
        }
    }
}

/// One of the three output formats.
enum Printer {
    Text(Box<TextPrinter>),
    Json,
    StreamJson,
}

impl Printer {
    fn new(format: RunFormat, quiet: bool) -> Self {
        match format {
            RunFormat::Text => Self::Text(Box::new(TextPrinter::new(quiet))),
            RunFormat::Json => Self::Json,
            RunFormat::StreamJson => Self::StreamJson,
        }
    }

    fn show(&mut self, event: &AgentEvent) -> Result<(), Failure> {
        match self {
            Self::Text(printer) => printer.show(event),
            Self::Json if matches!(event, AgentEvent::Finished(_)) => output::json(event),
            Self::Json => Ok(()),
            Self::StreamJson => output::json_line(event),
        }
    }
}
