//! Where a span stands in its trace, and how that travels: W3C Trace Context.

use std::fmt;
use std::future::Future;

/// Longer than any version's header that is worth reading.
const MAX_HEADER_BYTES: usize = 256;

/// A place in a trace: what a child needs to know of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The same for the whole trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// Reads a `traceparent`; none for what is none. Later versions may say more behind what this one says.
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let mut parts = header.trim().split('-');
        let [version] = bytes(parts.next()?)?;
        let (trace_id, span_id) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags] = bytes(parts.next()?)?;
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        let is_known = trace_id != [0; 16] && span_id != [0; 8];
        (is_whole && is_known).then_some(SpanContext {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

/// As a `traceparent`.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-0{}", u8::from(self.sampled))
    }
}

/// Bytes in lower-case hexadecimal digits, exactly so many.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.as_bytes().iter().all(digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

tokio::task_local! {
    static CURRENT: SpanContext;
}

/// The place of the work under way, if it has one.
pub fn current() -> Option<SpanContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Does `work` at this place. Tasks that it spawns are elsewhere again.
pub async fn within<F: Future>(context: Option<SpanContext>, work: F) -> F::Output {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

/// The same for work that does not wait.
pub fn under<R>(context: Option<SpanContext>, work: impl FnOnce() -> R) -> R {
    match context {
        Some(context) => CURRENT.sync_scope(context, work),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_as_it_was() {
        let context = SpanContext::parse(HEADER).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), HEADER);
        let later = SpanContext::parse(&HEADER.replace("00-4", "cc-4").replace("-01", "-00-more"));
        assert_eq!(later.map(|context| context.sampled), Some(false));
    }

    #[test]
    fn what_is_no_header_is_none() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            SpanContext::parse(&format!("01{}-{}", &HEADER[2..], "x".repeat(300))),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,80}") {
            if let Some(context) = SpanContext::parse(&text) {
                proptest::prop_assert_eq!(SpanContext::parse(&context.to_string()), Some(context));
            }
        }
    }

    #[tokio::test]
    async fn work_knows_its_place() {
        let context = SpanContext::parse(HEADER);
        assert_eq!(current(), None);
        within(context, async { assert_eq!(current(), context) }).await;
        assert_eq!(under(context, current), context);
        assert_eq!(within(None, async { current() }).await, None);
    }
}
