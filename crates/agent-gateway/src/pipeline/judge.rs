//! Admits a request or says why not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_performance::cleanup::Admission;
use arc_swap::ArcSwap;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, Request};
use hyper::body::Incoming;

use super::access::Access;
use super::context::ANONYMOUS;
use super::login::Doorkeeper;
use super::origin::OriginRules;
use super::places::{Place, Places};
use super::rate::RateLimits;
use super::request_body::Intake;
use super::signed::SignatureRules;
use super::{BodyBudget, Caller, Context, Frame, RequestBody};
use crate::answer::Refusal;
use crate::parts::{GatewayLimits, GatewayParts};
use crate::routes::{self, BodyLimit, Found, MAX_UPLOAD_BYTES, Route, Surface};

/// When to come again while all places are taken: about what a short answer takes.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Judge {
    pub(super) origins: Arc<ArcSwap<OriginRules>>,
    door: Doorkeeper,
    pub(super) rates: Arc<ArcSwap<RateLimits>>,
    places: Arc<Places>,
    admission: Admission,
    bodies: Arc<BodyBudget>,
    signatures: Option<SignatureRules>,
    limits: GatewayLimits,
}

impl Judge {
    pub(super) fn new(parts: &GatewayParts) -> Self {
        let settings = &parts.settings;
        Judge {
            origins: Arc::new(ArcSwap::from_pointee(OriginRules::new(
                &settings.allowed_hosts,
                &settings.allowed_origins,
            ))),
            door: Doorkeeper::new(
                parts.credentials.clone(),
                parts.logins.clone(),
                parts.audit.clone(),
            ),
            rates: Arc::new(ArcSwap::from_pointee(RateLimits::new(
                settings.limits.requests_per_minute,
                parts.shared.as_ref(),
            ))),
            places: Places::new(settings.limits.max_concurrent_requests),
            admission: parts.admission.clone(),
            bodies: BodyBudget::new(settings.limits.max_buffered_bodies),
            signatures: settings
                .signing
                .clone()
                .map(|keys| SignatureRules::new(keys, parts.shared.as_ref(), parts.audit.clone())),
            limits: settings.limits.clone(),
        }
    }

    /// The request as its handler gets it; none when a browser only asks whether a page may call.
    pub(super) async fn admit(
        &self,
        caller: &Arc<Caller>,
        frame: &mut Frame,
        access: &mut Access,
        started: Instant,
        request: Request<Incoming>,
    ) -> Result<Option<(Context, Request<RequestBody>)>, Refusal> {
        let (head, body) = request.into_parts();
        // Made first: whatever refuses the request, its body then counts as left unread.
        let mut body = RequestBody::new(body, self.intake(), caller);
        let found = routes::find(&head.method, head.uri.path());
        if let Found::Route(index, route) = &found {
            access.routed(*index);
            frame.surface = route.surface;
        }
        self.origins.load().check(caller.arrival, &head)?;
        if super::is_preflight(&head.method, &head.headers) {
            return Ok(None);
        }
        let route = wanted(found)?;
        let credential = self
            .door
            .identify(route, &head.method, &head.headers, caller, started)
            .await?;
        if matches!(route.surface, Surface::Gateway | Surface::Agent) {
            frame.standing = self
                .rates
                .load_full()
                .count(credential.as_ref(), route.surface, started)
                .await?;
            if let Some(refusal) = frame.standing.as_ref().and_then(|standing| standing.refusal()) {
                return Err(refusal);
            }
        }
        if route.surface == Surface::Gateway {
            frame.place = Some(self.place()?);
        }
        let limit = match route.body {
            BodyLimit::Own => self.limits.max_request_size,
            BodyLimit::Gateway => self.limits.max_gateway_request_size,
            BodyLimit::Upload => self.limits.max_gateway_request_size.max(MAX_UPLOAD_BYTES),
        };
        if declared(&head.headers).is_some_and(|length| length > limit) {
            return Err(
                Refusal::too_large(format!("the request's body is larger than {limit} bytes")).close(),
            );
        }
        body.set_limit(limit);
        if let Some(rules) = &self.signatures
            && matches!(route.surface, Surface::Gateway | Surface::Agent)
        {
            let by = credential.as_deref().unwrap_or(ANONYMOUS);
            let whole = rules.check(caller, by, route, &head, body).await?;
            body = RequestBody::in_memory(whole, self.intake());
            body.set_limit(limit);
        }
        let context = Context {
            id: frame.id,
            route,
            trusted: credential.is_some() || self.door.is_open(),
            credential,
        };
        Ok(Some((context, Request::from_parts(head, body))))
    }

    fn intake(&self) -> Intake {
        Intake {
            limit: 0,
            timeout: self.limits.body_read_timeout,
            budget: Arc::clone(&self.bodies),
        }
    }

    fn place(&self) -> Result<Place, Refusal> {
        if let Err(overloaded) = self.admission.check() {
            let after = overloaded.retry_after;
            return Err(Refusal::overloaded(
                Surface::Gateway,
                overloaded.to_string(),
                after,
            ));
        }
        self.places.take().ok_or_else(|| {
            let detail = format!(
                "{} requests are being served, which is as many as performance.max_concurrent_requests allows",
                self.places.max()
            );
            Refusal::overloaded(Surface::Gateway, detail, BUSY_RETRY_AFTER)
        })
    }
}

fn wanted(found: Found) -> Result<&'static Route, Refusal> {
    match found {
        Found::Route(_, route) => Ok(route),
        Found::WrongMethod(methods) => {
            let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            if names.contains(&Method::GET.as_str()) && !names.contains(&Method::HEAD.as_str()) {
                names.push(Method::HEAD.as_str());
            }
            let names = names.join(", ");
            let detail = format!("this path is called with {names}");
            Err(Refusal::wrong_method(&names, detail))
        }
        Found::Nothing => Err(Refusal::not_found("there is nothing at this path")),
    }
}

/// How long the body will be, as the client says.
fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
