//! What may be typed: flags and commands, parsed and not yet judged.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent_config::{HumanDuration, PermissionMode};
use agent_security::audit::Head;
use agent_simulator::FaultSpec;
use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;

/// Runs Claude as an agent on real files: streams answers, executes tools, keeps sessions.
#[derive(Debug, Parser)]
#[command(name = "claude-agent", version, after_help = exit::HELP, max_term_width = 110)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Common {
    /// Use this configuration file instead of the user's own
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Keep sessions and other state in this folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Write log lines of this level and above to standard error: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the agent at work on a sample folder, with simulated answers: no key, no network
    #[command(after_help = "Example:\n  claude-agent demo")]
    Demo,
    /// Do one task and exit
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Talk with the agent in the terminal
    #[command(after_help = CHAT_EXAMPLES)]
    Chat(ChatArgs),
    /// Serve the Messages API, the agent and their figures to other programs
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Serve a simulated Messages API with scripted answers and injectable faults
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// List, show, search, export, fork and delete sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Write, check and show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// List, add, rotate and remove the API keys that are stored here
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show what was decided and done, and verify that nobody changed the record of it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print what running agents measure, or what the last one did
    #[command(after_help = METRICS_EXAMPLES)]
    Metrics(MetricsArgs),
    /// Show what a running daemon knows of itself and of what it needs
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(DataOutput),
    /// Watch running agents live: requests, tokens, cost, tools, memory
    #[command(after_help = "Example:\n  claude-agent top\n\nq or Ctrl-C quits.")]
    Top,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  claude-agent completions bash > ~/.local/share/bash-completion/completions/claude-agent"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  claude-agent man > ~/.local/share/man/man1/claude-agent.1")]
    Man,
}

const RUN_EXAMPLES: &str = "\
Examples:
  claude-agent run \"Explain what this project does\"
  claude-agent run --workspace ~/src/app --permission-mode accept-edits \"Fix the typo in README.md\"
  git diff | claude-agent run - --output-format json
  claude-agent run --session 0199a1b2 \"Now write a test for it\"

Without a terminal, what the policy would ask about is decided by the policy alone (--permission-mode policy).";

const CHAT_EXAMPLES: &str = "\
Example:
  claude-agent chat --workspace ~/src/app

Ctrl-C stops the answer; Ctrl-C twice quits. The session is stored all the time: go on with --session ID.";

const SERVE_EXAMPLES: &str = "\
Examples:
  claude-agent serve
  claude-agent serve --listen 127.0.0.1:0 --data-dir /srv/agent
  claude-agent serve --config /etc/claude-agent/team.toml

Clients show the token that the first start puts into the data folder:
  export ANTHROPIC_BASE_URL=http://127.0.0.1:8642 ANTHROPIC_API_KEY=\"$(cat ~/.local/share/claude-agent/token)\"

SIGTERM and Ctrl-C let what is under way end (server.drain_deadline) and exit with 0; a second one ends it at once.";

const HEALTH_EXAMPLES: &str = "\
Examples:
  claude-agent health
  claude-agent health --output json | jq .checks

Exits with 0 while everything needed works, also with warnings, and with 1 when something failed or no daemon answers.";

const METRICS_EXAMPLES: &str = "\
Examples:
  claude-agent metrics
  claude-agent metrics gen_ai.client
  claude-agent metrics --output json cache. | jq '.processes[0].series[] | {name, value}'";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  claude-agent simulate --listen 127.0.0.1:8400
  claude-agent simulate --fault 'status=529*2' --fault latency=200ms
  claude-agent simulate --scenario answers.toml
  claude-agent simulate --list-faults

Then, in another terminal:
  export ANTHROPIC_BASE_URL=http://127.0.0.1:8400 ANTHROPIC_API_KEY=simulated";

/// What `run` and `chat` have in common.
#[derive(Args, Clone, Debug)]
pub(super) struct AgentArgs {
    /// The folder to work in; nothing outside of it is read or written
    #[arg(long, value_name = "DIR")]
    pub(super) workspace: Option<PathBuf>,
    /// Go on with this session (its id, or the beginning or end of it)
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,
    /// The model to ask
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Who decides about writes and commands: ask, accept-edits, deny, policy
    #[arg(long, value_name = "MODE")]
    pub(super) permission_mode: Option<PermissionMode>,
    /// Stop after this many requests to the model
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_turns: Option<u32>,
    /// Stop before this cost in US dollars is passed
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub(super) max_budget_usd: Option<f64>,
    /// Stop after this time, for instance 90s or 10m
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub(super) timeout: Option<HumanDuration>,
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) agent: AgentArgs,
    /// text: the answer; json: one object at the end; stream-json: one event a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output_format: RunFormat,
    /// The task; `-` reads it from standard input
    pub(super) prompt: String,
}

#[derive(Args, Debug)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) agent: AgentArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RunFormat {
    Text,
    Json,
    StreamJson,
}

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// The address to listen on instead of the configured one; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<SocketAddr>,
}

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8400")]
    pub(super) listen: SocketAddr,
    /// Answer by this scenario file
    #[arg(long, value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,
    /// Inject a fault; may be given several times
    #[arg(long = "fault", value_name = "SPEC")]
    pub(super) faults: Vec<FaultSpec>,
    /// The same seed gives the same answers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// List the faults that can be injected, and exit
    #[arg(long)]
    pub(super) list_faults: bool,
}

