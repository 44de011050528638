//! Tool calls that wait for a person.
//!
//! Every wait ends: by an answer, by the end of the run, or because nobody is left who could answer. Everything
//! but an explicit yes is a no.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::event::{ApprovalAnswer, ApprovalId, ResolvedBy};

/// Most approvals open at once. One answer of the model rarely asks for more than a handful of tools; past this
/// nobody reads the questions any more, and the rest is denied.
const MAX_PENDING: usize = 64;

/// The open approvals of one run.
#[derive(Debug, Default)]
pub(crate) struct Approvals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    pending: HashMap<ApprovalId, oneshot::Sender<ApprovalAnswer>>,
}

/// One open approval; closed when dropped, answered or not.
#[derive(Debug)]
pub(crate) struct OpenApproval<'a> {
    pub(crate) id: ApprovalId,
    approvals: &'a Approvals,
    answer: oneshot::Receiver<ApprovalAnswer>,
}

impl Approvals {
    /// Opens one more; none when too many are open.
    pub(crate) fn open(&self) -> Option<OpenApproval<'_>> {
        let mut state = self.state.lock();
        if state.pending.len() >= MAX_PENDING {
            return None;
        }
        state.next += 1;
        let id = ApprovalId(state.next);
        let (sender, answer) = oneshot::channel();
        state.pending.insert(id, sender);
        Some(OpenApproval {
            id,
            approvals: self,
            answer,
        })
    }

    /// False when no such approval is open (any more).
    pub(crate) fn answer(&self, id: ApprovalId, answer: ApprovalAnswer) -> bool {
        let sender = self.state.lock().pending.remove(&id);
        sender.is_some_and(|sender| sender.send(answer).is_ok())
    }
}

impl OpenApproval<'_> {
    /// Waits for the answer, the end of the run (`stopped`), the last one who could answer going (`deserted`), or
    /// a rule that makes the question needless (`covered`).
    pub(crate) async fn wait(
        mut self,
        stopped: &CancellationToken,
        deserted: &CancellationToken,
        covered: impl Future<Output = ()>,
    ) -> (ApprovalAnswer, ResolvedBy) {
        let no = |by| (ApprovalAnswer::Deny { reason: None }, by);
        tokio::select! {
            biased;
            () = stopped.cancelled() => no(ResolvedBy::RunEnded),
            answer = &mut self.answer => match answer {
                Ok(answer) => (answer, ResolvedBy::User),
                Err(_) => no(ResolvedBy::NobodyLeft),
            },
            () = covered => (ApprovalAnswer::AllowForSession, ResolvedBy::SessionRule),
            () = deserted.cancelled() => no(ResolvedBy::NobodyLeft),
        }
    }
}

impl Drop for OpenApproval<'_> {
    fn drop(&mut self) {
        self.approvals.state.lock().pending.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn answers_reach_the_one_who_waits_once() {
        let approvals = Approvals::default();
        let (stopped, deserted) = (CancellationToken::new(), CancellationToken::new());
        let open = approvals.open().unwrap();
        let id = open.id;
        assert!(approvals.answer(id, ApprovalAnswer::AllowOnce));
        assert!(
            !approvals.answer(id, ApprovalAnswer::AllowOnce),
            "an approval is answered once"
        );
        assert_eq!(
            open.wait(&stopped, &deserted, pending()).await,
            (ApprovalAnswer::AllowOnce, ResolvedBy::User)
        );
    }

    #[tokio::test]
    async fn everything_but_an_answer_is_a_no() {
        let approvals = Approvals::default();
        let (live, fired) = (CancellationToken::new(), CancellationToken::new());
        fired.cancel();
        let no = ApprovalAnswer::Deny { reason: None };
        let stopped = approvals.open().unwrap().wait(&fired, &live, pending()).await;
        assert_eq!(stopped, (no.clone(), ResolvedBy::RunEnded));
        let deserted = approvals.open().unwrap().wait(&live, &fired, pending()).await;
        assert_eq!(deserted, (no, ResolvedBy::NobodyLeft));
        let covered = approvals.open().unwrap().wait(&live, &live, ready(())).await;
        assert_eq!(
            covered,
            (ApprovalAnswer::AllowForSession, ResolvedBy::SessionRule)
        );
        assert!(approvals.state.lock().pending.is_empty());
    }

    #[test]
    fn open_approvals_are_bounded_and_freed() {
        let approvals = Approvals::default();
        let open: Vec<_> = std::iter::from_fn(|| approvals.open()).collect();
        assert_eq!(open.len(), MAX_PENDING);
        drop(open);
        assert!(approvals.open().is_some());
    }
}
