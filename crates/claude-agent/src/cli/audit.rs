//! `audit`: what was decided and done, and whether anyone changed the record of it.

use std::collections::VecDeque;
use std::path::PathBuf;

use agent_config::ProductionConfig;
use agent_security::audit::{AuditEvent, AuditLog, Expected, Record, read, verify};
use chrono::{Local, SubsecRound as _};
use serde_json::{Value, json};

use super::Failure;
use super::args::{AuditCommand, AuditFilter, DataFormat};
use super::exit::Exit;
use super::output::{self, Table};
use crate::app;

pub(super) fn execute(config: &ProductionConfig, command: AuditCommand) -> Result<Exit, Failure> {
    let folder = app::audit_folder(config);
    match command {
        AuditCommand::Show { filter, output } => show(folder, &filter, output.format).map(|()| Exit::Done),
        AuditCommand::Verify {
            expect_head,
            public_key,
            output,
        } => {
            let expected = Expected {
                head: expect_head,
                public_key,
            };
            check(folder, &expected, output.format)
        }
    }
}

/// Records an act of whoever runs the program, before it is done.
///
/// # Errors
/// It can't be recorded, and this is production.
pub(super) fn record(audit: &AuditLog, act: &str, subject: String) -> Result<(), Failure> {
    let event = AuditEvent::Administered {
        act: act.to_owned(),
        subject,
        by: "cli".to_owned(),
    };
    audit
        .record(event)
        .map_err(|error| Failure::new(Exit::Failed, format!("not done: {error}")))
}

fn show(folder: PathBuf, filter: &AuditFilter, format: DataFormat) -> Result<(), Failure> {
    let limit = filter.limit as usize;
    let mut kept = VecDeque::new();
    let unread = read(&folder, |record| {
        if wanted(&record, filter) {
            if kept.len() == limit {
                kept.pop_front();
            }
            kept.push_back(record);
        }
    })
    .map_err(failed)?;
    if unread > 0 {
        output::note(&format!(
            "note: {unread} lines can't be read; `claude-agent audit verify` tells which is the first"
        ));
    }
    if format == DataFormat::Json {
        return output::json(&kept);
    }
    if kept.is_empty() {
        return output::line("nothing recorded that matches");
    }
    let mut table = Table::new(&["number", "time", "what", "details"]);
    for record in &kept {
        let (kind, details) = told(&record.event);
        let time = record.time.with_timezone(&Local).trunc_subsecs(0).naive_local();
        table.row([record.seq.to_string(), time.to_string(), kind, details]);
    }
    output::raw(&table.to_string())
}

fn wanted(record: &Record, filter: &AuditFilter) -> bool {
    let fields = fields(&record.event);
    let is = |key: &str, value: &Option<String>| {
        value.as_ref().is_none_or(|value| {
            fields[key]
                .as_str()
                .is_some_and(|field| field.starts_with(value.as_str()))
        })
    };
    is("kind", &filter.event)
        && is("session", &filter.session)
        && filter.since.is_none_or(|since| record.time >= since)
        && filter.until.is_none_or(|until| record.time <= until)
}

fn fields(event: &AuditEvent) -> Value {
    serde_json::to_value(event).unwrap_or_default()
}

/// The kind, and the rest as `name=value`.
fn told(event: &AuditEvent) -> (String, String) {
    let fields = fields(event);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let kind = text(&fields["kind"]);
    let rest = fields.as_object().into_iter().flatten();
    let rest: Vec<String> = rest
        .filter(|(name, value)| *name != "kind" && **value != "")
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    (kind, rest.join("  "))
}

fn check(folder: PathBuf, expected: &Expected, format: DataFormat) -> Result<Exit, Failure> {
    let found = verify(&folder, expected).map_err(failed)?;
    let (exit, document, lines) = match found {
        Ok(verified) => {
            let key = verified.public_key.as_deref();
            let document = json!({
                "intact": true, "lines": verified.lines, "first": verified.first, "checkpoints": verified.checkpoints,
                "head": verified.head.to_string(), "public_key": key, "torn_bytes": verified.torn,
            });
            let mut lines = vec![
                format!(
                    "intact: {} lines from number {}, {} of them signed",
                    verified.lines, verified.first, verified.checkpoints
                ),
                format!("head        {}", verified.head),
                format!("public key  {}", key.unwrap_or("none yet: nothing is signed so far")),
                "Keep these two elsewhere, and give them to --expect-head and --public-key next time: who may write this folder can make \
                 the log anew."
                    .to_owned(),
            ];
            if verified.torn > 0 {
                lines.push(format!(
                    "note: {} bytes of a line without an end follow, as a crash leaves them; the next entry tells of it",
                    verified.torn
                ));
            }
            (Exit::Done, document, lines)
        }
        Err(fault) => {
            let document = json!({
                "intact": false, "file": fault.file, "line": fault.line, "problem": fault.what,
            });
            (Exit::Failed, document, vec![format!("CHANGED: {fault}")])
        }
    };
    match format {
        DataFormat::Json => output::json(&document)?,
        DataFormat::Text => {
            for line in lines {
                output::line(&output::visible(&line))?;
            }
        }
    }
    Ok(exit)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string()).advise("run this as the user who runs the agent")
}
