//! What every request goes through before a handler sees it, and every answer before the client does.
//!
//! The order is part of the defence: whether there is such a route, where the request came from (`origin`), who asks
//! (`login`), how often (`rate`) and how much at once (`places`), how large its body is (`request_body`). What is refused
//! costs no more than its head.

mod access;
mod caller;
mod compress;
mod context;
mod finish;
mod judge;
mod login;
mod origin;
mod outgoing;
mod places;
mod rate;
#[cfg(test)]
#[path = "../../../agent-performance/src/shared/tests/server.rs"]
#[expect(dead_code, reason = "the tests of the store itself need more of it")]
pub(crate) mod redis_server;
mod request_body;
mod shared_limits;
mod signed;

use std::sync::Arc;
use std::time::Instant;

use agent_security::audit::{AuditError, AuditEvent, AuditLog};
use http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

pub(crate) use access::AccessMetrics;
pub(crate) use caller::Caller;
use context::ClientAddress;
pub(crate) use context::Context;
pub(crate) use outgoing::Outgoing;
use request_body::BodyBudget;
pub(crate) use request_body::{BodyError, RequestBody, Whole};

use crate::answer::{Answer, AnswerBody, Refusal, RequestId};
use crate::api::AgentApi;
use crate::operations::Operations;
use crate::page::{self, PageLogins};
use crate::parts::GatewayParts;
use crate::parts::{GatewaySettings, Sharing};
use crate::relay::{InvalidUpstream, Relay};
use crate::reload::{GatewayControl, LiveSettings, ReloadRequest};
use crate::routes::{Surface, Target, surface_of};
use judge::Judge;
pub(crate) use origin::OriginRules;
pub(crate) use rate::RateLimits;
use tokio::sync::mpsc;

/// The name under which each answer tells its request's id, as the Messages API does.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Judges requests and has them answered.
pub(crate) struct Pipeline {
    judge: Judge,
    audit: AuditLog,
    metrics: Arc<AccessMetrics>,
    compression: bool,
    relay: Relay,
    api: AgentApi,
    operations: Operations,
    logins: PageLogins,
    encrypted: bool,
}

/// What the answer has to say besides what the handler says.
struct Frame {
    id: RequestId,
    surface: Surface,
    standing: Option<rate::Standing>,
    place: Option<places::Place>,
    page: Option<HeaderValue>,
    compress: bool,
}

impl Pipeline {
    pub(crate) fn new(parts: GatewayParts) -> Result<Self, InvalidUpstream> {
        let parts = Arc::new(parts);
        Ok(Pipeline {
            judge: Judge::new(&parts),
            audit: parts.audit.clone(),
            metrics: AccessMetrics::new(parts.metrics.clone()),
            compression: parts.settings.compression,
            relay: Relay::new(&parts)?,
            api: AgentApi::new(&parts),
            operations: Operations::new(&parts),
            logins: parts.logins.clone(),
            encrypted: parts.settings.tls.is_some(),
        })
    }

    /// Requests in flight, over all connections.
    pub(crate) fn metrics(&self) -> &Arc<AccessMetrics> {
        &self.metrics
    }

    /// Changes what can change while it runs. `settings` are those it was made with.
    pub(crate) fn control(&self, settings: &GatewaySettings, sharing: Option<Sharing>) -> GatewayControl {
        GatewayControl {
            origins: Arc::clone(&self.judge.origins),
            rates: Arc::clone(&self.judge.rates),
            sharing,
            configuration: self.operations.configuration(),
            current: LiveSettings {
                allowed_hosts: settings.allowed_hosts.clone(),
                allowed_origins: settings.allowed_origins.clone(),
                requests_per_minute: settings.limits.requests_per_minute,
            },
        }
    }

    /// Where clients' wishes to have the configuration read again arrive. Only the latest receiver gets them.
    pub(crate) fn reloads(&self) -> mpsc::Receiver<ReloadRequest> {
        self.operations.reloads()
    }

    /// The agent API.
    pub(crate) fn api(&self) -> &AgentApi {
        &self.api
    }

