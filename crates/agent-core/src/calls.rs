//! Runs the tool calls of one answer: prepared, judged, asked about, run, and answered in the order of the request.

mod recorded;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use agent_claude::messages::{ToolResultBlock, ToolUseBlock};
use agent_performance::instrumentation::within;
use agent_security::audit::{AuditLog, Decision, ToolOutcome};
use agent_security::permission::{Grants, Policy, Verdict};
use agent_security::redact::Redactor;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use recorded::{POLICY, name_of};

use crate::control::Shared;
use crate::emitter::Emitter;
use crate::event::{AgentEvent, ApprovalAnswer, ResolvedBy};
use crate::instruments::{Instruments, ToolFailure};
use crate::scheduling::Schedule;
use crate::session::{SessionId, SessionStore, StoreError};
use crate::tools::{
    LiveOutput, PathFilter, Prepared, ToolContext, ToolError, ToolRegistry, ToolResult, bound_text, conflicts,
};
use crate::workspace::Workspace;

/// Calls of one answer that are run. Real answers hold a handful; the rest is answered with an error, so that one
/// answer can't start a thousand commands.
const MAX_CALLS: usize = 64;

/// Pieces of live output between a tool and the event stream; tools pace themselves, so this is over a second's worth.
const LIVE_PIECES: usize = 32;

/// Bytes of a result in its event: a screen. The model gets the whole result.
const PREVIEW_BYTES: usize = 4 * 1024;

/// Bytes of a call's summary in the report of what was denied.
const SUMMARY_BYTES: usize = 300;

/// How long a stopped tool may take to kill its children and say what it did before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Bytes of all results of one answer together, however large the window; each gets an equal share when they are more.
/// They are stored as one message, whose limit this stays below even where every byte has to be escaped.
const MAX_RESULTS_BYTES: usize = 2 * 1024 * 1024;

/// For a call that was cut off, or that is not JSON.
const NOT_WHOLE: &str = "not run: the input is not a whole JSON object, most likely because the answer reached its token \
limit. Ask again, in smaller parts if it is long.";

/// For an answer that holds for this call alone.
const OVERTAKEN: &str =
    "allowed this once only: while the question was open, the session took in what a stranger wrote";

const CANCELLED: &str = "cancelled before it ran; nothing was done";

/// What running calls needs; lives as long as the run.
pub(crate) struct CallRunner<'a> {
    pub(crate) tools: &'a ToolRegistry,
    pub(crate) workspace: &'a Workspace,
    pub(crate) policy: &'a Policy,
    pub(crate) redactor: &'a Redactor,
    pub(crate) grants: &'a watch::Sender<Grants>,
    pub(crate) store: &'a SessionStore,
    pub(crate) session: SessionId,
    pub(crate) may_read: PathFilter,
    pub(crate) control: &'a Shared,
    pub(crate) emitter: &'a Emitter,
    pub(crate) instruments: &'a Instruments,
    pub(crate) audit: &'a AuditLog,
    pub(crate) max_parallel: usize,
    /// Tokens of the model's window.
    pub(crate) window: u64,
}

/// What came of the calls of one answer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// One a call, in the order of the request.
    pub(crate) results: Vec<ToolResultBlock>,
    /// What the policy refused, one line each.
    pub(crate) denied: Vec<String>,
}

/// A call's end, before it is told.
struct End {
    result: ToolResult,
    took: Duration,
    denied: Option<String>,
}

/// A call's end, after it was told.
struct Told {
    content: String,
    is_error: bool,
    denied: Option<String>,
}

impl End {
    fn unrun(message: impl Into<String>) -> Self {
        Self {
            result: ToolResult::error(message),
            took: Duration::ZERO,
            denied: None,
        }
    }
}

type Ready = Result<Box<dyn Prepared>, ToolError>;

