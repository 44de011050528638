//! Where a request was addressed to and which page sent it: the defence against web pages that reach for local servers,
//! by name (DNS rebinding) or directly.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

use crate::answer::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The names of this machine that no name server can point elsewhere.
const OWN_NAMES: [&str; 1] = ["localhost"];

/// Which hosts and origins may be named.
#[derive(Debug)]
pub(crate) struct OriginRules {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// How a connection came in, as far as these rules go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// The address that the client reached; none over the Unix socket, which no page can open and no name leads to.
    pub(super) local: Option<IpAddr>,
    pub(super) encrypted: bool,
}

impl OriginRules {
    pub(crate) fn new(hosts: &[String], origins: &[String]) -> Self {
        OriginRules {
            hosts: hosts.iter().map(|host| normal_host(host)).collect(),
            origins: origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether the request may be answered at all.
    pub(super) fn check(&self, arrival: Arrival, request: &Parts) -> Result<(), Refusal> {
        let host = addressed(request)?;
        let known = match (arrival.local, &host) {
            (None, _) => true,
            (Some(local), Some(host)) => self.knows(local, host),
            (Some(_), None) => false,
        };
        if !known {
            return Err(Refusal::forbidden(
                "the Host header names a host that this server is not known by; \
                 call it by its address or localhost, or add the name to server.allowed_hosts",
            ));
        }
        self.check_page(arrival, host.as_ref(), &request.headers)
    }

    /// The origin to allow in an answer: only one that was configured by name.
    pub(super) fn configured<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins
            .iter()
            .any(|known| known.eq_ignore_ascii_case(text))
            .then_some(origin)
    }

    fn knows(&self, local: IpAddr, host: &Authority) -> bool {
        let name = host.host();
        let name = name.strip_suffix('.').unwrap_or(name);
        if OWN_NAMES.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return true;
        }
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(name).parse::<IpAddr>() {
            let address = address.to_canonical();
            if address.is_loopback() && local.to_canonical().is_loopback() || address == local.to_canonical()
            {
                return true;
            }
        }
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn check_page(
        &self,
        arrival: Arrival,
        host: Option<&Authority>,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let foreign = || {
            Refusal::forbidden(
                "the request comes from a web page of another origin; \
                 add the origin to server.allowed_origins if it may call this server",
            )
        };
        if headers.contains_key(ORIGIN) {
            let own = host.is_some_and(|host| is_own(arrival, host, &headers[ORIGIN]));
            let single = headers.get_all(ORIGIN).iter().count() == 1;
            return if single && (own || self.configured(headers).is_some()) {
                Ok(())
            } else {
                Err(foreign())
            };
        }
        // Browsers leave Origin out of requests for images and scripts, but say that another site wants them. Other ports
        // of this machine are the same site to them. Following a link is fine: it shows no credential.
        let text = |name| headers.get(&name).map(HeaderValue::as_bytes);
        match text(SEC_FETCH_SITE) {
            Some(b"cross-site" | b"same-site") if text(SEC_FETCH_MODE) != Some(b"navigate") => Err(foreign()),
            _ => Ok(()),
        }
    }
}

/// Whom the request is addressed to: the target's authority where it has one, else `Host`.
fn addressed(request: &Parts) -> Result<Option<Authority>, Refusal> {
    let mut lines = request.headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::bad_request("the request has more than one Host header").close());
    }
    let named = line
        .map(|value| Authority::try_from(value.as_bytes()))
        .transpose()
        .map_err(|_| Refusal::bad_request("the Host header is no host").close())?;
    let target = request.uri.authority();
    if [named.as_ref(), target]
        .into_iter()
        .flatten()
        .any(|authority| authority.as_str().contains('@'))
    {
        return Err(Refusal::bad_request("a host with user information is no host").close());
    }
    match (named, target) {
        (Some(named), Some(target)) if named != *target => {
            Err(Refusal::bad_request("the Host header and the request's target name different hosts").close())
        }
        (named, target) => Ok(target.cloned().or(named)),
    }
}

/// Whether `origin` is a page of this very server.
fn is_own(arrival: Arrival, host: &Authority, origin: &HeaderValue) -> bool {
    let scheme = if arrival.encrypted { "https://" } else { "http://" };
    // The Unix socket has no pages.
    arrival.local.is_some()
        && origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix(scheme))
            .is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
}

fn normal_host(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}
