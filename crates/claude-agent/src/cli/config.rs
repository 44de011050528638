//! `config`: written, checked, shown.

use std::io;
use std::path::PathBuf;

use agent_config::{ConfigError, Folders, Loaded, Problem, Sources, environment::Environment};
use serde_json::{Map, Value, json};

use super::Failure;
use super::args::{ConfigCommand, DataFormat};
use super::exit::Exit;
use super::output::{self, Table};
use crate::app;

pub(super) fn execute(sources: &Sources, command: ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Init { to, force } => init(&sources.environment, to, force)?,
        ConfigCommand::Check { output } => return check(sources, output.format),
        ConfigCommand::Show { origin, output } => show(&agent_config::load(sources)?, origin, output.format)?,
        ConfigCommand::Schema => output::json(&agent_config::json_schema())?,
    }
    Ok(Exit::Done)
}

fn init(environment: &Environment, to: Option<PathBuf>, force: bool) -> Result<(), Failure> {
    let path = to.unwrap_or_else(|| Folders::of(environment).config_file());
    agent_config::write_template(&path, force).map_err(|error| {
        let exists = matches!(&error, ConfigError::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists);
        let failure = Failure::new(Exit::Failed, error.to_string());
        if exists { failure.advise("add --force to replace it, or --to FILE to write another one") } else { failure }
    })?;
    output::line(&format!("written to {}", path.display()))
}

/// Prints every problem; the exit code says whether there was one. Warnings do not count.
fn check(sources: &Sources, format: DataFormat) -> Result<Exit, Failure> {
    let examined = app::examine(sources);
    let (problems, warnings) = (examined.problems.as_slice(), &examined.warnings);
    let valid = problems.is_empty();
    match format {
        DataFormat::Json => {
            let list = |problems: &[Problem]| problems.iter().map(as_json).collect::<Vec<_>>();
            output::json(&json!({ "valid": valid, "problems": list(problems), "warnings": list(warnings) }))?;
        }
        DataFormat::Text => {
            for problem in problems {
                output::line(&problem.to_string())?;
            }
            for warning in warnings {
                output::line(&format!("warning: {warning}"))?;
            }
            output::line(&if valid {
                "the configuration is valid".to_owned()
            } else {
                match examined.problems.count() {
                    1 => "1 problem".to_owned(),
                    count => format!("{count} problems"),
                }
            })?;
        }
    }
    Ok(if valid { Exit::Done } else { Exit::Misconfigured })
}

fn as_json(problem: &Problem) -> Value {
    let origin = problem.origin.as_ref();
    json!({
        "key": problem.key, "value": problem.value, "message": problem.message, "valid": problem.valid,
        "layer": origin.map(|origin| origin.layer.as_str()),
        "file": origin.and_then(|origin| origin.file.as_ref()),
        "line": origin.and_then(|origin| origin.line),
    })
}

fn show(loaded: &Loaded, origin: bool, format: DataFormat) -> Result<(), Failure> {
    match (origin, format) {
        (false, DataFormat::Text) => output::raw(loaded.config.to_toml().trim_start()),
        (false, DataFormat::Json) => output::json(&loaded.config.to_json()),
        (true, DataFormat::Text) => {
            let mut table = Table::new(&["key", "value", "layer", "set by"]);
            for entry in loaded.origins.iter() {
                table.row([
                    entry.key.to_owned(),
                    entry.value.clone().unwrap_or_else(|| "–".to_owned()),
                    entry.origin.layer.to_string(),
                    entry.origin.to_string(),
                ]);
            }
            output::raw(&table.to_string())
        }
        (true, DataFormat::Json) => {
            let entries: Map<String, Value> = loaded
                .origins
                .iter()
                .map(|entry| {
                    let value = json!({
                        "value": entry.value, "layer": entry.origin.layer.as_str(),
                        "file": entry.origin.file, "line": entry.origin.line,
                    });
                    (entry.key.to_owned(), value)
                })
                .collect();
            output::json(&entries)
        }
    }
}
