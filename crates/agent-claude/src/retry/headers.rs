//! What a reply's headers say about trying again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;

/// Above this a number of seconds is nonsense; keeps arithmetic on times from overflowing.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `retry-after-ms`, else `retry-after` in seconds (fractions allowed) or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|ms| seconds(ms, 1e-3)) {
        return Some(wait);
    }
    let value = text("retry-after")?;
    seconds(value, 1.0).or_else(|| {
        let then = DateTime::parse_from_rfc2822(value).ok()?;
        Some(
            (then.to_utc() - now)
                .to_std()
                .unwrap_or(Duration::ZERO)
                .min(LONGEST),
        )
    })
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    (number >= 0.0).then(|| {
        Duration::try_from_secs_f64(number * unit)
            .unwrap_or(LONGEST)
            .min(LONGEST)
    })
}

/// `x-should-retry`, where it says true or false.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_retry_after_is_read_and_nonsense_is_not() {
        let now = DateTime::parse_from_rfc3339("2026-10-21T07:28:00Z")
            .unwrap()
            .to_utc();
        let ms = |millis| Some(Duration::from_millis(millis));
        for (name, value, expected) in [
            ("retry-after", "2", ms(2000)),
            ("retry-after", "0.25", ms(250)),
            ("retry-after", " 3 ", ms(3000)),
            ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT", ms(30_000)),
            ("retry-after", "Wed, 21 Oct 2026 07:00:00 GMT", ms(0)),
            ("retry-after-ms", "1500", ms(1500)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("retry-after", "NaN", None),
            ("retry-after", "1e300", Some(LONGEST)),
            ("retry-after", "inf", Some(LONGEST)),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected, "{name}: {value}");
        }
    }

    #[test]
    fn milliseconds_win_and_a_broken_value_falls_through() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "9".parse().unwrap());
        headers.insert("retry-after-ms", "100".parse().unwrap());
        assert_eq!(
            retry_after(&headers, Utc::now()),
            Some(Duration::from_millis(100))
        );
        headers.insert("retry-after-ms", "x".parse().unwrap());
        assert_eq!(retry_after(&headers, Utc::now()), Some(Duration::from_secs(9)));
    }

    #[test]
    fn should_retry_is_true_false_or_nothing() {
        for (value, expected) in [("true", Some(true)), ("false", Some(false)), ("maybe", None)] {
            let headers = HeaderMap::from_iter([("x-should-retry".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(should_retry(&headers), expected);
        }
        assert_eq!(should_retry(&HeaderMap::new()), None);
    }
}
