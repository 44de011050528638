//! Who has opened the page: codes that work once, and the cookies that were given for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_config::Secret;
use agent_security::token::Token;
use parking_lot::Mutex;

/// How long a code waits for its browser: a link that stands in a terminal's history is worth nothing then.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// How long a browser stays logged in: a working day.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Codes that wait at once; the oldest goes first.
const MAX_CODES: usize = 8;

/// Browsers that are logged in at once; the oldest has to log in again. More than one person has.
const MAX_BROWSERS: usize = 32;

/// Cookies looked at in one request: ours, and those of other daemons on this host.
pub(crate) const MAX_COOKIES: usize = 8;

/// Codes and cookies, in memory only: a daemon that starts anew knows neither.
#[derive(Clone, Default)]
pub struct PageLogins(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    codes: VecDeque<Entry>,
    browsers: VecDeque<Entry>,
}

struct Entry {
    token: Token,
    owner: Arc<str>,
    until: Instant,
}

impl PageLogins {
    /// A code that lets one browser in as `owner`, once, within ten minutes; none when the system gives no random bytes.
    pub fn code(&self, owner: &str) -> Option<Secret> {
        keep(&mut self.0.lock().codes, MAX_CODES, owner, CODE_LIFETIME)
    }

    /// A cookie's value for a browser of `owner`.
    pub(crate) fn enter(&self, owner: &str) -> Option<Secret> {
        keep(&mut self.0.lock().browsers, MAX_BROWSERS, owner, LIFETIME)
    }

    /// Whose code this is. It works no more after that.
    pub(crate) fn redeem(&self, code: &[u8], now: Instant) -> Option<Arc<str>> {
        let mut known = self.0.lock();
        let place = known.codes.iter().position(|entry| entry.token.matches(code))?;
        let entry = known.codes.remove(place)?;
        (now < entry.until).then_some(entry.owner)
    }

    /// Whose browser shows this cookie.
    pub(crate) fn browser(&self, cookie: &[u8], now: Instant) -> Option<Arc<str>> {
        let known = self.0.lock();
        let mut live = known.browsers.iter().filter(|entry| now < entry.until);
        let entry = live.find(|entry| entry.token.matches(cookie))?;
        Some(Arc::clone(&entry.owner))
    }
}

fn keep(entries: &mut VecDeque<Entry>, most: usize, owner: &str, lifetime: Duration) -> Option<Secret> {
    let token = Token::generate().ok()?;
    let secret = token.secret().clone();
    if entries.len() >= most {
        entries.pop_front();
    }
    entries.push_back(Entry {
        token,
        owner: owner.into(),
        until: Instant::now() + lifetime,
    });
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_and_not_late() {
        let logins = PageLogins::default();
        let code = logins.code("owner").unwrap();
        let (bytes, now) = (code.expose().as_bytes(), Instant::now());
        assert_eq!(logins.redeem(b"another", now), None);
        assert_eq!(logins.browser(bytes, now), None, "a code is no cookie");
        assert_eq!(logins.redeem(bytes, now).as_deref(), Some("owner"));
        assert_eq!(logins.redeem(bytes, now), None);
        let late = logins.code("owner").unwrap();
        assert_eq!(
            logins.redeem(late.expose().as_bytes(), now + CODE_LIFETIME * 2),
            None
        );
    }

    #[test]
    fn browsers_and_codes_are_bounded_and_end() {
        let (logins, now) = (PageLogins::default(), Instant::now());
        let first = logins.enter("owner").unwrap();
        let first_code = logins.code("owner").unwrap();
        assert!(logins.browser(first.expose().as_bytes(), now).is_some());
        assert!(
            logins
                .browser(first.expose().as_bytes(), now + LIFETIME * 2)
                .is_none()
        );
        assert!(
            logins.redeem(first.expose().as_bytes(), now).is_none(),
            "a cookie is no code"
        );
        for _ in 0..MAX_BROWSERS {
            logins.enter("owner").unwrap();
        }
        for _ in 0..MAX_CODES {
            logins.code("owner").unwrap();
        }
        assert!(logins.browser(first.expose().as_bytes(), now).is_none());
        assert!(logins.redeem(first_code.expose().as_bytes(), now).is_none());
    }
}
