//! A run shown to a person: the answer on standard output, what happens meanwhile on standard error.

use agent_core::{AgentEvent, Finished, Outcome, PlanItem};

use crate::cli::output::{self, Style, visible};
use crate::cli::styled::Line;
use crate::cli::{Failure, markdown};

/// Lines of a tool's output that are shown; the session keeps more.
const PREVIEW_LINES: usize = 4;

/// The tool whose result is the plan.
const PLAN_TOOL: &str = "update_plan";

/// Columns of one such line.
const PREVIEW_COLUMNS: usize = 100;

/// Prints events as text. On a terminal the answer streams; into a pipe or a file only the final answer goes, so that
/// what a replayed turn had shown before never stands there twice.
pub(super) struct TextPrinter {
    style: Style,
    streams: bool,
    tells: bool,
    /// The part of the answer that later text could still change; shown when its paragraph ends.
    answer: String,
    /// Calls that have not finished: id and summary.
    calls: Vec<(String, String)>,
    /// The call whose head was the last line told: its output may follow.
    open_head: Option<String>,
    plan: Vec<PlanItem>,
    /// A plan that is not shown yet; empty when there is none.
    next_plan: Vec<PlanItem>,
}

impl TextPrinter {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            style: Style::for_notes(),
            streams: output::is_terminal(),
            tells: !quiet,
            answer: String::new(),
            calls: Vec::new(),
            open_head: None,
            plan: Vec::new(),
            next_plan: Vec::new(),
        }
    }

    pub(super) fn show(&mut self, event: &AgentEvent) -> Result<(), Failure> {
        let Style {
            dim,
            yellow,
            red,
            reset,
            ..
        } = self.style;
        match event {
            AgentEvent::TextDelta { text } if self.streams => {
                self.answer.push_str(text);
                let finished = markdown::finished_prefix(&self.answer);
                self.show_answer(finished)?;
            }
            AgentEvent::ToolRequested { .. } | AgentEvent::Finished(_) if !self.answer.is_empty() => {
                self.show_answer(self.answer.len())?;
                return self.show(event);
            }
            // The plan itself is shown when it changes; that it was changed is no news beside it.
            AgentEvent::ToolRequested { name, .. } if name == PLAN_TOOL => {}
            AgentEvent::ToolFinished { name, is_error: false, .. } if name == PLAN_TOOL => {}
            AgentEvent::ToolRequested { id, summary, .. } => self.calls.push((id.clone(), summary.clone())),
            // Alone, a call is told when it begins, because it may take long. Of several at once each is told with its
            // output.
            AgentEvent::ToolStarted { id } if self.calls.len() == 1 && self.calls[0].0 == *id => self.head(id)?,
            AgentEvent::ToolFinished { id, output, is_error, .. } => {
                if self.open_head.as_ref() != Some(id) {
                    self.head(id)?;
                }
                self.calls.retain(|(call, _)| call != id);
                let colour = if *is_error { red } else { dim };
                for line in preview(output) {
                    self.note(&format!("{colour}  │ {line}{reset}"))?;
                }
                self.show_plan()?;
            }
            AgentEvent::PlanUpdated { items } => {
                self.next_plan.clone_from(items);
                if self.open_head.is_none() {
                    self.show_plan()?;
                }
            }
            AgentEvent::Retrying { attempt, delay_ms, reason } => {
                let seconds = *delay_ms as f64 / 1000.0;
                self.note(&format!("{yellow}attempt {attempt} failed: {}; again in {seconds:.1} s{reset}", visible(reason)))?;
            }
            AgentEvent::TurnRestarted { reason } => {
                self.answer.clear();
                self.note(&format!(
                    "{yellow}the answer broke off ({}); it is asked for again, from its start{reset}",
                    visible(reason)
                ))?;
            }
            AgentEvent::Compacted { messages_before, tokens_before, tokens_after } => self.note(&format!(
                "{dim}{messages_before} messages were summarised: about {tokens_before} tokens became {tokens_after}{reset}"
            ))?,
            AgentEvent::Warning { message } => self.always(&format!("{yellow}warning:{reset} {}", visible(message)))?,
            AgentEvent::SessionDistrusted { source } => {
                self.always(&format!("{yellow}note:{reset} {}", visible(&output::distrusted(source))))?;
            }
            AgentEvent::Finished(finished) => self.finish(finished)?,
            _ => {}
        }
        Ok(())
    }

    /// The line above a call's output.
    fn head(&mut self, id: &str) -> Result<(), Failure> {
        let Some((_, summary)) = self.calls.iter().find(|(call, _)| call == id) else {
            return Ok(());
        };
        let Style { dim, reset, .. } = self.style;
        let head = format!("{dim}● {}{reset}", visible(summary));
        self.note(&head)?;
        self.open_head = Some(id.to_owned());
        Ok(())
    }

    fn show_plan(&mut self) -> Result<(), Failure> {
        let plan = std::mem::take(&mut self.next_plan);
        if plan.is_empty() {
            return Ok(());
        }
        let Style { dim, reset, .. } = self.style;
        for item in changes(&self.plan, &plan) {
            self.note(&format!(
                "{dim}  {} {}{reset}",
                output::plan_mark(item.status),
                visible(&item.step)
            ))?;
        }
        self.plan = plan;
        Ok(())
    }

    fn finish(&mut self, finished: &Finished) -> Result<(), Failure> {
        if self.streams {
            output::note("");
        } else if !finished.text.is_empty() {
            output::line(&finished.text)?;
        }
        let Style {
            bold,
            red,
            dim,
            reset,
            ..
        } = self.style;
        if let Some(error) = &finished.error {
            let word = if finished.outcome == Outcome::Failed {
                "error"
            } else {
                finished.outcome.as_str()
            };
            self.always(&format!(
                "{bold}{red}{}:{reset} {}",
                word.replace('_', " "),
                visible(&error.message)
            ))?;
            if !error.advice.is_empty() {
                self.always(&format!("  {}", visible(&error.advice)))?;
            }
        }
        let cost = finished
            .cost_usd
            .map_or_else(|| "cost unknown".to_owned(), |usd| format!("${usd:.4}"));
        let tokens = finished.usage;
        let seconds = finished.duration_ms as f64 / 1000.0;
        self.note(&format!(
            "{dim}{} turns, {} tokens in, {} out, {cost}, {seconds:.1} s, session {}{reset}",
            finished.turns,
            tokens.input_tokens + tokens.cache_read_input_tokens + tokens.cache_creation_input_tokens,
            tokens.output_tokens,
            finished.session_id,
        ))
    }

    fn note(&mut self, text: &str) -> Result<(), Failure> {
        if self.tells { self.always(text) } else { Ok(()) }
    }

    fn always(&mut self, text: &str) -> Result<(), Failure> {
        self.open_head = None;
        output::note(text);
        Ok(())
    }

    /// Shows the first `length` bytes of the answer for good, each part below a blank line.
    fn show_answer(&mut self, length: usize) -> Result<(), Failure> {
        let rest = self.answer.split_off(length);
        let part = std::mem::replace(&mut self.answer, rest);
        let rows = markdown::render(&part, output::columns());
        if !rows.is_empty() {
            self.open_head = None;
            let text: Vec<String> = rows.iter().map(Line::ansi).collect();
            output::line(&format!("\n{}", text.join("\n")))?;
        }
        Ok(())
    }
}

