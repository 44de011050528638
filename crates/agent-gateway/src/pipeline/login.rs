//! Who asks: the credential that a request shows, and how often somebody may show a wrong one.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_security::audit::{AuditEvent, AuditLog};
use agent_security::rate_limit::{Gcra, KeyedGcra};
use agent_security::token::Credentials;
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, ORIGIN};

use super::{Caller, ClientAddress};
use crate::answer::Refusal;
use crate::page::{self, PageLogins};
use crate::routes::{Access, PageTarget, Route, Surface, Target};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Wrong credentials from one address at once, and the time until the next: a client that was given a wrong key and tries
/// again a few times stays below it, and guessing is hopeless.
const FAILURES_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const FAILURE_INTERVAL: Duration = Duration::from_secs(3);

/// Addresses remembered for their failures; all others share one limit while it is full.
const MAX_ADDRESSES: usize = 4096;

pub(super) struct Doorkeeper {
    credentials: Credentials,
    logins: PageLogins,
    failures: KeyedGcra<ClientAddress>,
    audit: AuditLog,
    began: Instant,
}

impl Doorkeeper {
    pub(super) fn new(credentials: Credentials, logins: PageLogins, audit: AuditLog) -> Self {
        Doorkeeper {
            credentials,
            logins,
            failures: KeyedGcra::new(Gcra::new(FAILURE_INTERVAL, FAILURES_AT_ONCE), MAX_ADDRESSES),
            audit,
            began: Instant::now(),
        }
    }

    /// Whether everybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.credentials.is_empty()
    }

    /// Whose credential the request shows; none where it needs none and shows none.
    pub(super) async fn identify(
        &self,
        route: &Route,
        method: &Method,
        headers: &HeaderMap,
        caller: &Caller,
        now: Instant,
    ) -> Result<Option<Arc<str>>, Refusal> {
        if self.is_open() {
            return Ok(None);
        }
        let Some(token) = presented(headers) else {
            if let Some(owner) = self.by_cookie(route, method, headers, now) {
                return Ok(Some(owner));
            }
            return match route.access {
                Access::Open => Ok(None),
                Access::Credential => Err(Refusal::unauthenticated(
                    "a credential is needed: send it as `x-api-key` or as `authorization: Bearer`",
                )),
            };
        };
        // A right one passes whatever others at its address have shown: nobody guesses 256 random bits, and a process on the same
        // machine could otherwise lock everybody out.
        let is_login = route.target == Target::Page(PageTarget::Login);
        if let Some(known) = self.credentials.find(token) {
            let owner = Arc::clone(known.id());
            if is_login {
                self.let_in(&owner, caller).await?;
            }
            return Ok(Some(owner));
        }
        if is_login && let Some(owner) = self.logins.redeem(token, now) {
            self.let_in(&owner, caller).await?;
            return Ok(Some(owner));
        }
        let (address, now) = (aggregate(caller.address), now.duration_since(self.began));
        let decision = self.failures.check(&address, now);
        if !decision.allowed {
            return Err(Refusal::too_many(
                "too many wrong credentials came from this address; wait, or show the right one",
                decision.retry_after,
            ));
        }
        tracing::warn!(client = ?caller.address, remaining = decision.remaining, "a wrong credential was shown");
        // Guesses past the limit are not recorded one by one: they could fill the log.
        let client = caller.address.to_string();
        if let Err(error) = self.audit.record_async(AuditEvent::LoginFailed { client }).await {
            tracing::error!(%error, "a wrong credential was not recorded");
        }
        Err(Refusal::unauthenticated("the credential is not known here"))
    }

    /// Records that a browser gets a cookie.
    async fn let_in(&self, owner: &str, caller: &Caller) -> Result<(), Refusal> {
        let event = AuditEvent::LoggedIn {
            client: caller.address.to_string(),
            by: owner.to_owned(),
        };
        let recorded = self.audit.record_async(event).await;
        recorded.map_err(|error| super::unrecorded(&error))
    }

    /// The page's cookie opens what the page uses, not the Messages API; and what it changes has to come from a page, whose
    /// origin was judged before. A cookie that is not known is none: another daemon of this host may have given it.
    fn by_cookie(
        &self,
        route: &Route,
        method: &Method,
        headers: &HeaderMap,
        now: Instant,
    ) -> Option<Arc<str>> {
        let is_of_page = matches!(route.surface, Surface::Agent | Surface::Operations);
        let is_harmless = method.is_safe() || headers.contains_key(ORIGIN);
        if !is_of_page || !is_harmless {
            return None;
        }
        page::cookies(headers).find_map(|cookie| self.logins.browser(cookie, now))
    }
}