impl CallRunner<'_> {
    /// Runs all of them. Returns early with `cancelled` results when the run is stopped; never fails.
    pub(crate) async fn run(&self, calls: &[ToolUseBlock]) -> Answers {
        let ready: Vec<Ready> = calls
            .iter()
            .enumerate()
            .map(|(at, call)| self.prepare(at, call))
            .collect();
        for (call, ready) in calls.iter().zip(&ready) {
            let summary = ready
                .as_ref()
                .map_or_else(|_| call.name.clone(), |prepared| prepared.summary());
            let (id, name, input) = (call.id.clone(), call.name.clone(), call.input.clone());
            self.emitter
                .emit(AgentEvent::ToolRequested {
                    id,
                    name,
                    input,
                    summary,
                })
                .await;
        }
        let schedule = plan(&ready, self.max_parallel);
        let ends = join_all(calls.iter().zip(ready).enumerate().map(|(at, (call, ready))| {
            let schedule = &schedule;
            async move {
                let _ended = schedule.until_dropped(at);
                let end = self.one(at, call, ready, schedule).await;
                self.finish(call, end).await
            }
        }))
        .await;
        answers(calls, ends, self.max_results_bytes())
    }

    /// Results have to leave room for the conversation they belong to: with a byte for each token of the window they
    /// fill some third of it.
    fn max_results_bytes(&self) -> usize {
        usize::try_from(self.window).map_or(MAX_RESULTS_BYTES, |window| window.min(MAX_RESULTS_BYTES))
    }

    fn prepare(&self, at: usize, call: &ToolUseBlock) -> Ready {
        if at >= MAX_CALLS {
            let message =
                format!("not run: one answer may hold {MAX_CALLS} calls; ask for the rest in the next");
            return Err(ToolError::new(message));
        }
        call.input_object().map_err(|_| ToolError::new(NOT_WHOLE))?;
        let prepare = || self.tools.prepare(&call.name, call.input.clone(), self.workspace);
        // A fault in one tool is an answer to one call, here as in `execute`.
        std::panic::catch_unwind(AssertUnwindSafe(prepare))
            .unwrap_or_else(|_| Err(ToolError::new(panicked(&call.name).content)))
    }

    async fn one(&self, at: usize, call: &ToolUseBlock, ready: Ready, schedule: &Schedule) -> End {
        let asked = Instant::now();
        schedule.predecessors(at).await;
        let held_up = asked.elapsed();
        if self.stopped() {
            return End::unrun(CANCELLED);
        }
        // What ran before may have changed what this call would touch: it is judged as things are now.
        let ready = if schedule.has_predecessors(at) {
            self.prepare(at, call)
        } else {
            ready
        };
        let prepared = match ready {
            Ok(prepared) => prepared,
            Err(error) => return End::unrun(error.message),
        };
        if let Err(end) = self.permit(call, prepared.as_ref()).await {
            return end;
        }
        let permitted = Instant::now();
        let _room = schedule.room().await;
        if self.stopped() {
            return End::unrun(CANCELLED);
        }
        self.instruments
            .tool_queued(&call.name, held_up + permitted.elapsed());
        self.execute(call, prepared).await
    }

    /// Asks the policy and, if that says so, a person.
    async fn permit(&self, call: &ToolUseBlock, prepared: &dyn Prepared) -> Result<(), End> {
        let verdict = self
            .policy
            .decide_with(&call.name, &prepared.actions(), &self.grants.borrow());
        match verdict {
            Verdict::Allow { warning } => {
                if let Some(warning) = &warning {
                    self.emitter
                        .warn(format!("{}: {warning}", prepared.summary()))
                        .await;
                }
                self.decided(
                    call,
                    prepared,
                    Decision::Allowed,
                    POLICY,
                    warning.unwrap_or_default(),
                )
                .await
            }
            Verdict::Deny { reason } => {
                self.decided(call, prepared, Decision::Denied, POLICY, reason.clone())
                    .await?;
                Err(denied(prepared, &reason))
            }
            Verdict::Ask { reason } => self.ask(call, prepared, reason).await,
        }
    }

    async fn ask(&self, call: &ToolUseBlock, prepared: &dyn Prepared, reason: String) -> Result<(), End> {
        let Some(open) = self.control.approvals.open() else {
            let reason = "too many calls wait for approval at once";
            self.decided(call, prepared, Decision::Denied, POLICY, reason.to_owned())
                .await?;
            return Err(denied(prepared, reason));
        };
        let approval_id = open.id;
        let distrustful = self.grants.borrow().distrusted().is_some();
        self.emitter
            .emit(AgentEvent::ApprovalRequested {
                approval_id,
                tool_use_id: call.id.clone(),
                tool: call.name.clone(),
                summary: prepared.summary(),
                reason: reason.clone(),
                detail: prepared.detail(),
            })
            .await;
        let covered = self.granted(call, prepared);
        let (answer, by) = open
            .wait(self.control.stopper.token(), &self.control.deserted, covered)
            .await;
        self.emitter
            .emit(AgentEvent::ApprovalResolved {
                approval_id,
                answer: answer.clone(),
                by,
            })
            .await;
        let decision = match answer {
            ApprovalAnswer::Deny { .. } => Decision::Denied,
            ApprovalAnswer::AllowOnce | ApprovalAnswer::AllowForSession => Decision::Allowed,
        };
        self.decided(call, prepared, decision, name_of(by), reason.clone())
            .await?;
        match (answer, by) {
            (ApprovalAnswer::AllowForSession, ResolvedBy::User) => {
                self.grant(call, prepared, distrustful).await;
                Ok(())
            }
            (ApprovalAnswer::AllowOnce | ApprovalAnswer::AllowForSession, _) => Ok(()),
            (ApprovalAnswer::Deny { .. }, ResolvedBy::RunEnded) => Err(End::unrun(CANCELLED)),
            (ApprovalAnswer::Deny { reason: None }, ResolvedBy::NobodyLeft) => {
                Err(denied(prepared, &format!("{reason}, and nobody is left to ask")))
            }
            (ApprovalAnswer::Deny { reason }, _) => {
                let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Err(End::unrun(format!("the user said no{why}")))
            }
        }
    }

    /// Completes when an answer to another question makes this one needless.
    async fn granted(&self, call: &ToolUseBlock, prepared: &dyn Prepared) {
        let mut grants = self.grants.subscribe();
        let covered = |grants: &Grants| {
            !matches!(
                self.policy.decide_with(&call.name, &prepared.actions(), grants),
                Verdict::Ask { .. }
            )
        };
        // The sender outlives the run, so waiting ends only by the condition.
        drop(grants.wait_for(covered).await);
    }

    /// Remembers an answer that was given to a question asked while the session was `distrustful` or not. A person who knew nothing of a stranger's
    /// words has allowed this call, which the model asked for without them too, but not what comes of them.
    async fn grant(&self, call: &ToolUseBlock, prepared: &dyn Prepared, distrustful: bool) {
        let mut refused = None;
        self.grants.send_modify(|grants| {
            refused = match grants.distrusted().is_some() == distrustful {
                true => grants
                    .allow_for_session(&call.name, &prepared.actions())
                    .err()
                    .map(|refused| refused.to_string()),
                false => Some(OVERTAKEN.to_owned()),
            };
        });
        if let Some(refused) = refused {
            self.emitter
                .warn(format!("{}: {refused}", prepared.summary()))
                .await;
        }
    }

    async fn execute(&self, call: &ToolUseBlock, prepared: Box<dyn Prepared>) -> End {
        self.emitter
            .emit(AgentEvent::ToolStarted { id: call.id.clone() })
            .await;
        let begun = Instant::now();
        let mut span = self.instruments.tool_call(&call.name, &call.id);
        let action = prepared.summary();
        let (sender, mut pieces) = mpsc::channel(LIVE_PIECES);
        let stop = self.control.stopper.token();
        let context = ToolContext::new(stop.child_token())
            .with_output(LiveOutput::new(sender))
            .with_redactor(self.redactor.clone())
            .with_path_filter(self.may_read.clone());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::pin!(overdue);
        let run = AssertUnwindSafe(within(span.context(), prepared.run(context))).catch_unwind();
        tokio::pin!(run);
        let (result, failure) = loop {
            tokio::select! {
                result = &mut run => break match result {
                    Ok(result) => {
                        let failure = match stop.is_cancelled() {
                            true => ToolFailure::Cancelled,
                            false => ToolFailure::Told,
                        };
                        let failure = result.is_error.then_some(failure);
                        (result, failure)
                    }
                    Err(_) => (panicked(&call.name), Some(ToolFailure::Panicked)),
                },
                Some(piece) = pieces.recv() => self.show(&call.id, &piece),
                () = &mut overdue => {
                    let result = ToolResult::error("cancelled; it did not stop in time and was dropped");
                    break (result, Some(ToolFailure::Cancelled));
                }
            }
        };
        let took = begun.elapsed();
        if let Some(failure) = failure {
            span.fail(failure.as_str());
        }
        drop(span);
        self.instruments
            .tool_ran(&call.name, took, result.content.len(), failure);
        let outcome = match &failure {
            None => ToolOutcome::Done,
            Some(ToolFailure::Cancelled) => ToolOutcome::Cancelled,
            Some(ToolFailure::Told | ToolFailure::Panicked) => ToolOutcome::Failed,
        };
        self.executed(call, action, outcome, took).await;
        while let Ok(piece) = pieces.try_recv() {
            self.show(&call.id, &piece);
        }
        End {
            result,
            took,
            denied: None,
        }
    }

    fn show(&self, id: &str, piece: &str) {
        let text = self.redactor.redact(piece).into_owned();
        self.emitter.offer(AgentEvent::ToolOutput {
            id: id.to_owned(),
            text,
        });
    }

    /// Tells the end of a call, and makes of it what the model is told. Secrets are taken out first, so that they
    /// reach neither the model nor the store.
    async fn finish(&self, call: &ToolUseBlock, end: End) -> Told {
        let ToolResult {
            mut content,
            mut is_error,
            truncated,
            plan,
            distrusted,
        } = end.result;
        if let Some(source) = distrusted
            && let Err(error) = self.distrust(&source).await
        {
            // What can't be remembered as a stranger's must not be stored as if it were not.
            content = format!(
                "not shown: the session could not be marked as holding what a stranger wrote: {error}"
            );
            is_error = true;
        }
        let content = self.redactor.redact(&content).into_owned();
        if let Some(items) = plan {
            self.emitter.emit(AgentEvent::PlanUpdated { items }).await;
        }
        let preview = bound_text(&content, PREVIEW_BYTES);
        self.emitter
            .emit(AgentEvent::ToolFinished {
                id: call.id.clone(),
                name: call.name.clone(),
                is_error,
                truncated: truncated || preview.left_out > 0,
                output: preview.text,
                duration_ms: millis(end.took),
            })
            .await;
        Told {
            content,
            is_error,
            denied: end.denied,
        }
    }

    /// From here on, and whenever it is resumed, the session asks before it runs something or asks another host. Before the model is told, so that no
    /// call it makes because of the content is judged without.
    async fn distrust(&self, source: &str) -> Result<(), StoreError> {
        let source = self.redactor.redact(source);
        let mut is_new = false;
        let mut kept = String::new();
        self.grants.send_if_modified(|grants| {
            is_new = grants.distrust(&source);
            kept = grants.distrusted().unwrap_or_default().to_owned();
            is_new
        });
        self.store.distrust(&self.session, &kept).await?;
        if is_new {
            self.emitter
                .emit(AgentEvent::SessionDistrusted { source: kept })
                .await;
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.control.stopper.cause().is_some()
    }
}

