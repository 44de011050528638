//! Being written.

use std::sync::Arc;

use http::Request;

use crate::answer::{Answer, Refusal};
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody};
use crate::routes::ApiTarget;

pub(crate) struct AgentApi;

impl AgentApi {
    pub(crate) fn new(_parts: &Arc<GatewayParts>) -> Self {
        AgentApi
    }

    pub(crate) async fn answer(
        &self,
        target: ApiTarget,
        _context: Context,
        _request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        Err(Refusal::not_found(format!("{target:?} does not answer yet")))
    }
}
