//! The macros, which stand at the crate's root.

/// Gives the value of an expression and records how long it took in `timing.{operation}`.
///
/// `time_operation!(collector, operation, expression)` or `time_operation!(collector, operation, tags, expression)`, with
/// tags as `HashMap<String, String>`. The expression may contain `.await`, `?` and `return`: the time is recorded when
/// it is left, in whatever way. To tell a cancelled future from a finished one, use
/// [`timed`](crate::instrumentation::timed).
///
/// ```
/// # use agent_performance::{metrics::MetricsCollector, time_operation};
/// let collector = MetricsCollector::new();
/// let sum: u64 = time_operation!(collector, "adding", (1..=10).sum());
/// assert_eq!(sum, 55);
/// assert_eq!(collector.get_metric_statistics("timing.adding").unwrap().count, 1);
/// ```
#[macro_export]
macro_rules! time_operation {
    ($collector:expr, $operation:expr, $tags:expr, $body:expr $(,)?) => {{
        let guard = $crate::instrumentation::TimingGuard::new(
            &$collector,
            ::std::string::ToString::to_string(&$operation),
            $tags,
        );
        let value = $body;
        guard.finish();
        value
    }};
    ($collector:expr, $operation:expr, $body:expr $(,)?) => {
        $crate::time_operation!($collector, $operation, ::std::collections::HashMap::new(), $body)
    };
}

/// Records the bytes that a component holds in `memory.{component}`: `record_memory!(collector, component, bytes)` or with
/// tags, as `HashMap<String, String>`, at the end.
#[macro_export]
macro_rules! record_memory {
    ($collector:expr, $component:expr, $bytes:expr, $tags:expr $(,)?) => {
        $collector.record_memory_usage(
            ::std::convert::AsRef::<str>::as_ref(&$component),
            $crate::instrumentation::bytes_of($bytes),
            $tags,
        )
    };
    ($collector:expr, $component:expr, $bytes:expr $(,)?) => {
        $crate::record_memory!($collector, $component, $bytes, ::std::collections::HashMap::new())
    };
}

/// A number of bytes from any kind of integer; what does not fit is as good as all there is.
pub fn bytes_of(bytes: impl TryInto<u64>) -> u64 {
    bytes.try_into().unwrap_or(u64::MAX)
}
