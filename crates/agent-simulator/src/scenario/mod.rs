//! Scripted answers from a TOML file. The format is described in the crate's documentation.

mod script;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use script::Script;

use crate::fault::{Fault, FaultSpec};

/// A scenario is written by hand; a file above this is not one.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Answers in a fixed order.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub(crate) exhausted: Exhausted,
    pub(crate) steps: Vec<Step>,
}

/// Who answers when no step is left that matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exhausted {
    #[default]
    Mind,
    Refuse,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) contains: Option<String>,
    pub(crate) request: Option<u64>,
    pub(crate) times: u64,
    pub(crate) reply: ScriptedReply,
    pub(crate) error: Option<ScriptedError>,
    pub(crate) fault: Option<Fault>,
    /// Nothing but a fault or a condition: the mind answers.
    pub(crate) by_mind: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ScriptedReply {
    pub(crate) thinking: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) blocks: Vec<Value>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) usage: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedError {
    pub(crate) status: u16,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) retry_after: Option<agent_config::HumanDuration>,
}

/// Why a scenario could not be used.
#[derive(Debug, thiserror::Error)]
pub struct ScenarioError {
    /// The file, if the scenario came from one.
    pub file: Option<PathBuf>,
    /// The line, counted from 1, where that is known.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("scenario")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Scenario {
    /// Reads a scenario file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let in_file = |mut error: ScenarioError| {
            error.file = Some(path.to_owned());
            error
        };
        let failed = |message: String| {
            in_file(ScenarioError {
                file: None,
                line: None,
                message,
            })
        };
        let file = std::fs::File::open(path).map_err(|error| failed(format!("cannot be opened: {error}")))?;
        let mut text = String::new();
        let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
        let bytes = read.map_err(|error| failed(format!("cannot be read as text: {error}")))?;
        if bytes as u64 > MAX_FILE {
            return Err(failed("is larger than 4 MiB, which no scenario is".to_owned()));
        }
        text.parse().map_err(in_file)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    #[expect(
        dead_code,
        reason = "for the people who read the file; it must be a string all the same"
    )]
    description: Option<String>,
    #[serde(default)]
    exhausted: Exhausted,
    #[serde(default)]
    steps: Vec<toml::Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    #[serde(default)]
    r#match: RawMatch,
    #[serde(default = "once")]
    times: u64,
    thinking: Option<String>,
    text: Option<String>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    #[serde(default)]
    blocks: Vec<Map<String, Value>>,
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Map<String, Value>,
    error: Option<ScriptedError>,
    fault: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatch {
    contains: Option<String>,
    request: Option<u64>,
}

fn once() -> u64 {
    1
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let line_of = |at: usize| {
            text.as_bytes()[..at.min(text.len())]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1
        };
        let raw: RawScenario = toml::from_str(text).map_err(|error| ScenarioError {
            file: None,
            line: error.span().map(|span| line_of(span.start)),
            message: error.message().to_owned(),
        })?;
        let steps = raw.steps.into_iter().map(|step| {
            let line = line_of(step.span().start);
            checked(step.into_inner()).map_err(|message| ScenarioError {
                file: None,
                line: Some(line),
                message,
            })
        });
        Ok(Self {
            exhausted: raw.exhausted,
            steps: steps.collect::<Result<_, _>>()?,
        })
    }
}

fn checked(raw: RawStep) -> Result<Step, String> {
    let fault = match raw.fault.map(|fault| fault.parse::<FaultSpec>()).transpose() {
        Err(error) => return Err(error.to_string()),
        Ok(Some(spec)) if spec.count.is_some() || spec.probability < 1.0 => {
            return Err("a step's fault takes no count and no probability; use `times`".to_owned());
        }
        Ok(spec) => spec.map(|spec| spec.fault),
    };
    let pieces = raw.thinking.is_some() || raw.text.is_some() || !raw.tool_calls.is_empty();
    let replies = pieces || !raw.blocks.is_empty();
    if pieces && !raw.blocks.is_empty() {
        return Err("`blocks` holds the whole content; leave out thinking, text and tool_calls".to_owned());
    }
    if replies && raw.error.is_some() {
        return Err("a step either replies or fails; `error` goes with no content".to_owned());
    }
    if raw.times == 0 || raw.r#match.request == Some(0) {
        return Err("`times` and `match.request` count from 1".to_owned());
    }
    if let Some(error) = raw
        .error
        .as_ref()
        .filter(|error| !(400..600).contains(&error.status))
    {
        return Err(format!("{} is no error status: 400 to 599", error.status));
    }
    let by_mind = !replies && raw.error.is_none();
    if by_mind && fault.is_none() && raw.stop_reason.is_none() && raw.usage.is_empty() {
        return Err("a step needs text, thinking, tool_calls, blocks, error or fault".to_owned());
    }
    Ok(Step {
        contains: raw.r#match.contains,
        request: raw.r#match.request,
        times: raw.times,
        reply: ScriptedReply {
            thinking: raw.thinking,
            text: raw.text,
            tool_calls: raw.tool_calls,
            blocks: raw.blocks.into_iter().map(Value::Object).collect(),
            stop_reason: raw.stop_reason,
            usage: raw.usage,
        },
        error: raw.error,
        fault,
        by_mind,
    })
}

#[cfg(test)]
mod tests;
