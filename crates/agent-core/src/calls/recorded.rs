//! What the audit log is told of calls.

use std::time::Duration;

use agent_claude::messages::ToolUseBlock;
use agent_security::audit::{AuditEvent, Decision, ToolOutcome};

use super::{CallRunner, End, denied, millis};
use crate::event::ResolvedBy;
use crate::tools::Prepared;

/// Who decided, where no person was asked.
pub(super) const POLICY: &str = "policy";

pub(super) fn name_of(by: ResolvedBy) -> &'static str {
    match by {
        ResolvedBy::User => "user",
        ResolvedBy::SessionRule => "session rule",
        ResolvedBy::RunEnded => "end of the run",
        ResolvedBy::NobodyLeft => "nobody left to ask",
    }
}

impl CallRunner<'_> {
    /// Records the decision. What has to be recorded and can't be is not done.
    pub(super) async fn decided(
        &self,
        call: &ToolUseBlock,
        prepared: &dyn Prepared,
        decision: Decision,
        by: &str,
        reason: String,
    ) -> Result<(), End> {
        let recorded = self.audit.record_async(AuditEvent::PermissionDecided {
            session: self.session.to_string(),
            tool: call.name.clone(),
            action: prepared.summary(),
            decision,
            by: by.to_owned(),
            reason,
        });
        recorded
            .await
            .map_err(|error| denied(prepared, &error.to_string()))
    }

    pub(super) async fn executed(
        &self,
        call: &ToolUseBlock,
        action: String,
        outcome: ToolOutcome,
        took: Duration,
    ) {
        let recorded = self.audit.record_async(AuditEvent::ToolExecuted {
            session: self.session.to_string(),
            tool: call.name.clone(),
            action,
            outcome,
            duration_ms: millis(took),
        });
        if let Err(error) = recorded.await {
            // It is done. The next call is not: its decision can't be recorded either.
            tracing::error!(%error, tool = %call.name, "the end of a tool call was not recorded");
        }
    }
}