/// The credential that a request shows. Where there are both, `x-api-key` counts, as at the Messages API.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(&X_API_KEY) {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// One customer of a network provider owns 64 bits of addresses.
fn aggregate(address: ClientAddress) -> ClientAddress {
    match address {
        ClientAddress::Ip(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            ClientAddress::Ip(IpAddr::V6(Ipv6Addr::from(network)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use agent_config::Secret;
    use agent_security::token::Token;
    use http::StatusCode;
    use http::header::HeaderValue;

    use super::*;
    use crate::routes::ROUTES;

    const RIGHT: &str = "a-token-of-sufficient-length";

    fn doorkeeper() -> Doorkeeper {
        let mut credentials = Credentials::none();
        let token = Token::parse(Secret::from(RIGHT)).unwrap();
        credentials.add("local", &token).unwrap();
        Doorkeeper::new(credentials, PageLogins::default(), AuditLog::off())
    }

    fn caller(address: &str) -> Caller {
        Caller::tcp(address.parse().unwrap(), "127.0.0.1".parse().unwrap(), false)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    async fn ask(
        door: &Doorkeeper,
        caller: &Caller,
        lines: &[(&'static str, &str)],
    ) -> Result<Option<Arc<str>>, StatusCode> {
        door.identify(&ROUTES[0], &Method::POST, &headers(lines), caller, Instant::now())
            .await
            .map_err(|refusal| refusal.status())
    }

    #[tokio::test]
    async fn either_header_does_and_the_key_wins() {
        let door = doorkeeper();
        let caller = caller("127.0.0.1");
        let bearer = format!("Bearer {RIGHT}");
        let odd = format!("bEaReR   {RIGHT} ");
        let check = async |lines: &[(&'static str, &str)], expected: Result<Option<&str>, u16>| {
            let found = ask(&door, &caller, lines).await;
            let found = found.as_ref().map(Option::as_deref).map_err(StatusCode::as_u16);
            assert_eq!(found, expected, "{lines:?}");
        };
        check(&[("x-api-key", RIGHT)], Ok(Some("local"))).await;
        check(&[("authorization", &bearer)], Ok(Some("local"))).await;
        check(&[("authorization", &odd)], Ok(Some("local"))).await;
        check(
            &[("x-api-key", RIGHT), ("authorization", "Bearer nonsense")],
            Ok(Some("local")),
        )
        .await;
        check(&[("x-api-key", "nonsense"), ("authorization", &bearer)], Err(401)).await;
        check(&[], Err(401)).await;
        check(&[("authorization", "Basic YTpi")], Err(401)).await;
        check(&[("authorization", "Bearer")], Err(401)).await;
        check(&[("x-api-key", "")], Err(401)).await;
        check(&[("cookie", RIGHT)], Err(401)).await;
    }

    #[tokio::test]
    async fn guessing_ends_on_loopback_too_and_hurts_nobody_who_has_the_right_one() {
        let door = doorkeeper();
        let (local, elsewhere) = (caller("127.0.0.1"), caller("10.0.0.1"));
        let (right, wrong) = ([("x-api-key", RIGHT)], [("x-api-key", "guess")]);
        for _ in 0..FAILURES_AT_ONCE.get() {
            assert_eq!(ask(&door, &local, &wrong).await, Err(StatusCode::UNAUTHORIZED));
        }
        for _ in 0..2 {
            assert_eq!(
                ask(&door, &local, &wrong).await,
                Err(StatusCode::TOO_MANY_REQUESTS)
            );
            assert!(
                ask(&door, &local, &right).await.is_ok(),
                "whoever guesses at this address locks nobody out"
            );
        }
        assert_eq!(
            ask(&door, &local, &[]).await,
            Err(StatusCode::UNAUTHORIZED),
            "none is no guess"
        );
        assert_eq!(
            ask(&door, &elsewhere, &wrong).await,
            Err(StatusCode::UNAUTHORIZED)
        );
        let later = Instant::now() + FAILURE_INTERVAL * 2;
        let refused = door
            .identify(&ROUTES[0], &Method::POST, &headers(&wrong), &local, later)
            .await;
        assert_eq!(refused.unwrap_err().status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_code_opens_the_login_once_and_a_cookie_the_pages_routes_only() {
        let door = doorkeeper();
        let caller = caller("127.0.0.1");
        let find = |pattern: &str, method: &Method| {
            let fits = |route: &&Route| route.pattern == pattern && route.method == *method;
            ROUTES.iter().find(fits).unwrap()
        };
        let ask = async |pattern: &str, method: Method, lines: &[(&'static str, &str)]| {
            let route = find(pattern, &method);
            door.identify(route, &method, &headers(lines), &caller, Instant::now())
                .await
                .map_err(|refusal| refusal.status().as_u16())
        };
        let code = door.logins.code("owner").unwrap();
        let code = format!("Bearer {}", code.expose());
        let shown = [("authorization", code.as_str())];
        assert_eq!(
            ask("/api/v1/sessions", Method::GET, &shown).await,
            Err(401),
            "only the login takes it"
        );
        assert!(ask("/login", Method::POST, &shown).await.is_ok());
        assert_eq!(ask("/login", Method::POST, &shown).await, Err(401), "once");

        let secret = door.logins.enter("owner").unwrap();
        let cookie = format!(
            "a=b; claude-agent-page-1=other; claude-agent-page-2={}",
            secret.expose()
        );
        let browser = [("cookie", cookie.as_str())];
        let page = [("cookie", cookie.as_str()), ("origin", "http://127.0.0.1:2")];
        assert!(ask("/api/v1/sessions", Method::GET, &browser).await.is_ok());
        assert_eq!(
            ask("/api/v1/sessions", Method::POST, &browser).await,
            Err(401),
            "no page asks"
        );
        assert!(ask("/api/v1/sessions", Method::POST, &page).await.is_ok());
        assert_eq!(
            ask("/v1/messages", Method::POST, &page).await,
            Err(401),
            "it spends no money by itself"
        );
        assert_eq!(ask("/login", Method::POST, &page).await, Err(401));
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let one = aggregate(ClientAddress::Ip("2001:db8::1".parse().unwrap()));
        let same = aggregate(ClientAddress::Ip("2001:db8::ffff:1".parse().unwrap()));
        let other = aggregate(ClientAddress::Ip("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
