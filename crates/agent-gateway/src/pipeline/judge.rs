//! Admits a request or says why not.

use std::sync::Arc;
use std::time::Instant;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName};
use http::{Method, Request};
use hyper::body::Incoming;

use super::origin::OriginRules;
use super::{BodyBudget, Caller, Context, RequestBody};
use crate::answer::{Refusal, RequestId};
use crate::parts::{Credentials, GatewayLimits, GatewayParts};
use crate::routes::{self, Access, BodyLimit, Found, Route};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

pub(super) struct Judge {
    origins: OriginRules,
    credentials: Credentials,
    limits: GatewayLimits,
    bodies: Arc<BodyBudget>,
}

impl Judge {
    pub(super) fn new(parts: &GatewayParts) -> Self {
        let settings = &parts.settings;
        Judge {
            origins: OriginRules::new(&settings.allowed_hosts, &settings.allowed_origins),
            credentials: parts.credentials.clone(),
            bodies: BodyBudget::new(settings.limits.max_buffered_bodies),
            limits: settings.limits.clone(),
        }
    }

    pub(super) fn admit(
        &self,
        caller: &Caller,
        id: RequestId,
        started: Instant,
        request: Request<Incoming>,
    ) -> Result<(Context, Request<RequestBody>), Refusal> {
        let (head, body) = request.into_parts();
        self.origins.check(caller.arrival, &head)?;
        let (_, route) = found(&head.method, head.uri.path())?;
        let credential = self.identify(route, &head.headers)?;
        let limit = self.body_limit(route);
        if declared(&head.headers).is_some_and(|length| length > limit) {
            return Err(Refusal::too_large(format!("the request's body is larger than {limit} bytes")).close());
        }
        let context = Context {
            id,
            route,
            trusted: credential.is_some() || self.credentials.is_empty(),
            credential,
            client: caller.address,
            started,
        };
        let body = RequestBody::new(body, limit, self.limits.body_read_timeout, Arc::clone(&self.bodies));
        Ok((context, Request::from_parts(head, body)))
    }

    fn identify(&self, route: &Route, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        if self.credentials.is_empty() {
            return Ok(None);
        }
        match presented(headers) {
            Some(token) => match self.credentials.find(token) {
                Some(known) => Ok(Some(Arc::clone(known.id()))),
                None => Err(Refusal::unauthenticated("the credential is not known here")),
            },
            None if route.access == Access::Open => Ok(None),
            None => Err(Refusal::unauthenticated(
                "a credential is needed, as `x-api-key` or as `authorization: Bearer`",
            )),
        }
    }

    fn body_limit(&self, route: &Route) -> u64 {
        match route.body {
            BodyLimit::Own => self.limits.max_request_size,
            BodyLimit::Gateway => self.limits.max_gateway_request_size,
        }
    }
}

fn found(method: &Method, path: &str) -> Result<(usize, &'static Route), Refusal> {
    match routes::find(method, path) {
        Found::Route(index, route) => Ok((index, route)),
        Found::WrongMethod(methods) => {
            let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let names = names.join(", ");
            Err(Refusal::wrong_method(
                &names,
                format!("this path is called with {names}"),
            ))
        }
        Found::Nothing => Err(Refusal::not_found("there is nothing at this path")),
    }
}

/// The credential that a request shows. Where there are both, `x-api-key` counts, as at the Messages API.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(&X_API_KEY) {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
