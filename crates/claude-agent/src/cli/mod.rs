//! The command line: parses, loads the configuration, runs one command, and turns every error into text and an exit code.

mod args;
mod audit;
mod chat;
mod completions;
mod config;
mod daemon_client;
mod demo;
mod exit;
mod failure;
mod health;
mod keys;
mod logging;
mod markdown;
mod metrics;
mod output;
mod protect;
mod run;
mod screen;
mod serve;
mod sessions;
mod signals;
mod simulate;
mod styled;
mod terminal;
mod top;

use std::ffi::OsString;
use std::future::Future;
use std::path::Path;

use agent_config::environment::Environment;
use agent_config::{Loaded, Sources};
use agent_core::AgentError;
use agent_core::session::StoreError;
use agent_performance::instrumentation::SpanTimings;
use agent_security::redact::Redactor;
use clap::Parser;

use self::args::{AgentArgs, Cli, Command, Common, ServeArgs};
use self::exit::Exit;
use self::failure::Failure;
use crate::app::{self, AppError, Keys};

/// Threads that run tasks. The work is waiting for the network; tools that compute have threads of their own.
const WORKER_THREADS: usize = 2;

/// Runs the command that the arguments name and gives the process's exit code. Everything that was to be printed is
/// printed when it returns.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output, errors to standard error; clap knows which is which.
            let printed = error.print().is_ok();
            return match error.use_stderr() {
                true => Exit::Usage.code(),
                false if printed => Exit::Done.code(),
                false => Exit::Failed.code(),
            };
        }
    };
    let redactor = Redactor::default();
    protect::from_leaks(&redactor);
    match dispatch(cli, &redactor) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            let style = output::Style::for_notes();
            if !failure.message.is_empty() {
                output::note(&format!(
                    "{}error:{} {}",
                    style.red,
                    style.reset,
                    output::visible(&redactor.redact(&failure.message))
                ));
            }
            if let Some(advice) = &failure.advice {
                output::note(&format!("  {}", output::visible(&redactor.redact(advice))));
            }
            failure.exit.code()
        }
    }
}

fn dispatch(cli: Cli, redactor: &Redactor) -> Result<Exit, Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Completions { shell } => completions::completions(shell).map(|()| Exit::Done),
        Command::Man => completions::manual().map(|()| Exit::Done),
        Command::Config(command) => config::execute(&sources(&common, None)?, command),
        Command::Simulate(args) => {
            logging::start(common.log_level.as_deref(), redactor)?;
            block_on(simulate::execute(args, common.quiet))
        }
        Command::Demo => {
            logging::start(common.log_level.as_deref(), redactor)?;
            block_on(demo::execute(redactor, common.quiet))
        }
        Command::Sessions(command) => {
            let (loaded, _) = load(&common, redactor, None)?;
            redactor.learn(loaded.api_key.clone());
            block_on(async { sessions::execute(&loaded, redactor, command).await })
        }
        Command::Keys(command) => {
            let (loaded, _) = load(&common, redactor, None)?;
            redactor.learn(loaded.api_key.clone());
            keys::execute(&loaded, redactor, command, common.quiet)
        }
        Command::Metrics(args) => {
            let (loaded, _) = load(&common, redactor, None)?;
            metrics::execute(&loaded.config, &args, common.quiet).map(|()| Exit::Done)
        }
        Command::Audit(command) => {
            let (loaded, _) = load(&common, redactor, None)?;
            audit::execute(&loaded.config, command)
        }
        Command::Health(output) => {
            let (loaded, _) = load(&common, redactor, None)?;
            block_on(health::execute(&loaded.config, output))
        }
        Command::Top => {
            let (loaded, _) = load(&common, redactor, None)?;
            block_on(top::execute(&loaded.config))
        }
        Command::Run(args) => {
            let (loaded, environment) = load(&common, redactor, Some(&args.agent))?;
            block_on(async {
                let keys = Keys::open(&loaded, &environment, redactor).await?;
                run::execute(loaded, &environment, &keys, args, common.quiet).await
            })
        }
        Command::Serve(args) => {
            let sources = daemon_sources(&common, &args)?;
            let (loaded, _) = load_from(sources.clone(), common.quiet)?;
            let logs = app::log_buffer(redactor);
            let spans = SpanTimings::default();
            logging::start_daemon(&loaded.config, &logs, &spans, redactor);
            block_on(async {
                let keys = Keys::open(&loaded, &sources.environment, redactor).await?;
                serve::execute(loaded, sources, &keys, logs, &spans, common.quiet).await
            })
        }
        Command::Chat(args) => {
            let (loaded, environment) = load(&common, redactor, Some(&args.agent))?;
            block_on(async {
                let keys = Keys::open(&loaded, &environment, redactor).await?;
                chat::execute(loaded, &environment, &keys, args).await
            })
        }
    }
}

fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no threads could be started: {error}")))?;
    let done = runtime.block_on(command);
    // A thread that waits for a key of the terminal can't be ended; everything that matters has been waited for.
    runtime.shutdown_background();
    done
}

/// Where configuration comes from: files, environment, and the flags of this command line.
fn sources(common: &Common, agent: Option<&AgentArgs>) -> Result<Sources, Failure> {
    let workspace = agent
        .and_then(|agent| agent.workspace.clone())
        .or_else(|| app::current_folder().ok());
    let mut sources = common_sources(common, workspace.as_deref())?;
    let mut flag =
        |key: &str, value: Option<String>| sources.flags.extend(value.map(|value| (key.to_owned(), value)));
    if let Some(agent) = agent {
        flag("api.model", agent.model.as_deref().map(text));
        flag(
            "agent.permission_mode",
            agent.permission_mode.map(|mode| text(&mode)),
        );
        flag("agent.max_turns", agent.max_turns.map(|turns| turns.to_string()));
        flag(
            "agent.max_budget_usd",
            agent.max_budget_usd.map(|usd| format!("{usd:?}")),
        );
        flag("agent.turn_timeout", agent.timeout.map(|timeout| text(&timeout)));
    }
    Ok(sources)
}

/// The daemon works in many folders, so no project's file speaks for it.
fn daemon_sources(common: &Common, args: &ServeArgs) -> Result<Sources, Failure> {
    let mut sources = common_sources(common, None)?;
    let listen = args.listen.map(|address| text(&address));
    sources
        .flags
        .extend(listen.map(|address| ("server.listen".to_owned(), address)));
    Ok(sources)
}

fn common_sources(common: &Common, workspace: Option<&Path>) -> Result<Sources, Failure> {
    let mut sources = Sources::standard(Environment::from_process(), workspace);
    sources.explicit_file.clone_from(&common.config);
    let data_dir = common.data_dir.as_deref().map(utf8_path).transpose()?;
    let level = common.log_level.clone();
    let flags = [("deployment.data_directory", data_dir), ("logging.level", level)];
    for (key, value) in flags {
        sources.flags.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(sources)
}

/// The path as a TOML string. A configuration is text, so a path that is none can't be in it, and a similar one would be
/// another folder.
fn utf8_path(path: &Path) -> Result<String, Failure> {
    let path = app::absolute(path);
    path.to_str().map(toml_string).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--data-dir {} is not UTF-8", path.display()))
            .advise("use a folder whose name is UTF-8")
    })
}

/// A value as a TOML string, so that a model called `1` or a folder called `true` stays a text.
fn text(value: &(impl ToString + ?Sized)) -> String {
    toml_string(&value.to_string())
}

fn toml_string(value: &str) -> String {
    // JSON strings are TOML basic strings, but for the escaped slash, which serde_json does not write.
    serde_json::Value::from(value).to_string()
}

fn load(
    common: &Common,
    redactor: &Redactor,
    agent: Option<&AgentArgs>,
) -> Result<(Loaded, Environment), Failure> {
    logging::start(common.log_level.as_deref(), redactor)?;
    load_from(sources(common, agent)?, common.quiet)
}

fn load_from(sources: Sources, quiet: bool) -> Result<(Loaded, Environment), Failure> {
    let loaded = agent_config::load(&sources)?;
    if !quiet {
        for warning in &loaded.warnings {
            output::note(&format!("warning: {}", output::visible(&warning.to_string())));
        }
    }
    Ok((loaded, sources.environment))
}

impl From<agent_config::ConfigError> for Failure {
    fn from(error: agent_config::ConfigError) -> Self {
        let failure = Self::new(
            Exit::Misconfigured,
            format!("the configuration is wrong\n{error}"),
        );
        failure.advise("`claude-agent config check` repeats this; `claude-agent config show --origin` tells what comes from where")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if let StoreError::Io { source, .. } = &error
            && let Some(io) = source.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::BrokenPipe
        {
            return Self::told(Exit::Cancelled);
        }
        let exit = match error {
            StoreError::NotFound { .. } | StoreError::Ambiguous { .. } | StoreError::NoSuchMessage { .. } => {
                Exit::Usage
            }
            _ => Exit::Failed,
        };
        Self::new(exit, error.describe()).advise(error.advice())
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Store(error) => error.into(),
            AgentError::Workspace(error) => Self::new(Exit::Misconfigured, error.to_string()),
        }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(error) => error.into(),
            AppError::Misconfigured { message, advice } => {
                Self::new(Exit::Misconfigured, message).advise(advice)
            }
            AppError::Unavailable { message, advice } => Self::new(Exit::Failed, message).advise(advice),
        }
    }
}
