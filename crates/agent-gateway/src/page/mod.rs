//! The web page: its files, embedded in the program, and the login that gives a browser its cookie.
//!
//! The page itself holds nothing secret and is given to everybody whose `Host` is right; what it shows comes from the
//! agent API, for which the browser needs the cookie.

mod assets;
mod logins;

pub use logins::PageLogins;
pub(crate) use logins::{LIFETIME, MAX_COOKIES};

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::uri::Authority;
use http::{Request, StatusCode};

use crate::answer::{Answer, AnswerBody, Refusal};
use crate::pipeline::{Context, RequestBody};
use crate::routes::PageTarget;

/// What the names of the page's cookies begin with. The port follows: to browsers every port of a host is the same site,
/// and two daemons would take each other's cookie away.
const COOKIE_NAME: &str = "claude-agent-page";

/// Answers the routes of the page.
pub(crate) fn answer(
    target: PageTarget,
    context: &Context,
    logins: &PageLogins,
    encrypted: bool,
    request: &Request<RequestBody>,
) -> Result<Answer, Refusal> {
    match target {
        PageTarget::File => assets::answer(request.uri().path(), request.headers()),
        PageTarget::Login => logged_in(context, logins, encrypted, request.headers()),
    }
}

fn logged_in(
    context: &Context,
    logins: &PageLogins,
    encrypted: bool,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let failed = || {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no login can be made: the system gives no random bytes",
        )
    };
    let secret = logins.enter(context.tenant()).ok_or_else(failed)?;
    let secure = if encrypted { "; Secure" } else { "" };
    let cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        cookie_name(headers),
        secret.expose(),
        LIFETIME.as_secs()
    );
    let mut answer = Answer::new(AnswerBody::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let cookie = HeaderValue::try_from(cookie).map_err(|_| failed())?;
    answer.headers_mut().insert(SET_COOKIE, cookie);
    Ok(answer)
}

fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(http::header::HOST).map(HeaderValue::as_bytes);
    let port = host
        .and_then(|host| Authority::try_from(host).ok())
        .and_then(|host| host.port_u16());
    format!("{COOKIE_NAME}-{}", port.unwrap_or(0))
}

/// The values of the page's cookies in a request: ours, and those of other daemons of this host.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(COOKIE_NAME.as_bytes())?;
            let equals = rest.iter().position(|byte| *byte == b'=')?;
            Some(&rest[equals + 1..])
        })
        .take(MAX_COOKIES)
}