/// The steps of the plan that are new or stand otherwise than before; of the first plan, all.
fn changes<'a>(before: &[PlanItem], now: &'a [PlanItem]) -> Vec<&'a PlanItem> {
    now.iter().filter(|item| !before.contains(item)).collect()
}

/// The first lines of a tool's output, cut to a width, with a last line that says how many are left out.
fn preview(output: &str) -> Vec<String> {
    let mut lines: Vec<String> = output
        .lines()
        .take(PREVIEW_LINES)
        .map(|line| {
            let line = visible(line);
            match line.char_indices().nth(PREVIEW_COLUMNS) {
                Some((cut, _)) => format!("{}…", &line[..cut]),
                None => line.into_owned(),
            }
        })
        .collect();
    let rest = output.lines().count().saturating_sub(PREVIEW_LINES);
    if rest > 0 {
        lines.push(output::more_lines(rest));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_in_the_plan_is_told() {
        use agent_core::PlanStatus::{Completed, InProgress, Pending};
        let plan = |first, second| {
            [("look", first), ("fix", second)]
                .map(|(step, status)| PlanItem {
                    step: step.to_owned(),
                    status,
                })
                .to_vec()
        };
        let (begun, later) = (plan(InProgress, Pending), plan(Completed, Pending));
        assert_eq!(changes(&[], &begun).len(), 2);
        assert_eq!(changes(&begun, &later), [&later[0]]);
    }

    #[test]
    fn previews_are_short_and_say_what_is_left_out() {
        let lines = preview("1\n2\n3\n4\n5\n6");
        assert_eq!(lines, ["1", "2", "3", "4", "… 2 more lines"]);
        assert_eq!(preview(&"é".repeat(300))[0].chars().count(), PREVIEW_COLUMNS + 1);
        assert!(preview("").is_empty());
    }
}
