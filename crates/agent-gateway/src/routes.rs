//! The table of every route. The router, the tests that walk all routes and the OpenAPI document are made from it, so
//! that none of them can miss one.

use http::Method;

/// Which family a route belongs to: the shape of its errors, and which limits count for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The Messages API under `/v1`: errors in its envelope.
    Gateway,
    /// Sessions, turns and approvals: errors as RFC 9457 says.
    Agent,
    /// Health, metrics and what the process knows of itself: errors as RFC 9457 says.
    Operations,
    /// The web page: errors as RFC 9457 says. No part of the API, and not in its document.
    Page,
    /// Answers that tell nothing, for clients that look whether somebody is there.
    Public,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody whose `Host` and `Origin` are right. A credential may be shown, and is checked then.
    Open,
    /// Only who shows a credential.
    Credential,
}

/// How large a request's body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// `security.max_request_size`.
    Own,
    /// `security.max_gateway_request_size`.
    Gateway,
    /// [`MAX_UPLOAD_BYTES`], or `security.max_gateway_request_size` where that is more.
    Upload,
}

/// The largest body that the Messages API takes anywhere: a file's. What is passed on unread is never in memory as a whole, so
/// that only the upstream's own limit is worth keeping to.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 500 << 20;

/// What answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// [`crate::relay`].
    Relay(RelayTarget),
    /// [`crate::api`].
    Api(ApiTarget),
    /// [`crate::operations`].
    Operations(OperationsTarget),
    /// [`crate::page`].
    Page(PageTarget),
    /// An empty 200.
    Hello,
}

/// What the web page consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageTarget {
    File,
    /// Gives a browser its cookie, for a code that works once or for the token.
    Login,
}

/// What is relayed to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayTarget {
    Messages,
    CountTokens,
    Models,
    Model,
    /// Anything else under `/v1`.
    Other,
}

/// What the agent API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiTarget {
    ListSessions,
    CreateSession,
    GetSession,
    RenameSession,
    DeleteSession,
    ListMessages,
    ExportSession,
    ForkSession,
    StartTurn,
    GetTurn,
    TurnEvents,
    CancelTurn,
    SteerTurn,
    ListApprovals,
    ResolveApproval,
    OpenApi,
}

/// What the operations endpoints tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationsTarget {
    Live,
    LiveAlias,
    Ready,
    Health,
    Exposition,
    Metrics,
    Resources,
    Cache,
    Connections,
    Config,
    Reload,
    Logs,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Route {
    /// GET rows answer HEAD as well.
    pub(crate) method: Method,
    /// `{name}` stands for one segment, a last `{*rest}` for one or more.
    pub(crate) pattern: &'static str,
    pub(crate) surface: Surface,
    pub(crate) access: Access,
    pub(crate) body: BodyLimit,
    pub(crate) target: Target,
    /// One sentence for the OpenAPI document.
    pub(crate) summary: &'static str,
}

const fn relay(method: Method, pattern: &'static str, target: RelayTarget, summary: &'static str) -> Route {
    Route {
        method,
        pattern,
        surface: Surface::Gateway,
        access: Access::Credential,
        body: match target {
            RelayTarget::Other => BodyLimit::Upload,
            _ => BodyLimit::Gateway,
        },
        target: Target::Relay(target),
        summary,
    }
}

const fn api(method: Method, pattern: &'static str, target: ApiTarget, summary: &'static str) -> Route {
    Route {
        method,
        pattern,
        surface: Surface::Agent,
        access: Access::Credential,
        body: BodyLimit::Own,
        target: Target::Api(target),
        summary,
    }
}

const fn operations(
    access: Access,
    pattern: &'static str,
    target: OperationsTarget,
    summary: &'static str,
) -> Route {
    Route {
        method: Method::GET,
        pattern,
        surface: Surface::Operations,
        access,
        body: BodyLimit::Own,
        target: Target::Operations(target),
        summary,
    }
}

const fn page(method: Method, access: Access, pattern: &'static str, target: PageTarget) -> Route {
    Route {
        method,
        pattern,
        surface: Surface::Page,
        access,
        body: BodyLimit::Own,
        target: Target::Page(target),
        summary: "The web page.",
    }
}

