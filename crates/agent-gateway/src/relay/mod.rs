//! Being written.

use std::sync::Arc;

use http::Request;

use crate::answer::{Answer, Refusal};
use crate::parts::GatewayParts;
use crate::pipeline::{Context, RequestBody};
use crate::routes::RelayTarget;

pub(crate) struct Relay;

impl Relay {
    pub(crate) fn new(_parts: &Arc<GatewayParts>) -> Self {
        Relay
    }

    pub(crate) async fn answer(
        &self,
        target: RelayTarget,
        _context: Context,
        _request: Request<RequestBody>,
    ) -> Result<Answer, Refusal> {
        Err(Refusal::not_found(format!("{target:?} does not answer yet")))
    }
}
