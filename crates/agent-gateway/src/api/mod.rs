//! The agent API: sessions, their turns as events, and what waits for a person's consent.
//!
//! Every rule is the agent's: this turns requests into its calls and its values into answers.

mod approvals;
mod export;
mod failures;
mod sessions;
mod turn_routes;
mod turns;
pub(crate) mod types;

use std::sync::Arc;

use agent_core::session::{SessionId, SessionStore};
use agent_core::{Agent, RunLimits};
use agent_performance::cleanup::Admission;
use agent_performance::lifecycle::Lifecycle;
use http::Request;
use tokio::sync::Semaphore;

pub(crate) use export::PARAMETERS as EXPORT_PARAMETERS;
pub(crate) use sessions::{LIST_PARAMETERS, MESSAGES_PARAMETERS};
pub(crate) use turns::{StreamNotice, Turns};

use crate::answer::{Answer, Refusal};
use crate::openapi;
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody};
use crate::routes::ApiTarget;

/// Exports at the same time: each holds a thread that may block for as long as its client reads.
const MAX_EXPORTS: usize = 4;

/// Pages of messages in memory at the same time, until their clients have them: each may be as large as a message.
const MAX_PAGES: usize = 8;

/// Answers the routes of the agent API.
pub(crate) struct AgentApi {
    agent: Agent,
    store: SessionStore,
    limits: RunLimits,
    turns: Turns,
    admission: Admission,
    safe_mode: Option<String>,
    lifecycle: Lifecycle,
    exports: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    version: &'static str,
}

impl AgentApi {
    pub(crate) fn new(parts: &GatewayParts) -> Self {
        let in_flight = parts.settings.limits.max_turns_in_flight;
        Self {
            turns: Turns::new(parts.agent.clone(), parts.lifecycle.clone(), in_flight),
            agent: parts.agent.clone(),
            store: parts.store.clone(),
            limits: parts.run_limits.clone(),
            admission: parts.admission.clone(),
            safe_mode: parts.safe_mode.clone(),
            lifecycle: parts.lifecycle.clone(),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
            version: parts.version,
        }
    }

    /// Lets the turns at work end, and cancels those that have not when `deadline` has passed. No turn is started any more
    /// once the lifecycle ends.
    pub(crate) async fn drain(&self, deadline: std::time::Duration) {
        self.turns.drain(deadline).await;
    }

    pub(crate) async fn answer(
        &self,
        target: ApiTarget,
        context: Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        match target {
            ApiTarget::ListSessions => self.list_sessions(&request).await,
            ApiTarget::CreateSession => self.create_session(request).await,
            ApiTarget::GetSession => self.get_session(session(&context, &request)?).await,
            ApiTarget::RenameSession => self.rename_session(session(&context, &request)?, request).await,
            ApiTarget::DeleteSession => self.delete_session(session(&context, &request)?).await,
            ApiTarget::ListMessages => self.list_messages(session(&context, &request)?, &request).await,
            ApiTarget::ExportSession => self.export_session(session(&context, &request)?, &request).await,
            ApiTarget::ForkSession => self.fork_session(session(&context, &request)?, request).await,
            ApiTarget::StartTurn => {
                self.start_turn(&context, session(&context, &request)?, request)
                    .await
            }
            ApiTarget::GetTurn => self.get_turn(&context, &request),
            ApiTarget::TurnEvents => self.turn_events(&context, &request),
            ApiTarget::CancelTurn => self.cancel_turn(&context, &request),
            ApiTarget::SteerTurn => self.steer_turn(&context, request).await,
            ApiTarget::ListApprovals => Ok(self.list_approvals()),
            ApiTarget::ResolveApproval => self.resolve_approval(&context, request).await,
            ApiTarget::OpenApi => Ok(openapi::answer(self.version)),
        }
    }
}

/// The session that the path names.
fn session(context: &Context, request: &Request<RequestBody>) -> Result<SessionId, Refusal> {
    let name = context.parameter(request.uri().path(), 0).unwrap_or_default();
    name.parse().map_err(|_| failures::no_session(&name))
}
