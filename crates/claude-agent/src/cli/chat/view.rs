//! What the chat shows: takes events in, gives finished rows and the live region out. No terminal here.

use std::collections::VecDeque;
use std::time::Duration;

use agent_core::{AgentEvent, ApprovalId, Finished, Outcome, PlanItem};

use super::editor::Editor;
use crate::cli::markdown;
use crate::cli::output;
use crate::cli::screen::Frame;
use crate::cli::styled::{Colour, Line, Style, columns};

/// Rows of a tool's output that a card shows; the session keeps more.
const CARD_ROWS: usize = 6;

/// Rows of a diff or a command that an approval shows before it says how many are left out.
const DETAIL_ROWS: usize = 24;

/// Rows of the unfinished part of an answer that the live region shows: the region must fit the terminal.
const TAIL_ROWS: usize = 12;

/// Rows of the input line that are shown at once.
const INPUT_ROWS: usize = 8;

/// The tool whose result is the plan: the plan is shown, not the call.
const PLAN_TOOL: &str = "update_plan";

/// Tools that are listed while they run; a turn seldom asks for more.
const RUNNING_ROWS: usize = 8;

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// An approval that waits for a key.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: ApprovalId,
    rows: Vec<Line>,
}

#[derive(Debug)]
struct Running {
    id: String,
    summary: String,
    started: bool,
    last_output: String,
}

/// The state of the chat's picture.
pub(super) struct View {
    width: usize,
    height: usize,
    /// The part of the answer that is not yet shown for good.
    tail: String,
    shown_this_turn: bool,
    thinking: bool,
    running: Vec<Running>,
    approvals: VecDeque<Pending>,
    plan: Vec<PlanItem>,
    /// Time since the running task began; none while nothing runs.
    pub(super) busy: Option<Duration>,
    /// One line under the input: what a key did, or would do.
    pub(super) hint: Option<String>,
    model: String,
    session: Option<String>,
    cost: Option<f64>,
    tokens: u64,
}

