//! The requests that arrived, for tests to look at.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;

/// What is kept: the newest requests, up to this many and up to this many bytes of bodies.
const MAX_REQUESTS: usize = 1024;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A request as it arrived. Credentials are not kept.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// The order of arrival, from 0, over all paths.
    pub ordinal: u64,
    /// The method.
    pub method: http::Method,
    /// The path with its query string.
    pub path: String,
    /// The headers, with the values of credentials replaced by `[redacted]`.
    pub headers: HeaderMap,
    /// The body, byte for byte; empty if it was refused for its size.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// The body as JSON, if it is any.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<ReceivedRequest>,
    bytes: usize,
}

impl RequestLog {
    pub(crate) fn add(&self, ordinal: u64, parts: &Parts, body: Bytes) {
        let mut headers = parts.headers.clone();
        for name in [http::header::AUTHORIZATION.as_str(), "x-api-key", "cookie"] {
            if let Some(value) = headers.get_mut(name) {
                *value = http::HeaderValue::from_static("[redacted]");
            }
        }
        let path = parts
            .uri
            .path_and_query()
            .map_or_else(String::new, |path| path.as_str().to_owned());
        let mut kept = self.kept.lock();
        kept.bytes += body.len();
        kept.requests.push_back(ReceivedRequest {
            ordinal,
            method: parts.method.clone(),
            path,
            headers,
            body,
        });
        while kept.requests.len() > MAX_REQUESTS || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.requests.pop_front() else {
                break;
            };
            kept.bytes -= oldest.body.len();
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<ReceivedRequest> {
        let mut requests: Vec<_> = self.kept.lock().requests.iter().cloned().collect();
        requests.sort_by_key(|request| request.ordinal);
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(key: &str) -> Parts {
        http::Request::post("/v1/messages?beta=true")
            .header("x-api-key", key)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    #[test]
    fn credentials_are_not_kept_and_old_requests_make_room() {
        let log = RequestLog::default();
        for ordinal in 0..MAX_REQUESTS as u64 + 5 {
            log.add(ordinal, &parts("sk-ant-secret"), Bytes::from_static(b"{}"));
        }
        let kept = log.snapshot();
        assert_eq!((kept.len(), kept[0].ordinal), (MAX_REQUESTS, 5));
        assert!(!format!("{kept:?}").contains("sk-ant"));
        assert_eq!(kept[0].path, "/v1/messages?beta=true");
        log.add(9999, &parts("k"), Bytes::from(vec![0; MAX_BYTES - 10]));
        assert!(log.snapshot().len() <= 6);
    }
}
