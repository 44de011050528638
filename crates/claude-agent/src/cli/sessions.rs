//! `sessions`: the history, listed, shown, searched, exported, forked, renamed, deleted.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use agent_config::Loaded;
use agent_core::session::{ListFilter, SearchQuery, SessionId, SessionInfo, SessionStore};
use agent_security::audit::AuditLog;
use agent_security::redact::Redactor;
use chrono::{DateTime, Local, Utc};
use serde_json::{Value, json};

use super::args::{DataFormat, ExportFormat, SessionsCommand};
use super::audit::record;
use super::exit::Exit;
use super::output::{self, Table, visible};
use super::{Failure, app};

/// Columns of a title in a list.
const TITLE_COLUMNS: usize = 48;

pub(super) async fn execute(
    loaded: &Loaded,
    redactor: &Redactor,
    command: SessionsCommand,
) -> Result<Exit, Failure> {
    let store = app::open_store(&loaded.config)?;
    let audit = app::open_audit(loaded, redactor)?;
    let done = dispatch(&store, &audit, command).await;
    store.close().await?;
    done.map(|()| Exit::Done)
}

async fn dispatch(store: &SessionStore, audit: &AuditLog, command: SessionsCommand) -> Result<(), Failure> {
    match command {
        SessionsCommand::List {
            limit,
            workspace,
            output,
        } => {
            let workspace = workspace
                .map(|folder| app::workspace_folder(Some(&folder)))
                .transpose()?;
            let filter = ListFilter {
                workspace,
                limit: limit as usize,
                offset: 0,
            };
            list(&store.list(filter).await?, output.format)
        }
        SessionsCommand::Show { id, output } => {
            let format = match output.format {
                DataFormat::Text => ExportFormat::Markdown,
                DataFormat::Json => ExportFormat::Json,
            };
            export(
                store,
                &store.resolve(&id).await?,
                format,
                output::Stdout::default(),
            )
            .await
        }
        SessionsCommand::Search { query, limit, output } => {
            search(store, query, limit as usize, output.format).await
        }
        SessionsCommand::Export { id, format, to } => {
            let id = store.resolve(&id).await?;
            match to {
                None => export(store, &id, format, output::Stdout::default()).await,
                Some(file) => {
                    record(audit, "session exported", format!("{id} to {}", file.display()))?;
                    export(store, &id, format, new_file(&file)?).await?;
                    output::line(&format!("written to {}", file.display()))
                }
            }
        }
        SessionsCommand::Fork { id, at, output } => {
            let original = store.resolve(&id).await?;
            record(audit, "session forked", original.to_string())?;
            let copy = store.fork(&original, at).await?;
            match output.format {
                DataFormat::Json => output::json(&json!({ "id": copy, "forked_from": original })),
                DataFormat::Text => output::line(&format!(
                    "{copy}\ngo on with: claude-agent run --session {} …",
                    copy.short()
                )),
            }
        }
        SessionsCommand::Rename { id, title } => {
            let id = store.resolve(&id).await?;
            record(audit, "session renamed", id.to_string())?;
            Ok(store.rename(&id, &title).await?)
        }
        SessionsCommand::Delete { id, yes } => delete(store, audit, &id, yes).await,
    }
}

fn list(sessions: &[SessionInfo], format: DataFormat) -> Result<(), Failure> {
    if format == DataFormat::Json {
        return output::json(&sessions);
    }
    if sessions.is_empty() {
        return output::line("no sessions yet; `claude-agent run \"…\"` makes the first");
    }
    let mut table = Table::new(&["session", "changed", "messages", "cost", "title"]);
    for session in sessions {
        table.row([
            session.id.short(),
            local(session.updated),
            session.messages.to_string(),
            cost(session),
            shortened(&session.title),
        ]);
    }
    output::raw(&table.to_string())
}

async fn search(store: &SessionStore, text: String, limit: usize, format: DataFormat) -> Result<(), Failure> {
    let hits = store
        .search(SearchQuery {
            text,
            limit,
            ..SearchQuery::default()
        })
        .await?;
    if format == DataFormat::Json {
        let hits: Vec<Value> = hits
            .iter()
            .map(|hit| {
                json!({
                    "session": hit.session, "title": hit.title, "seq": hit.seq, "role": hit.role,
                    "created": hit.created, "snippet": hit.snippet.text, "marks": hit.snippet.marks,
                })
            })
            .collect();
        return output::json(&hits);
    }
    if hits.is_empty() {
        return output::line("nothing found");
    }
    for hit in hits {
        let head = format!(
            "{} #{} {}  {}",
            hit.session.short(),
            hit.seq,
            local(hit.created),
            shortened(&hit.title)
        );
        output::line(&format!(
            "{}\n    {}",
            visible(&head),
            visible(&hit.snippet.text).replace('\n', " ")
        ))?;
    }
    Ok(())
}

async fn export<W: Write + Send + 'static>(
    store: &SessionStore,
    id: &SessionId,
    format: ExportFormat,
    out: W,
) -> Result<(), Failure> {
    let out = io::BufWriter::new(out);
    match format {
        ExportFormat::Markdown => store.export_markdown(id, out).await?,
        ExportFormat::Json => store.export_json(id, out).await?,
    };
    Ok(())
}

/// A file that was not there before, readable by its owner alone: a session holds what its files held.
fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            let failure = Failure::new(
                Exit::Failed,
                format!("{} can't be written: {error}", path.display()),
            );
            if error.kind() == io::ErrorKind::AlreadyExists {
                failure.advise("choose another name, or delete the file first")
            } else {
                failure
            }
        })
}

async fn delete(store: &SessionStore, audit: &AuditLog, part: &str, yes: bool) -> Result<(), Failure> {
    let id = store.resolve(part).await?;
    let session = store.get(&id).await?;
    if !yes {
        if !io::stdin().is_terminal() {
            let failure = Failure::new(
                Exit::Usage,
                format!("session {} was not deleted: nobody can be asked", id.short()),
            );
            return Err(failure.advise("add --yes"));
        }
        let title = visible(&session.title);
        output::note(&format!(
            "Delete session {} \"{title}\" with {} messages? [y/N]",
            id.short(),
            session.messages
        ));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(Failure::internal)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return output::line("nothing was deleted");
        }
    }
    record(audit, "session deleted", id.to_string())?;
    store.delete(&id).await?;
    output::line(&format!("deleted {id}"))
}

fn local(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string()
}

/// A sum that leaves out requests of unknown price says so.
fn cost(session: &SessionInfo) -> String {
    let more = if session.cost.unpriced > 0 { "+" } else { "" };
    format!("${:.4}{more}", session.cost.usd)
}

fn shortened(title: &str) -> String {
    let title = title.replace('\n', " ");
    match title.char_indices().nth(TITLE_COLUMNS) {
        Some((cut, _)) => format!("{}…", &title[..cut]),
        None => title,
    }
}