impl View {
    pub(super) fn new(model: String, session: Option<String>, width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            tail: String::new(),
            shown_this_turn: false,
            thinking: false,
            running: Vec::new(),
            approvals: VecDeque::new(),
            plan: Vec::new(),
            busy: None,
            hint: None,
            model,
            session,
            cost: Some(0.0),
            tokens: 0,
        }
    }

    /// The session's id, once there is one.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Another session begins.
    pub(super) fn forget(&mut self) {
        *self = Self::new(std::mem::take(&mut self.model), None, self.width, self.height);
    }

    pub(super) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
    }

    /// The approval that a key answers.
    pub(super) fn pending(&self) -> Option<&Pending> {
        self.approvals.front()
    }

    /// The prompt as it stands in the conversation.
    pub(super) fn prompt(&self, text: &str) -> Vec<Line> {
        let mut rows = vec![Line::default()];
        for (index, line) in text.lines().enumerate() {
            let mut whole = Line::styled(if index == 0 { "❯ " } else { "  " }, Style::of(Colour::Cyan));
            whole.push(line, Style::BOLD);
            rows.extend(whole.wrap(self.columns(), "  "));
        }
        rows
    }

    /// Takes an event in; the rows that come back are finished.
    pub(super) fn apply(&mut self, event: AgentEvent) -> Vec<Line> {
        match event {
            AgentEvent::TurnStarted { .. } => {
                self.shown_this_turn = false;
                Vec::new()
            }
            AgentEvent::ThinkingDelta { .. } => {
                self.thinking = true;
                Vec::new()
            }
            AgentEvent::TextDelta { text } => self.text(&text),
            AgentEvent::ToolRequested { id, summary, .. } => {
                let rows = self.end_text();
                self.running.push(Running { id, summary, started: false, last_output: String::new() });
                rows
            }
            AgentEvent::ToolStarted { id } => {
                self.with_running(&id, |running| running.started = true);
                Vec::new()
            }
            AgentEvent::ToolOutput { id, text } => {
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
                if let Some(last) = last {
                    self.with_running(&id, |running| running.last_output = last);
                }
                Vec::new()
            }
            AgentEvent::ToolFinished { id, name, is_error, output, duration_ms, .. } => {
                self.tool_finished(&id, &name, is_error, &output, duration_ms)
            }
            AgentEvent::ApprovalRequested { approval_id, summary, reason, detail, .. } => {
                let rows = self.approval_rows(&summary, &reason, detail.as_deref());
                self.approvals.push_back(Pending { id: approval_id, rows });
                Vec::new()
            }
            AgentEvent::ApprovalResolved { approval_id, .. } => {
                self.approvals.retain(|pending| pending.id != approval_id);
                Vec::new()
            }
            AgentEvent::PlanUpdated { items } => {
                self.plan = items;
                Vec::new()
            }
            AgentEvent::UsageReported {
                input_tokens,
                output_tokens,
                cache_read_input_tokens,
                cache_creation_input_tokens,
                cost_usd,
                ..
            } => {
                self.tokens += input_tokens + output_tokens + cache_read_input_tokens + cache_creation_input_tokens;
                self.cost = self.cost.zip(cost_usd).map(|(sum, cost)| sum + cost);
                Vec::new()
            }
            AgentEvent::Retrying { attempt, delay_ms, reason } => {
                let seconds = delay_ms as f64 / 1000.0;
                self.notice(&format!("attempt {attempt} failed: {reason}; again in {seconds:.1} s"), Colour::Yellow)
            }
            AgentEvent::TurnRestarted { reason } => {
                self.tail.clear();
                let seen = if self.shown_this_turn { "; what it said above is void" } else { "" };
                self.notice(&format!("the answer broke off ({reason}); it is asked for again{seen}"), Colour::Yellow)
            }
            AgentEvent::Compacted { messages_before, tokens_before, tokens_after } => self.notice(
                &format!("{messages_before} messages were summarised: about {tokens_before} tokens became {tokens_after}"),
                Colour::Plain,
            ),
            AgentEvent::Warning { message } => self.notice(&message, Colour::Yellow),
            AgentEvent::Finished(finished) => self.finished(&finished),
            AgentEvent::SessionStarted { session_id, .. } => {
                self.session = Some(session_id);
                Vec::new()
            }
            AgentEvent::MessageStored { .. } | AgentEvent::Steered { .. } => Vec::new(),
        }
    }

    fn with_running(&mut self, id: &str, change: impl FnOnce(&mut Running)) {
        if let Some(running) = self.running.iter_mut().find(|running| running.id == id) {
            change(running);
        }
    }

    fn text(&mut self, text: &str) -> Vec<Line> {
        self.thinking = false;
        self.tail.push_str(text);
        let finished = markdown::finished_prefix(&self.tail);
        if finished == 0 {
            return Vec::new();
        }
        let rest = self.tail.split_off(finished);
        let block = std::mem::replace(&mut self.tail, rest);
        self.block(&block)
    }

    fn end_text(&mut self) -> Vec<Line> {
        self.thinking = false;
        let tail = std::mem::take(&mut self.tail);
        self.block(&tail)
    }

    /// A finished part of the answer, with a blank row before it.
    fn block(&mut self, markdown: &str) -> Vec<Line> {
        let rows = markdown::render(markdown, self.columns());
        if rows.is_empty() {
            return rows;
        }
        self.shown_this_turn = true;
        std::iter::once(Line::default()).chain(rows).collect()
    }

    fn tool_finished(
        &mut self,
        id: &str,
        name: &str,
        is_error: bool,
        output: &str,
        duration_ms: u64,
    ) -> Vec<Line> {
        let at = self.running.iter().position(|running| running.id == id);
        let summary = at.map_or_else(|| name.to_owned(), |at| self.running.remove(at).summary);
        if name == PLAN_TOOL && !is_error {
            return Vec::new();
        }
        let (mark, colour) = if is_error {
            ("✗ ", Colour::Red)
        } else {
            ("● ", Colour::Green)
        };
        let mut head = Line::styled(mark, Style::of(colour));
        head.push(summary, Style::BOLD);
        if duration_ms >= 1000 {
            head.push(format!("  {:.1} s", duration_ms as f64 / 1000.0), Style::DIM);
        }
        let mut rows = vec![Line::default()];
        rows.extend(head.wrap(self.columns(), "  "));
        rows.extend(boxed(output, CARD_ROWS, self.columns(), |_| Style::DIM));
        rows
    }

    fn approval_rows(&self, summary: &str, reason: &str, detail: Option<&str>) -> Vec<Line> {
        let mut head = Line::styled("? ", Style::of(Colour::Yellow));
        head.push(summary, Style::BOLD);
        let mut rows = head.wrap(self.columns(), "  ");
        rows.extend(Line::styled(format!("  {reason}"), Style::DIM).wrap(self.columns(), "  "));
        if let Some(detail) = detail {
            let room = DETAIL_ROWS.min(self.height.saturating_sub(8)).max(3);
            rows.extend(boxed(detail, room, self.columns(), diff_style));
        }
        rows
    }

    fn notice(&mut self, text: &str, colour: Colour) -> Vec<Line> {
        let style = if colour == Colour::Plain {
            Style::DIM
        } else {
            Style::of(colour)
        };
        Line::styled(format!("! {text}"), style).wrap(self.columns(), "  ")
    }

    fn finished(&mut self, finished: &Finished) -> Vec<Line> {
        let mut rows = self.end_text();
        self.running.clear();
        self.approvals.clear();
        self.busy = None;
        if self
            .plan
            .iter()
            .all(|item| item.status == agent_core::PlanStatus::Completed)
        {
            self.plan.clear();
        }
        if finished.outcome == Outcome::Cancelled {
            rows.extend(self.notice("stopped; what was done so far is kept", Colour::Yellow));
        } else if let Some(error) = &finished.error {
            let colour = if finished.outcome == Outcome::Partial {
                Colour::Yellow
            } else {
                Colour::Red
            };
            rows.extend(self.notice(&error.message, colour));
            if !error.advice.is_empty() {
                rows.extend(Line::plain(format!("  {}", error.advice)).wrap(self.columns(), "  "));
            }
        }
        rows
    }

    /// The live region: unfinished text, running tools, the plan, an approval or the input, and the status row.
    pub(super) fn frame(&self, editor: &Editor, tick: usize) -> Frame {
        let mut rows = Vec::new();
        if !self.tail.trim().is_empty() {
            let tail = markdown::render(&self.tail, self.columns());
            let skip = tail.len().saturating_sub(TAIL_ROWS);
            rows.push(Line::default());
            rows.extend(tail.into_iter().skip(skip));
        }
        rows.extend(self.running_rows(tick));
        rows.extend(self.plan_rows());
        rows.push(Line::default());
        let cursor = match self.approvals.front() {
            Some(pending) => {
                rows.extend(pending.rows.iter().cloned());
                rows.push(self.choices());
                (rows.len() - 1, columns(&self.choices().text()))
            }
            None => {
                let (input, (row, column)) = self.input(editor);
                let cursor = (rows.len() + row, column);
                rows.extend(input);
                cursor
            }
        };
        rows.push(self.status(tick));
        self.fit(rows, cursor)
    }

    /// The region must be lower than the terminal, or its top could not be reached again: rows at the top give way.
    fn fit(&self, mut rows: Vec<Line>, cursor: (usize, usize)) -> Frame {
        let over = rows
            .len()
            .saturating_sub(self.height.saturating_sub(1).max(3))
            .min(cursor.0);
        rows.drain(..over);
        Frame {
            rows,
            cursor: (cursor.0 - over, cursor.1),
        }
    }

    fn running_rows(&self, tick: usize) -> Vec<Line> {
        let mut rows = Vec::new();
        for running in self.running.iter().take(RUNNING_ROWS) {
            let mark = if running.started {
                SPINNER[tick % SPINNER.len()]
            } else {
                '·'
            };
            let mut line = Line::styled(format!("{mark} "), Style::of(Colour::Cyan));
            line.push(&running.summary, Style::PLAIN);
            if !running.last_output.is_empty() {
                line.push(format!("  {}", running.last_output), Style::DIM);
            }
            rows.push(cut(&line, self.columns()));
        }
        if self.running.len() > RUNNING_ROWS {
            rows.push(Line::styled(
                format!("  … {} more", self.running.len() - RUNNING_ROWS),
                Style::DIM,
            ));
        }
        rows
    }

    fn plan_rows(&self) -> Vec<Line> {
        let row = |item: &PlanItem| {
            cut(
                &Line::styled(
                    format!("  {} {}", output::plan_mark(item.status), item.step),
                    Style::DIM,
                ),
                self.columns(),
            )
        };
        let mut rows: Vec<Line> = self.plan.iter().take(RUNNING_ROWS).map(row).collect();
        if self.plan.len() > RUNNING_ROWS {
            rows.push(Line::styled(
                format!("  … {} more", self.plan.len() - RUNNING_ROWS),
                Style::DIM,
            ));
        }
        rows
    }

    fn choices(&self) -> Line {
        let more = self.approvals.len() - 1;
        let more = if more > 0 {
            format!("  ({more} more wait)")
        } else {
            String::new()
        };
        cut(
            &Line::plain(format!("  [y] once  [a] always in this session  [n] no{more} ")),
            self.columns(),
        )
    }

    fn input(&self, editor: &Editor) -> (Vec<Line>, (usize, usize)) {
        let mut rows = Vec::new();
        let mut cursor = (0, 2);
        let width = self.columns().saturating_sub(2).max(8);
        let mut position = editor.before_cursor().len();
        for (index, line) in editor.text().split('\n').enumerate() {
            let mark = if index == 0 { "❯ " } else { "  " };
            let pieces = pieces(line, width);
            for (piece_index, piece) in pieces.iter().enumerate() {
                let is_last = piece_index + 1 == pieces.len();
                if position < piece.len() || (is_last && position == piece.len()) {
                    cursor = (rows.len(), 2 + columns(&piece[..position]));
                    position = usize::MAX;
                } else if position != usize::MAX {
                    position -= piece.len();
                }
                let mut row = Line::styled(
                    if piece_index == 0 { mark } else { "  " },
                    Style::of(Colour::Cyan),
                );
                row.push(piece, Style::PLAIN);
                rows.push(row);
            }
            if position != usize::MAX {
                position = position.saturating_sub(1);
            }
        }
        if editor.is_empty() {
            let hint = if self.busy.is_some() {
                "type to steer the agent"
            } else {
                "ask for something, or /help"
            };
            rows[0].push(hint, Style::DIM);
        }
        let first = cursor.0.saturating_sub(INPUT_ROWS - 1);
        let rows: Vec<Line> = rows.into_iter().skip(first).take(INPUT_ROWS).collect();
        (rows, (cursor.0 - first, cursor.1))
    }

    fn status(&self, tick: usize) -> Line {
        let mut line = Line::default();
        if let Some(hint) = &self.hint {
            line.push(hint, Style::of(Colour::Yellow));
            return cut(&line, self.columns());
        }
        if let Some(busy) = self.busy {
            let doing = if !self.approvals.is_empty() {
                "waiting for you"
            } else if self.running.iter().any(|running| running.started) {
                "working"
            } else if self.thinking {
                "thinking"
            } else if self.tail.is_empty() {
                "waiting for the model"
            } else {
                "answering"
            };
            let spinner = SPINNER[tick % SPINNER.len()];
            line.push(
                format!("{spinner} {doing} {} s · Ctrl-C stops · ", busy.as_secs()),
                Style::DIM,
            );
        }
        let cost = self
            .cost
            .map_or_else(|| "cost unknown".to_owned(), |usd| format!("${usd:.4}"));
        line.push(
            format!("{} · {} tokens · {cost}", self.model, self.tokens),
            Style::DIM,
        );
        if let Some(id) = &self.session {
            // The end of an id tells sessions apart; the beginning is a clock.
            line.push(
                format!(" · session {}", &id[id.len().saturating_sub(8)..]),
                Style::DIM,
            );
        }
        cut(&line, self.columns())
    }

    /// One less than the terminal has: a row that fills the last column leaves the cursor in a state that terminals
    /// treat differently.
    fn columns(&self) -> usize {
        self.width.saturating_sub(1).max(20)
    }
}