    /// Answers `request`. Dropping the future, or the body of the answer, gives the request up. `connection` is kept until
    /// the answer is out.
    pub(crate) async fn serve<G: Unpin>(
        &self,
        caller: &Arc<Caller>,
        request: Request<Incoming>,
        connection: G,
    ) -> Response<Outgoing<G>> {
        let started = Instant::now();
        let mut access = self.metrics.began(started);
        let chunked = request.headers().contains_key(TRANSFER_ENCODING);
        let surface = surface_of(request.uri().path());
        let mut frame = Frame {
            id: RequestId::new(),
            surface,
            standing: None,
            place: None,
            page: self.judge.origins.load().configured(request.headers()).cloned(),
            // Relayed answers are left as they are, so that nobody need ask.
            compress: self.compression
                && surface != Surface::Gateway
                && compress::is_wanted(request.headers()),
        };
        let admitted = self
            .judge
            .admit(caller, &mut frame, &mut access, started, request)
            .await;
        let answer = match admitted {
            Ok(Some((context, request))) => self.handle(context, request).await,
            Ok(None) => Ok(preflight(frame.page.is_some())),
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|refusal| refusal.answer(frame.surface, &frame.id));
        let mut answer = self.finish(&mut frame, answer);
        if chunked {
            // What follows such a body on its connection is not looked at for two ends of one request (see `server::framing`).
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        access.answered(answer.status());
        if let Some(origin) = frame.page.take() {
            finish::permit(origin, answer.headers_mut());
        }
        answer.map(|body| Outgoing::new(body, frame.place, access, connection))
    }

    async fn handle(&self, context: Context, request: Request<RequestBody>) -> Result<Answer, Refusal> {
        self.record(&context, &request).await?;
        match context.route.target {
            Target::Relay(target) => self.relay.answer(target, context, request).await,
            Target::Api(target) => self.api.answer(target, context, request).await,
            Target::Operations(target) => self.operations.answer(target, context, request).await,
            Target::Page(target) => page::answer(target, &context, &self.logins, self.encrypted, &request),
            Target::Hello => Ok(Answer::new(AnswerBody::empty())),
        }
    }

    /// Records what changes something, before it is tried: every route of this daemon's own under a method that is not safe, so that a
    /// new one is recorded by being there. What is relayed changes nothing here; a login was recorded when it was let in.
    async fn record(&self, context: &Context, request: &Request<RequestBody>) -> Result<(), Refusal> {
        let is_administrative = match context.route.target {
            Target::Api(_) | Target::Operations(_) => !request.method().is_safe(),
            Target::Relay(_) | Target::Page(_) | Target::Hello => false,
        };
        if !is_administrative || !self.audit.is_on() {
            return Ok(());
        }
        let recorded = self.audit.record_async(AuditEvent::Administered {
            act: format!("{} {}", request.method(), context.route.pattern),
            subject: request.uri().path().to_owned(),
            by: context.tenant().to_owned(),
        });
        recorded.await.map_err(|error| unrecorded(&error))
    }

    fn finish(&self, frame: &mut Frame, mut answer: Answer) -> Answer {
        if frame.compress {
            answer = compress::compressed(answer);
        }
        let headers = answer.headers_mut();
        // The upstream's own id is the one that its operators can look up.
        headers.entry(REQUEST_ID).or_insert_with(|| frame.id.header());
        if let Some(standing) = &frame.standing {
            standing.tell(frame.surface, headers);
        }
        finish::protect(frame.surface, headers);
        answer
    }
}

/// The answer to what is not done, because it could not be recorded.
fn unrecorded(error: &AuditError) -> Refusal {
    tracing::error!(%error, "a request was refused, because it could not be recorded");
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not done: the audit log can't be written; the daemon's log says why",
    )
}

/// The answer to a browser that asks whether a page may call. A page of our own needs no permission, a foreign one was refused.
fn preflight(page_is_configured: bool) -> Answer {
    let mut answer = Answer::new(AnswerBody::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    if page_is_configured {
        finish::permit_requests(answer.headers_mut());
    }
    answer
}

/// Whether a browser asks on behalf of a page before it lets it call.
fn is_preflight(method: &Method, headers: &http::HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(http::header::ORIGIN)
        && headers.contains_key(http::header::ACCESS_CONTROL_REQUEST_METHOD)
}
