//! The trace that a request belongs to, where its client says so.

use agent_performance::instrumentation::SpanContext;
use http::HeaderMap;

/// The place of the caller's span, by W3C Trace Context. A header that is none, or came twice, says nothing.
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<SpanContext> {
    let mut all = headers.get_all("traceparent").iter();
    let (first, second) = (all.next()?, all.next());
    first
        .to_str()
        .ok()
        .filter(|_| second.is_none())
        .and_then(SpanContext::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn one_good_header_is_taken() {
        let mut headers = HeaderMap::new();
        assert_eq!(trace_of(&headers), None);
        let good = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.append("traceparent", good.clone());
        assert_eq!(trace_of(&headers).unwrap().to_string(), good.to_str().unwrap());
        headers.append("traceparent", good);
        assert_eq!(trace_of(&headers), None);
        headers.insert("traceparent", HeaderValue::from_static("anything"));
        assert_eq!(trace_of(&headers), None);
    }
}