const fn hello(pattern: &'static str) -> Route {
    Route {
        method: Method::HEAD,
        pattern,
        surface: Surface::Public,
        access: Access::Open,
        body: BodyLimit::Own,
        target: Target::Hello,
        summary: "Says that somebody is there.",
    }
}

/// What passes through to the upstream, a row for each method, so that every label of a metric is from this table.
const OTHER: &str = "/v1/{*rest}";
const OTHER_SUMMARY: &str = "Any other endpoint of the Messages API, passed through as it is.";

/// Every route. The first that fits answers: the most called stands first, `/v1/{*rest}` after its exceptions.
pub(crate) static ROUTES: &[Route] = &[
    relay(
        Method::POST,
        "/v1/messages",
        RelayTarget::Messages,
        "Creates a message, as JSON or as a stream of events.",
    ),
    relay(
        Method::POST,
        "/v1/messages/count_tokens",
        RelayTarget::CountTokens,
        "Counts the tokens of a message without creating it.",
    ),
    relay(
        Method::GET,
        "/v1/models",
        RelayTarget::Models,
        "Lists the models.",
    ),
    relay(
        Method::GET,
        "/v1/models/{id}",
        RelayTarget::Model,
        "Describes one model.",
    ),
    relay(Method::GET, OTHER, RelayTarget::Other, OTHER_SUMMARY),
    relay(Method::POST, OTHER, RelayTarget::Other, OTHER_SUMMARY),
    relay(Method::PUT, OTHER, RelayTarget::Other, OTHER_SUMMARY),
    relay(Method::PATCH, OTHER, RelayTarget::Other, OTHER_SUMMARY),
    relay(Method::DELETE, OTHER, RelayTarget::Other, OTHER_SUMMARY),
    hello("/"),
    hello("/api/hello"),
    page(Method::GET, Access::Open, "/", PageTarget::File),
    page(Method::GET, Access::Open, "/ui/{*file}", PageTarget::File),
    page(Method::POST, Access::Credential, "/login", PageTarget::Login),
    operations(
        Access::Open,
        "/livez",
        OperationsTarget::Live,
        "Says that the process runs.",
    ),
    operations(
        Access::Open,
        "/readyz",
        OperationsTarget::Ready,
        "Says whether the process takes work.",
    ),
    operations(
        Access::Open,
        "/healthz",
        OperationsTarget::LiveAlias,
        "Another name of `/livez`.",
    ),
    operations(
        Access::Credential,
        "/health",
        OperationsTarget::Health,
        "Tells the health of the process and of what it needs.",
    ),
    operations(
        Access::Credential,
        "/metrics",
        OperationsTarget::Exposition,
        "Every metric, for Prometheus.",
    ),
    operations(
        Access::Credential,
        "/api/v1/metrics",
        OperationsTarget::Metrics,
        "Statistics of every metric.",
    ),
    operations(
        Access::Credential,
        "/api/v1/resources",
        OperationsTarget::Resources,
        "What is alive, by kind, and what looks like a leak.",
    ),
    operations(
        Access::Credential,
        "/api/v1/cache",
        OperationsTarget::Cache,
        "Figures of the response cache.",
    ),
    operations(
        Access::Credential,
        "/api/v1/connections",
        OperationsTarget::Connections,
        "Figures of the connections to the upstream.",
    ),
    operations(
        Access::Credential,
        "/api/v1/config",
        OperationsTarget::Config,
        "The configuration with the origin of each value, without secrets.",
    ),
    Route {
        method: Method::POST,
        pattern: "/api/v1/config/reload",
        surface: Surface::Operations,
        access: Access::Credential,
        body: BodyLimit::Own,
        target: Target::Operations(OperationsTarget::Reload),
        summary: "Reads the configuration again, applies what can change and names what needs a restart.",
    },
    operations(
        Access::Credential,
        "/api/v1/logs",
        OperationsTarget::Logs,
        "The latest lines of the log.",
    ),
    api(
        Method::GET,
        "/api/v1/openapi.json",
        ApiTarget::OpenApi,
        "This document.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions",
        ApiTarget::ListSessions,
        "Lists sessions, or those whose messages hold a text.",
    ),
    api(
        Method::POST,
        "/api/v1/sessions",
        ApiTarget::CreateSession,
        "Starts a session.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions/{id}",
        ApiTarget::GetSession,
        "Describes a session.",
    ),
    api(
        Method::PATCH,
        "/api/v1/sessions/{id}",
        ApiTarget::RenameSession,
        "Renames a session.",
    ),
    api(
        Method::DELETE,
        "/api/v1/sessions/{id}",
        ApiTarget::DeleteSession,
        "Deletes a session.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions/{id}/messages",
        ApiTarget::ListMessages,
        "The messages of a session.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions/{id}/export",
        ApiTarget::ExportSession,
        "A session as Markdown or JSON.",
    ),
    api(
        Method::POST,
        "/api/v1/sessions/{id}/fork",
        ApiTarget::ForkSession,
        "Copies a session up to a message.",
    ),
    api(
        Method::POST,
        "/api/v1/sessions/{id}/turns",
        ApiTarget::StartTurn,
        "Starts a turn.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions/{id}/turns/{turn}",
        ApiTarget::GetTurn,
        "Tells how a turn stands.",
    ),
    api(
        Method::GET,
        "/api/v1/sessions/{id}/turns/{turn}/events",
        ApiTarget::TurnEvents,
        "The events of a turn as a stream.",
    ),
    api(
        Method::POST,
        "/api/v1/sessions/{id}/turns/{turn}/cancel",
        ApiTarget::CancelTurn,
        "Ends a turn.",
    ),
    api(
        Method::POST,
        "/api/v1/sessions/{id}/turns/{turn}/steer",
        ApiTarget::SteerTurn,
        "Tells a running turn something more.",
    ),
    api(
        Method::GET,
        "/api/v1/approvals",
        ApiTarget::ListApprovals,
        "What waits for a person's consent.",
    ),
    api(
        Method::POST,
        "/api/v1/approvals/{id}",
        ApiTarget::ResolveApproval,
        "Consents, or does not.",
    ),
];