#[derive(Args, Debug)]
pub(super) struct MetricsArgs {
    /// Only those whose names begin like this
    #[arg(value_name = "NAME-PREFIX")]
    pub(super) prefix: Option<String>,
    #[command(flatten)]
    pub(super) output: DataOutput,
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Print recorded events, the newest last
    #[command(
        after_help = "Examples:\n  claude-agent audit show --limit 20\n  claude-agent audit show --event permission_decided --since 2026-11-01T00:00:00Z"
    )]
    Show {
        #[command(flatten)]
        filter: AuditFilter,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Find any edit, removal, insertion or cut; exits with 1 where there is one
    #[command(
        after_help = "Examples:\n  claude-agent audit verify\n  claude-agent audit verify --expect-head \"$(cat /media/usb/audit-head)\""
    )]
    Verify {
        /// A line that has to be there: the head that an earlier verification printed
        #[arg(long, value_name = "NUMBER:HASH")]
        expect_head: Option<Head>,
        /// The key whose signatures count, as an earlier verification printed it
        #[arg(long, value_name = "BASE64")]
        public_key: Option<String>,
        #[command(flatten)]
        output: DataOutput,
    },
}

#[derive(Args, Debug)]
pub(super) struct AuditFilter {
    /// How many at the most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) limit: u32,
    /// Only events whose kind begins like this, such as tool_executed
    #[arg(long, value_name = "KIND")]
    pub(super) event: Option<String>,
    /// Only events of the session whose id begins like this
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,
    /// Only events from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<DateTime<Utc>>,
    /// Only events up to this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<DateTime<Utc>>,
}

/// How a command prints data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum DataFormat {
    #[default]
    Text,
    Json,
}

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct DataOutput {
    /// How to print
    #[arg(long = "output", value_name = "FORMAT", default_value = "text")]
    pub(super) format: DataFormat,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List sessions, the newest first
    #[command(after_help = "Example:\n  claude-agent sessions list --limit 5")]
    List {
        /// How many at the most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only the sessions of this folder
        #[arg(long, value_name = "DIR")]
        workspace: Option<PathBuf>,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Show the conversation of a session
    #[command(after_help = "Example:\n  claude-agent sessions show 0199a1b2")]
    Show {
        /// The session's id, or the beginning or end of it
        id: String,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Search the text of all sessions
    #[command(after_help = "Example:\n  claude-agent sessions search \"connection pool\"")]
    Search {
        /// Words that must all occur; \"a phrase\" in double quotes stays together
        query: String,
        /// How many hits at the most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Write a session as Markdown or JSON
    #[command(
        after_help = "Example:\n  claude-agent sessions export 0199a1b2 --format markdown --to session.md"
    )]
    Export {
        /// The session's id, or the beginning or end of it
        id: String,
        /// What to write
        #[arg(long, default_value = "markdown")]
        format: ExportFormat,
        /// The file to write; standard output when left out
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Copy a session, so that the copy can go another way
    #[command(after_help = "Example:\n  claude-agent sessions fork 0199a1b2 --at 4")]
    Fork {
        /// The session's id, or the beginning or end of it
        id: String,
        /// Copy the messages up to this number; all when left out
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Give a session another title
    #[command(after_help = "Example:\n  claude-agent sessions rename 0199a1b2 \"Release notes\"")]
    Rename {
        /// The session's id, or the beginning or end of it
        id: String,
        /// The new title
        title: String,
    },
    /// Delete a session and all of its messages
    #[command(after_help = "Example:\n  claude-agent sessions delete 0199a1b2 --yes")]
    Delete {
        /// The session's id, or the beginning or end of it
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    Markdown,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys: names, states, hosts and ages, never the keys
    #[command(after_help = "Example:\n  claude-agent keys list --output json")]
    List {
        #[command(flatten)]
        output: DataOutput,
    },
    /// Add the key that is typed, or comes on standard input
    #[command(
        after_help = "Examples:\n  claude-agent keys add\n  pass show anthropic | claude-agent keys add work"
    )]
    Add {
        /// What to call it
        name: Option<String>,
        /// A host that it may be sent to; may be given several times. The host of api.base_url when left out
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
    },
    /// Use the next standby key from now on; requests under way keep theirs
    #[command(after_help = "Example:\n  claude-agent keys rotate --to work")]
    Rotate {
        /// Use this one, even if it was refused or rotated away before
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// Remove a key
    #[command(after_help = "Example:\n  claude-agent keys remove key-1")]
    Remove {
        /// What it is called
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Write a commented configuration file with every default
    #[command(after_help = "Example:\n  claude-agent config init")]
    Init {
        /// Where to write; the user's own file when left out
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
    },
    /// Check the configuration and print every problem
    #[command(after_help = "Example:\n  claude-agent config check --config production.toml")]
    Check {
        #[command(flatten)]
        output: DataOutput,
    },
    /// Print the configuration in force, secrets left out
    #[command(after_help = "Example:\n  claude-agent config show --origin")]
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        output: DataOutput,
    },
    /// Print the JSON Schema, for editors
    #[command(after_help = "Example:\n  claude-agent config schema > claude-agent.schema.json")]
    Schema,
}

/// Shorter than this nothing can be done.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

fn timeout(text: &str) -> Result<HumanDuration, String> {
    let timeout: HumanDuration = text.parse().map_err(|error| format!("{error}"))?;
    if timeout.duration() < MIN_TIMEOUT {
        return Err("at least 100ms".to_owned());
    }
    Ok(timeout)
}

fn dollars(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("an amount in US dollars above zero, for instance 0.50".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn budgets_that_mean_nothing_are_refused() {
        for text in ["0", "-1", "NaN", "inf", "a lot"] {
            assert!(dollars(text).is_err(), "{text}");
        }
        assert_eq!(dollars("0.5"), Ok(0.5));
    }
}
