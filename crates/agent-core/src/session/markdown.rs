//! A session as Markdown for people to read.

use std::io::{self, Write};

use agent_claude::messages::Role;

use super::catalogue;
use super::error::StoreError;
use super::export::{each_message, written};
use super::readers::Readers;
use super::text::{self, Part};
use super::types::{SessionId, SessionInfo, StoredMessage};

/// What was said stands as it is; tool calls and their results are folded away in fenced blocks.
pub(super) fn markdown<W: Write>(readers: &Readers, id: SessionId, out: &mut W) -> Result<(), StoreError> {
    let session = readers.read_blocking(|c| catalogue::get(c, id))?;
    written(|| write_head(out, &session))?;
    each_message(readers, &session, |message, _| write_message(out, message))?;
    written(|| out.flush())
}

fn write_head<W: Write>(out: &mut W, session: &SessionInfo) -> io::Result<()> {
    let title = match session.title.trim() {
        "" => "Session",
        title => title,
    };
    writeln!(out, "# {}\n", one_line(title))?;
    writeln!(out, "- session: `{}`", session.id)?;
    writeln!(
        out,
        "- workspace: `{}`",
        one_line(&session.workspace.display().to_string())
    )?;
    writeln!(out, "- model: `{}`", one_line(&session.model))?;
    writeln!(out, "- created: {}", session.created.format("%Y-%m-%d %H:%M UTC"))?;
    writeln!(out, "- messages: {}", session.messages)?;
    if let Some(source) = &session.distrusted {
        writeln!(out, "- holds what a stranger wrote: `{}`", one_line(source))?;
    }
    let cost = &session.cost;
    write!(
        out,
        "- used: {} input and {} output tokens, ${:.4}",
        cost.prompt_tokens(),
        cost.output_tokens,
        cost.usd
    )?;
    match cost.unpriced {
        0 => writeln!(out),
        unpriced => writeln!(out, " ({unpriced} requests with no known price)"),
    }
}

fn write_message<W: Write>(out: &mut W, message: &StoredMessage) -> io::Result<()> {
    let parts = text::parts(message.content.get());
    // Results of tools come in a user's message, but no person wrote them.
    let only_results = !parts.is_empty() && parts.iter().all(|part| matches!(part, Part::ToolResult { .. }));
    let speaker = match message.role {
        Role::User if only_results => "Tools",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::System => "System",
    };
    writeln!(out, "\n## {speaker}")?;
    parts.iter().try_for_each(|part| write_part(out, part))
}

fn write_part<W: Write>(out: &mut W, part: &Part) -> io::Result<()> {
    match part {
        Part::Text(text) => writeln!(out, "\n{}", text.trim_end()),
        Part::ToolUse { name, input } => write_folded(out, name, "json", &format!("{input:#}")),
        Part::ToolResult { text, is_error: true } => write_folded(out, "result: error", "text", text),
        Part::ToolResult {
            text,
            is_error: false,
        } => write_folded(out, "result", "text", text),
        // Signed thinking is for the model, not for a reader.
        Part::Other(kind) if kind.ends_with("thinking") => Ok(()),
        Part::Other(kind) => writeln!(out, "\n*({}, not shown)*", escaped(kind)),
    }
}

fn write_folded<W: Write>(out: &mut W, summary: &str, language: &str, body: &str) -> io::Result<()> {
    let fence = "`".repeat(longest_run(body, '`').max(2) + 1);
    writeln!(out, "\n<details><summary>{}</summary>\n", escaped(summary))?;
    writeln!(
        out,
        "{fence}{language}\n{}\n{fence}\n\n</details>",
        body.trim_end_matches('\n')
    )
}

/// A fence has to be longer than any in the body.
fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || c == '`' { ' ' } else { c })
        .collect()
}

/// For a line of HTML.
fn escaped(text: &str) -> String {
    one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
