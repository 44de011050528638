//! What HTTP headers say about caching.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_RANGE, HeaderMap, PRAGMA, VARY};
use http::{HeaderName, StatusCode};

/// What a request allows the cache to do for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestCaching {
    /// Answer from the cache, and store what is fetched.
    #[default]
    Use,
    /// The same, but only with what is at most this old.
    UseUpTo(Duration),
    /// Fetch in any case; the answer may be stored for others.
    Refresh,
    /// Fetch in any case, and store nothing.
    Bypass,
}

impl RequestCaching {
    /// From the request's `cache-control` (`no-store`, `no-cache`, `max-age`), or `pragma: no-cache` where there is
    /// none. The strictest of several wins; a `max-age` that cannot be read counts as zero.
    pub fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(CACHE_CONTROL) {
            let refresh = directives(headers, PRAGMA).any(|(name, _)| name == "no-cache");
            return if refresh {
                RequestCaching::Refresh
            } else {
                RequestCaching::Use
            };
        }
        let mut caching = RequestCaching::Use;
        for (name, value) in directives(headers, CACHE_CONTROL) {
            let asked = match name.as_str() {
                "no-store" => RequestCaching::Bypass,
                "no-cache" => RequestCaching::Refresh,
                "max-age" => match value.parse() {
                    Ok(seconds @ 1..) => RequestCaching::UseUpTo(Duration::from_secs(seconds)),
                    Ok(0) | Err(_) => RequestCaching::Refresh,
                },
                _ => continue,
            };
            caching = caching.stricter(asked);
        }
        caching
    }

    fn stricter(self, other: Self) -> Self {
        use RequestCaching::{Bypass, Refresh, Use, UseUpTo};
        match (self, other) {
            (Bypass, _) | (_, Bypass) => Bypass,
            (Refresh, _) | (_, Refresh) => Refresh,
            (UseUpTo(a), UseUpTo(b)) => UseUpTo(a.min(b)),
            (UseUpTo(age), Use) | (Use, UseUpTo(age)) => UseUpTo(age),
            (Use, Use) => Use,
        }
    }

    /// The age up to which a stored answer will do; `None` when the cache must not be asked.
    pub(super) fn max_age(self) -> Option<Duration> {
        match self {
            RequestCaching::Use => Some(Duration::MAX),
            RequestCaching::UseUpTo(age) => Some(age),
            RequestCaching::Refresh | RequestCaching::Bypass => None,
        }
    }
}

/// True for an answer whose head allows it to be kept: a whole 200 that neither forbids storing nor says that it depends
/// on everything. Whether its body is complete is known only at its end.
pub fn storable(status: StatusCode, headers: &HeaderMap) -> bool {
    let forbidden = |(name, _): (String, String)| name == "no-store" || name == "no-cache";
    status == StatusCode::OK
        && !headers.contains_key(CONTENT_RANGE)
        && !directives(headers, CACHE_CONTROL).any(forbidden)
        && !directives(headers, VARY).any(|(name, _)| name == "*")
}

/// Names in lower case, values without quotes. A header that is not text counts as `no-store`: nobody can tell.
fn directives(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = (String, String)> {
    let lines = headers.get_all(header).into_iter();
    lines.flat_map(|line| {
        let line = line.to_str().unwrap_or("no-store");
        let pieces = line.split(',').map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let value = value.trim().trim_matches('"');
            (name.trim().to_ascii_lowercase(), value.to_owned())
        });
        pieces.collect::<Vec<_>>()
    })
}
