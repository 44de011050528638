//! What every request goes through before a handler sees it, and every answer before the client does.
//!
//! The order is part of the defence: where the request came from (`origin`), whether there is such a route, who asks
//! (`caller`), how often and how much (`rate`, `places`), whether it is signed (`signed`), how large its body is
//! (`request_body`). What is refused here costs no more than its head.

mod caller;
mod context;
mod judge;
mod origin;
mod request_body;

use std::sync::Arc;
use std::time::Instant;

use http::header::HeaderName;
use http::Request;
use hyper::body::Incoming;

pub(crate) use caller::Caller;
pub(crate) use context::{ClientAddress, Context};
pub(crate) use request_body::{BodyError, BodyBudget, RequestBody, Whole};

use crate::answer::{Answer, AnswerBody, Refusal, RequestId};
use crate::api::AgentApi;
use crate::operations::Operations;
use crate::parts::GatewayParts;
use crate::relay::{InvalidUpstream, Relay};
use crate::routes::{Route, Target};

/// The name under which each answer tells its request's id, as the Messages API does.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Judges requests and has them answered.
pub(crate) struct Pipeline {
    judge: judge::Judge,
    relay: Relay,
    api: AgentApi,
    operations: Operations,
}

impl Pipeline {
    pub(crate) fn new(parts: GatewayParts) -> Result<Self, InvalidUpstream> {
        let parts = Arc::new(parts);
        Ok(Pipeline {
            judge: judge::Judge::new(&parts),
            relay: Relay::new(&parts)?,
            api: AgentApi::new(&parts),
            operations: Operations::new(&parts),
        })
    }

    /// Answers `request`. Dropping the future gives the request up.
    pub(crate) async fn serve(&self, caller: &Caller, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let id = RequestId::new();
        let surface = crate::routes::surface_of(request.uri().path());
        let mut answer = match self.judge.admit(caller, id, started, request) {
            Ok((context, request)) => {
                let route = context.route;
                match self.handle(route, context, request).await {
                    Ok(answer) => answer,
                    Err(refusal) => refusal.answer(route.surface, &id),
                }
            }
            Err(refusal) => refusal.answer(surface, &id),
        };
        // The upstream's own id is the one that its operators can look up.
        answer
            .headers_mut()
            .entry(REQUEST_ID)
            .or_insert_with(|| id.header());
        answer
    }

    async fn handle(
        &self,
        route: &'static Route,
        context: Context,
        request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        match route.target {
            Target::Relay(target) => self.relay.answer(target, context, request).await,
            Target::Api(target) => self.api.answer(target, context, request).await,
            Target::Operations(target) => self.operations.answer(target, context, request).await,
            Target::Hello => Ok(Answer::new(AnswerBody::empty())),
        }
    }
}
