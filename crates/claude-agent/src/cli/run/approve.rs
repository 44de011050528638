//! Approvals at the terminal of a `run`: one question at a time, answered by a line.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal};

use agent_core::{AgentEvent, ApprovalAnswer, ApprovalId};
use tokio::task::JoinHandle;

use crate::cli::args::RunFormat;
use crate::cli::output::{self, Style, visible};

/// Lines of a diff or a command that are shown with the question.
const DETAIL_LINES: usize = 40;

/// What a person decided.
pub(super) struct Answered {
    pub(super) id: ApprovalId,
    pub(super) answer: ApprovalAnswer,
}

struct Question {
    id: ApprovalId,
    text: String,
}

/// Asks on standard error and reads from standard input, when both are a terminal.
pub(super) struct Approver {
    present: bool,
    waiting: VecDeque<Question>,
    reading: Option<(ApprovalId, JoinHandle<io::Result<String>>)>,
}

impl Approver {
    /// Only the text format asks: the others are read by programs.
    pub(super) fn new(format: RunFormat) -> Self {
        let present = format == RunFormat::Text && io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            present,
            waiting: VecDeque::new(),
            reading: None,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// Takes note of questions, and of those that were answered otherwise.
    pub(super) fn see(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::ApprovalRequested {
                approval_id,
                summary,
                reason,
                detail,
                ..
            } => {
                let text = question(summary, reason, detail.as_deref());
                self.waiting.push_back(Question {
                    id: *approval_id,
                    text,
                });
            }
            AgentEvent::ApprovalResolved { approval_id, .. } => {
                self.waiting.retain(|question| question.id != *approval_id)
            }
            _ => {}
        }
    }

    /// Waits for the next answer; for ever while there is no question. Cancelling the wait loses nothing.
    pub(super) async fn next_answer(&mut self) -> Answered {
        loop {
            let Some((id, reading)) = &mut self.reading else {
                let Some(question) = self.waiting.pop_front() else {
                    return std::future::pending().await;
                };
                output::note(&question.text);
                self.reading = Some((question.id, tokio::task::spawn_blocking(read_line)));
                continue;
            };
            let (id, line) = (*id, reading.await);
            self.reading = None;
            // A terminal that is gone can't say yes.
            let line = line
                .map_err(io::Error::other)
                .and_then(|line| line)
                .unwrap_or_else(|_| "n".to_owned());
            match answer(&line) {
                Some(answer) => return Answered { id, answer },
                None => {
                    output::note("Please answer y, a or n:");
                    self.reading = Some((id, tokio::task::spawn_blocking(read_line)));
                }
            }
        }
    }
}

fn question(summary: &str, reason: &str, detail: Option<&str>) -> String {
    let Style {
        bold,
        dim,
        yellow,
        reset,
        ..
    } = Style::for_notes();
    let mut text = format!(
        "{yellow}?{reset} {bold}{}{reset}\n  {dim}{}{reset}\n",
        visible(summary),
        visible(reason)
    );
    if let Some(detail) = detail {
        for line in detail.lines().take(DETAIL_LINES) {
            text.push_str(&format!("  │ {}\n", visible(line)));
        }
        let rest = detail.lines().count().saturating_sub(DETAIL_LINES);
        if rest > 0 {
            text.push_str(&format!("  │ {}\n", output::more_lines(rest)));
        }
    }
    text.push_str("  [y] once  [a] always in this session  [n] no:");
    text
}

/// The end of standard input is a no.
fn read_line() -> io::Result<String> {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok("n".to_owned());
    }
    Ok(line)
}

fn answer(line: &str) -> Option<ApprovalAnswer> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(ApprovalAnswer::AllowOnce),
        "a" | "always" => Some(ApprovalAnswer::AllowForSession),
        "n" | "no" => Some(ApprovalAnswer::Deny { reason: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_counts() {
        for (line, expected) in [
            ("y\n", Some(ApprovalAnswer::AllowOnce)),
            (" Always ", Some(ApprovalAnswer::AllowForSession)),
            ("no", Some(ApprovalAnswer::Deny { reason: None })),
            ("", None),
            ("yep", None),
        ] {
            assert_eq!(answer(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_question_shows_what_would_be_done_without_escape_sequences() {
        let text = question("edit a.txt", "writes ask", Some("-old\n+new\x1b[2K"));
        assert!(
            text.contains("edit a.txt") && text.contains("+new\u{fffd}[2K"),
            "{text}"
        );
    }
}