/// Up to `limit` lines beside a bar, then how many are left out.
fn boxed(text: &str, limit: usize, width: usize, style: impl Fn(&str) -> Style) -> Vec<Line> {
    let mut rows = Vec::new();
    for line in text.lines().take(limit) {
        let mut row = Line::styled("  │ ", Style::DIM);
        row.push(line, style(line));
        rows.push(cut(&row, width));
    }
    let rest = text.lines().count().saturating_sub(limit);
    if rest > 0 {
        rows.push(Line::styled(
            format!("  │ {}", output::more_lines(rest)),
            Style::DIM,
        ));
    }
    rows
}

fn diff_style(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => Style::of(Colour::Green),
        Some(b'-') => Style::of(Colour::Red),
        _ => Style::PLAIN,
    }
}

/// The line as one row, with an ellipsis where it was cut.
fn cut(line: &Line, width: usize) -> Line {
    if columns(&line.text()) <= width {
        return line.clone();
    }
    let mut rest = width.saturating_sub(1);
    let mut short = Line::default();
    for span in &line.0 {
        let piece = pieces(&span.text, rest.max(1))[0];
        short.push(piece, span.style);
        rest = rest.saturating_sub(columns(piece));
        if piece.len() < span.text.len() || rest == 0 {
            break;
        }
    }
    short.push("…", Style::DIM);
    short
}

/// Cuts a text into pieces of at most `width` columns; an empty text is one empty piece.
fn pieces(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut column) = (0, 0);
    for (at, c) in text.char_indices() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        if column + wide > width && at > start {
            pieces.push(&text[start..at]);
            (start, column) = (at, 0);
        }
        column += wide;
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests;
