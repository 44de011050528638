//! What waits for a person, across all turns.

use agent_core::{ApprovalAnswer, ApprovalId};
use http::{Request, StatusCode};

use super::turns::{Answered, TurnId};
use super::types::{Approvals, Choice, Decided, Decision};
use super::{AgentApi, failures};
use crate::answer::{Answer, Refusal, json};
use crate::input::{Text, json_body};
use crate::pipeline::{Context, RequestBody};

impl AgentApi {
    pub(super) fn list_approvals(&self) -> Answer {
        let approvals = self.turns.approvals();
        json(StatusCode::OK, &Approvals { approvals })
    }

    pub(super) async fn resolve_approval(
        &self,
        context: &Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        let id = context.parameter(request.uri().path(), 0).unwrap_or_default();
        let (turn, approval) = parsed(&id).ok_or_else(failures::no_approval)?;
        let (Decision { decision, reason }, _) = json_body(request).await?;
        let turn = self.turns.get(turn).ok_or_else(failures::no_approval)?;
        let reason = reason.map(Text::into_string);
        let answer = match decision {
            Choice::AllowOnce => ApprovalAnswer::AllowOnce,
            Choice::AllowForSession => ApprovalAnswer::AllowForSession,
            Choice::Deny => ApprovalAnswer::Deny { reason },
        };
        match turn.answer(approval, answer) {
            Answered::Taken => Ok(json(StatusCode::OK, &Decided { id, decision })),
            Answered::Late => Err(failures::conflict(
                "approval-closed",
                "this approval is not open any more: it was answered, or the turn went on without it"
                    .to_owned(),
            )),
            Answered::Unknown => Err(failures::no_approval()),
        }
    }
}

/// `{turn}.{number}`.
fn parsed(id: &str) -> Option<(TurnId, ApprovalId)> {
    let (turn, number) = id.split_once('.')?;
    Some((turn.parse().ok()?, ApprovalId(number.parse().ok()?)))
}
