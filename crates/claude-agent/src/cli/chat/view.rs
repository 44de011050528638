//! What the chat shows: takes events in, gives finished rows and the live region out. No terminal here.

mod region;
mod rows;

use std::collections::VecDeque;
use std::time::Duration;

use agent_core::{AgentEvent, ApprovalId, Finished, Outcome, PlanItem};

use self::rows::{boxed, diff_style};
use crate::cli::markdown;
use crate::cli::styled::{Colour, Line, Style};

/// Rows of a tool's output that a card shows; the session keeps more.
const CARD_ROWS: usize = 6;

/// Rows of a diff or a command that an approval shows before it says how many are left out.
const DETAIL_ROWS: usize = 24;

/// The tool whose result is the plan: the plan is shown, not the call.
const PLAN_TOOL: &str = "update_plan";

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
            AgentEvent::SessionDistrusted { source } => self.notice(&crate::cli::output::distrusted(&source), Colour::Yellow),
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

    /// One less than the terminal has: a row that fills the last column leaves the cursor in a state that terminals
    /// treat differently.
    fn columns(&self) -> usize {
        self.width.saturating_sub(1).max(20)
    }
}

#[cfg(test)]
mod tests;