/// A call that could not be prepared may only be early: it waits for all before it and is prepared again.
fn plan(ready: &[Ready], parallel: usize) -> Schedule {
    let actions: Vec<_> = ready
        .iter()
        .map(|ready| ready.as_ref().map(|prepared| prepared.actions()))
        .collect();
    Schedule::new(ready.len(), parallel, |earlier, later| {
        match (&actions[earlier], &actions[later]) {
            (Ok(earlier), Ok(later)) => conflicts(earlier, later),
            (_, Err(_)) => true,
            // The first call is not prepared again; another one may by then turn out to write what a later one reads.
            (Err(_), Ok(_)) => earlier > 0,
        }
    })
}

/// What the model and the caller are told.
fn answers(calls: &[ToolUseBlock], ends: Vec<Told>, limit: usize) -> Answers {
    let total: usize = ends.iter().map(|end| end.content.len()).sum();
    let share = if total > limit { limit / ends.len() } else { total };
    let mut answers = Answers::default();
    for (
        call,
        Told {
            content,
            is_error,
            denied,
        },
    ) in calls.iter().zip(ends)
    {
        let content = bound_text(&content, share).text;
        answers.results.push(match is_error {
            true => ToolResultBlock::failure(&call.id, content),
            false => ToolResultBlock::success(&call.id, content),
        });
        answers.denied.extend(denied);
    }
    answers
}

