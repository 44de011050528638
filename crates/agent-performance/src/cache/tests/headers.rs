use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::cache::{RequestCaching, storable};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

#[test]
fn a_request_says_what_the_cache_may_do() {
    use RequestCaching::{Bypass, Refresh, Use, UseUpTo};
    let up_to = |seconds| UseUpTo(Duration::from_secs(seconds));
    for (lines, expected) in [
        (&[][..], Use),
        (&[("cache-control", "no-cache")], Refresh),
        (&[("cache-control", "No-Store")], Bypass),
        (&[("cache-control", "no-cache, no-store")], Bypass),
        (
            &[("cache-control", "no-store"), ("cache-control", "max-age=9")],
            Bypass,
        ),
        (&[("cache-control", "max-age=0")], Refresh),
        (&[("cache-control", "max-age=\"60\" , max-age=30")], up_to(30)),
        (&[("cache-control", "max-age=soon")], Refresh),
        (&[("cache-control", "max-age=18446744073709551616")], Refresh),
        (&[("cache-control", "max-stale=5, no-transform,,=")], Use),
        (&[("cache-control", "no-cache=\"x\"")], Refresh),
        (&[("cache-control", "x=\u{e9}")], Bypass),
        (&[("pragma", "no-cache")], Refresh),
        (
            &[("pragma", "no-cache"), ("cache-control", "max-age=5")],
            up_to(5),
        ),
    ] {
        assert_eq!(RequestCaching::of(&headers(lines)), expected, "{lines:?}");
    }
}

#[test]
fn only_a_whole_answer_of_200_that_allows_it_is_kept() {
    let ok = StatusCode::OK;
    assert!(storable(
        ok,
        &headers(&[("cache-control", "private, max-age=0"), ("vary", "accept")])
    ));
    assert!(!storable(ok, &headers(&[("cache-control", "private, No-Store")])));
    assert!(!storable(ok, &headers(&[("cache-control", "no-cache")])));
    assert!(!storable(ok, &headers(&[("vary", "accept, *")])));
    assert!(!storable(ok, &headers(&[("content-range", "bytes 0-1/5")])));
    for status in [201, 204, 206, 301, 304, 400, 401, 429, 500, 529] {
        assert!(
            !storable(StatusCode::from_u16(status).unwrap(), &headers(&[])),
            "{status}"
        );
    }
}