/// What a method and a path lead to.
#[derive(Debug)]
pub(crate) enum Found {
    /// The row, and its place in [`ROUTES`].
    Route(usize, &'static Route),
    /// The path exists; these are its methods, HEAD and OPTIONS left out.
    WrongMethod(Vec<&'static Method>),
    /// There is no such path.
    Nothing,
}

/// Looks a request up. Neither query nor case plays a part.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let fits = |route: &Route| pattern_fits(route.pattern, path);
    let wanted =
        |route: &Route| route.method == *method || *method == Method::HEAD && route.method == Method::GET;
    // A path that has rows of its own is not passed through under another method.
    let mut exact: Option<&'static str> = None;
    let mut methods = Vec::new();
    for (index, route) in ROUTES.iter().enumerate() {
        if !fits(route) || exact.is_some_and(|pattern| pattern != route.pattern) {
            continue;
        }
        if wanted(route) {
            return Found::Route(index, route);
        }
        exact = Some(route.pattern);
        methods.push(&route.method);
    }
    if methods.is_empty() {
        Found::Nothing
    } else {
        Found::WrongMethod(methods)
    }
}

/// The surface whose error shape fits a path that leads nowhere.
pub(crate) fn surface_of(path: &str) -> Surface {
    if path == "/v1" || path.starts_with("/v1/") {
        Surface::Gateway
    } else {
        Surface::Agent
    }
}

fn pattern_fits(pattern: &str, path: &str) -> bool {
    if pattern == path {
        return true;
    }
    let Some(brace) = pattern.find('{') else {
        return false;
    };
    // Most patterns fail here, at the price of one comparison.
    if !path.as_bytes().starts_with(&pattern.as_bytes()[..brace]) {
        return false;
    }
    let mut rest = path.split('/');
    for wanted in pattern.split('/') {
        let segment = rest.next();
        if wanted.starts_with("{*") {
            return segment.is_some_and(|segment| !segment.is_empty());
        }
        match segment {
            Some(segment) if wanted.starts_with('{') && !segment.is_empty() => {}
            Some(segment) if wanted == segment => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

/// The segments of `path` that stand where `pattern` has `{name}`, in order, still percent-encoded.
pub(crate) fn parameters<'a>(pattern: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    pattern
        .split('/')
        .zip(path.split('/'))
        .filter(|(wanted, _)| wanted.starts_with('{') && !wanted.starts_with("{*"))
        .map(|(_, segment)| segment)
}

#[cfg(test)]
mod tests;
