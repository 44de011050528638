//! Which headers pass, in both directions: all but those of the connection, and those that are for the gateway itself.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// True for a header that is about one connection and not about the message.
fn is_of_connection(name: &HeaderName) -> bool {
    [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HTTP2_SETTINGS,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
    ]
    .contains(name)
}

/// True for a header that a client means for the gateway: what proves who it is, and what the gateway makes anew.
fn is_for_gateway(name: &HeaderName) -> bool {
    [
        AUTHORIZATION,
        API_KEY,
        COOKIE,
        HOST,
        // Made from the body that is sent; where it is streamed, from its size.
        CONTENT_LENGTH,
        // Answered by the gateway's server.
        EXPECT,
        SIGNATURE,
        SIGNATURE_INPUT,
    ]
    .contains(name)
}

/// Turns a client's headers into those for the upstream. With `readable`, the answer comes in no encoding.
pub(super) fn to_upstream(headers: &mut HeaderMap, readable: bool) {
    remove(headers, |name| is_of_connection(name) || is_for_gateway(name));
    if readable {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// Turns the upstream's headers into those for the client. Its cookies are for whoever holds the key.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove(headers, |name| is_of_connection(name) || *name == SET_COOKIE);
}

fn remove(headers: &mut HeaderMap, is_out: impl Fn(&HeaderName) -> bool) {
    let listed = listed_by_connection(headers);
    // Few are out, and most of these in no request: found first, because to remove one moves others.
    let out: Vec<HeaderName> = headers.keys().filter(|name| is_out(name)).cloned().collect();
    for name in out.iter().chain(&listed) {
        headers.remove(name);
    }
}

/// The headers that `connection` names as its own. Those that carry the message can't be named away.
fn listed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    if !headers.contains_key(CONNECTION) {
        return Vec::new();
    }
    let lines = headers.get_all(CONNECTION).into_iter();
    let names = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    names
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        lines.collect()
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_gateways_and_the_connections_own_stay_behind() {
        let mut sent = headers(&[
            ("host", "gateway"),
            ("authorization", "Bearer mine"),
            ("x-api-key", "mine"),
            ("cookie", "c"),
            ("connection", "keep-alive, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "p"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("signature", "s"),
            ("signature-input", "s"),
            ("accept-encoding", "gzip"),
            ("anthropic-version", "2026-10-21"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b, c"),
            ("content-type", "application/json"),
            ("x-stainless-retry-count", "0"),
            ("x-unheard-of", "yes"),
        ]);
        to_upstream(&mut sent, true);
        assert_eq!(
            text(&sent),
            [
                "accept-encoding: identity",
                "anthropic-beta: a",
                "anthropic-beta: b, c",
                "anthropic-version: 2026-10-21",
                "content-type: application/json",
                "x-stainless-retry-count: 0",
                "x-unheard-of: yes",
            ]
        );
    }

    #[test]
    fn the_upstreams_words_reach_the_client() {
        let mut sent = headers(&[
            ("request-id", "req_1"),
            ("retry-after", "1"),
            ("retry-after-ms", "900"),
            ("x-should-retry", "true"),
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("content-length", "5"),
            ("date", "d"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "1"),
            ("set-cookie", "k=v"),
        ]);
        to_client(&mut sent);
        assert_eq!(
            text(&sent),
            [
                "anthropic-ratelimit-requests-remaining: 3",
                "content-length: 5",
                "date: d",
                "request-id: req_1",
                "retry-after-ms: 900",
                "retry-after: 1",
                "x-should-retry: true",
            ]
        );
    }

    #[test]
    fn bodies_that_are_not_read_keep_their_encodings() {
        let mut sent = headers(&[("accept-encoding", "gzip, br")]);
        to_upstream(&mut sent, false);
        assert_eq!(text(&sent), ["accept-encoding: gzip, br"]);
    }
}