fn denied(prepared: &dyn Prepared, reason: &str) -> End {
    let line = format!(
        "{}: {reason}",
        bound_text(&prepared.summary(), SUMMARY_BYTES).text
    );
    End {
        denied: Some(line),
        ..End::unrun(format!("denied by the permission policy: {reason}"))
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn panicked(tool: &str) -> ToolResult {
    tracing::error!(tool, "a tool panicked");
    ToolResult::error("the tool failed by a fault of its own; whether it did anything is not known")
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_claude::messages::ToolResultContent;

    #[test]
    fn the_results_of_one_answer_are_bounded_together() {
        let call = |id: &str| ToolUseBlock::new(id, "t", serde_json::Map::new());
        let told = |size| Told {
            content: "x".repeat(size),
            is_error: false,
            denied: None,
        };
        let length = |result: &ToolResultBlock| match &result.content {
            Some(ToolResultContent::Text(text)) => text.len(),
            other => unreachable!("{other:?}"),
        };
        let calls = [call("a"), call("b")];
        let small = answers(&calls, vec![told(10), told(0)], MAX_RESULTS_BYTES);
        assert_eq!(small.results.iter().map(length).collect::<Vec<_>>(), [10, 0]);
        let large = answers(&calls, vec![told(MAX_RESULTS_BYTES), told(10)], MAX_RESULTS_BYTES);
        assert!(length(&large.results[0]) < MAX_RESULTS_BYTES / 2 + 100);
        assert_eq!(length(&large.results[1]), 10);
    }
}
