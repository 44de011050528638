//! Compression of whole answers of our own. Streams and relayed bodies are never touched.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, VARY,
};

use crate::answer::{Answer, AnswerBody};

/// Below this an answer fits a packet with its head, and compressing gains nothing.
const MIN_BYTES: usize = 1024;

/// Above this compressing would hold up the requests of other clients on the same thread: a megabyte takes about 10 ms.
const MAX_BYTES: usize = 1024 * 1024;

/// Whether the client takes gzip. A weight of 0 refuses it.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            name.eq_ignore_ascii_case("gzip")
                && weight.is_none_or(|weight| weight.trim().parse().is_ok_and(|q: f32| q > 0.0))
        })
}

/// The answer compressed, where that is worth it.
pub(super) fn compressed(answer: Answer) -> Answer {
    let headers = answer.headers();
    let fits = answer
        .body()
        .whole()
        .is_some_and(|bytes| (MIN_BYTES..=MAX_BYTES).contains(&bytes.len()));
    let encoded = headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE);
    if !fits || encoded || !headers.get(CONTENT_TYPE).is_some_and(is_text) {
        return answer;
    }
    let Some(bytes) = answer.body().whole().and_then(gzip) else {
        return answer;
    };
    let (mut head, _) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    // A tag is for exact bytes.
    head.headers.remove(ETAG);
    head.headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    Answer::from_parts(head, AnswerBody::from(bytes))
}

fn is_text(content_type: &HeaderValue) -> bool {
    let content_type = content_type.as_bytes();
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    essence.starts_with(b"text/") && essence != b"text/event-stream"
        || essence.ends_with(b"json")
        || essence.starts_with(b"application/openmetrics")
}

fn gzip(bytes: &Bytes) -> Option<Vec<u8>> {
    // The fast level: twice the speed for a tenth more bytes.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder
        .finish()
        .ok()
        .filter(|compressed| compressed.len() < bytes.len())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::answer::content;

    #[test]
    fn the_client_says_whether() {
        let check = |value: &str, expected| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(is_wanted(&headers), expected, "{value}");
        };
        check("gzip", true);
        check("br, GZIP;q=0.5, deflate", true);
        check("gzip;q=0", false);
        check("gzip; q=0.000", false);
        check("gzip;q=nonsense", false);
        check("identity", false);
        check("xgzip", false);
        check("", false);
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn whole_texts_of_some_size_are_compressed() {
        let check = |content_type, bytes: Vec<u8>, expected| {
            let answer = compressed(content(content_type, bytes.clone()));
            assert_eq!(
                answer.headers().contains_key(CONTENT_ENCODING),
                expected,
                "{content_type}"
            );
            let mut read = Vec::new();
            let sent = answer.body().whole().unwrap();
            if expected {
                assert!(sent.len() < bytes.len());
                flate2::read::GzDecoder::new(&sent[..])
                    .read_to_end(&mut read)
                    .unwrap();
            } else {
                read.extend_from_slice(sent);
            }
            assert_eq!(read, bytes);
        };
        check("application/json", vec![b'a'; MIN_BYTES], true);
        check("application/problem+json; charset=utf-8", vec![b'a'; 4000], true);
        check("text/plain; version=0.0.4", vec![b'a'; 4000], true);
        check("application/json", vec![b'a'; MIN_BYTES - 1], false);
        check("application/json", vec![b'a'; MAX_BYTES + 1], false);
        check("text/event-stream", vec![b'a'; 4000], false);
        check("image/png", vec![b'a'; 4000], false);
        let noise = (0..4000).map(|_| rand::random()).collect();
        check("application/json", noise, false);
    }

    #[test]
    fn streams_are_never_touched() {
        let body = AnswerBody::streamed(http_body_util::Full::new(Bytes::from(vec![b'a'; 4000])));
        let mut answer = Answer::new(body);
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = compressed(answer);
        assert!(answer.body().whole().is_none() && !answer.headers().contains_key(CONTENT_ENCODING));
    }
}
